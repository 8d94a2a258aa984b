"""Load a submission: import its class, create its config and instance, build its network on a device."""

import dataclasses
import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bench.contract.documents.schema import json_problem
from bench.contract.jobs.spec import JobData
from bench.contract.records.record import DataUsed
from bench.contract.submission import Classifier, DataSpec, Generator
from bench.errors import ContractError
from bench.seeding import derive_seed

AnySubmission = Classifier[Any] | Generator[Any]
ORDERS = (torch.channels_last, torch.contiguous_format)
TRAINING = ("init_training", "train_step")
BASES: dict[str, Any] = {"classification": Classifier, "generation": Generator}


def load_submission(folder: Path, task: str, overrides: dict[str, Any]) -> AnySubmission:
    """Import ``folder/model.py`` and instantiate its submission class with its config.

    Args:
        folder: The submission's folder.
        task: "classification" or "generation".
        overrides: Config field -> value that replaces the default.

    Raises:
        ContractError: If the file does not define exactly one submission class and a valid ``Config``, or
            ``overrides`` names a field that the config does not have. Exceptions of the file itself propagate.
    """
    path, where = folder / "model.py", f"{folder.name}/model.py"  # no local paths: error messages are published
    module_name = f"bench_submission_{folder.name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ContractError(f"{where}: no such file; a submission consists of submission.yaml and model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    writes_bytecode, sys.dont_write_bytecode = (
        sys.dont_write_bytecode,
        True,
    )  # no __pycache__ in the submission's folder
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes_bytecode
    base = BASES[task]
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module_name
    ]
    if len(classes) != 1:
        names = ", ".join(kind.__name__ for kind in classes) or "none"
        raise ContractError(
            f"{where}: subclasses of bench.{base.__name__} found: {names}; a {task} track needs exactly one"
        )
    kind: type[AnySubmission] = classes[0]
    missing = _missing_methods(kind)
    if missing:
        raise ContractError(f"{where}: {kind.__name__} does not implement {', '.join(missing)}; define it")
    return kind(_config(where, getattr(module, "Config", None), overrides))


def _missing_methods(kind: type[AnySubmission]) -> list[str]:
    """Return the methods that a submission class lacks, each with its alternative."""
    missing = sorted(getattr(kind, "__abstractmethods__", ()))
    if issubclass(kind, Classifier):
        lacking = [name for name in TRAINING if getattr(kind, name) is getattr(Classifier, name)]
        if kind.configure_optimizer is Classifier.configure_optimizer:
            # Half of a pair is more likely a misspelt name than a wish for the other half's default.
            both = len(lacking) == len(TRAINING)
            missing += ["configure_optimizer (or init_training and train_step)"] if both else lacking
    elif kind.sample is Generator.sample and not kind.interpolates():
        missing.append("latent and decode (or sample)")
    return missing


def _config(where: str, kind: Any, overrides: dict[str, Any]) -> Any:
    """Create the config: the defaults of ``kind``, the class ``Config``, with ``overrides`` applied."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ContractError(
            f"{where}: no dataclass `Config`; write @dataclass(frozen=True, kw_only=True) class Config"
        )
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ContractError(f"{where}: Config is not frozen; write @dataclass(frozen=True, kw_only=True)")
    try:
        config = kind()
    except TypeError as error:
        raise ContractError(f"{where}: every field of Config needs a default ({error})") from None
    config = dataclasses.replace(config, **_checked_overrides(where, config, overrides))
    batch_size = getattr(config, "batch_size", None)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ContractError(f"{where}: Config.batch_size is {batch_size!r}; it must be an int of at least 1")
    return config


def _checked_overrides(where: str, config: Any, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return ``overrides`` with lists converted to tuples where the config's default is a tuple.

    Raises:
        ContractError: If the config has no such field, or a value's type differs from the default's.
    """
    fields = [field.name for field in dataclasses.fields(config)]
    for name, value in overrides.items():
        if name not in fields:
            raise ContractError(f"{where}: Config has no field {name!r}; its fields are {', '.join(fields)}")
        default = getattr(config, name)
        if not _same_type(default, value):
            raise ContractError(
                f"{where}: Config.{name} is set to {value!r}; its default is {default!r}, so that the value must "
                f"be of type {type(default).__name__}"
            )
        overrides = {**overrides, name: tuple(value) if isinstance(default, tuple) else value}
    return overrides


def override_errors(submission: AnySubmission, declared: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield one error message per section of the manifest whose overrides do not fit the config.

    Args:
        submission: Whose config the overrides are checked against.
        declared: Section of ``submission.yaml`` -> config fields that it sets.
    """
    for section, overrides in declared.items():
        try:
            _checked_overrides(f"submission.yaml: {section}", submission.config, overrides)
        except ContractError as error:
            yield str(error)


def _same_type(default: Any, value: Any) -> bool:
    """Return whether ``value`` may replace ``default``; an int may replace a float, and a list a tuple."""
    if default is None or value is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))


def config_values(submission: AnySubmission) -> dict[str, Any]:
    """Return the config's fields as JSON-serialisable values; tuples become lists.

    Raises:
        ContractError: If a value is not a number, string, boolean, None, or a tuple of these.
    """
    values = dataclasses.asdict(submission.config)
    for name, value in values.items():
        reason = "a dict" if isinstance(value, dict) else json_problem(value)
        if reason is not None:
            raise ContractError(
                f"Config.{name} is {reason}; a config field must be a finite number, string, boolean, None, or a "
                "tuple of these"
            )
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def seed_everything(seed: int, *purpose: str | int) -> None:
    """Seed the global random generators of torch, numpy and Python for one purpose."""
    value = derive_seed(seed, *purpose)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)
    random.seed(value)


def data_spec(data: JobData | DataUsed) -> DataSpec:
    """Return the properties of the data that ``build_model`` receives."""
    return DataSpec(
        image_shape=data.image_shape,
        num_classes=data.num_classes,
        channel_mean=data.channel_mean,
        channel_std=data.channel_std,
    )


def build_network(submission: AnySubmission, data: DataSpec, device: torch.device) -> nn.Module:
    """Build the submission's network on ``device``, with 4-dimensional tensors in its ``memory_format``.

    Channels-last, the default, makes a depthwise network train about 1.5 times faster on a CPU and suits tensor
    cores on a GPU; it changes no shape.

    Raises:
        ContractError: If ``build_model`` does not return a module, the module has lazy parameters, or
            ``memory_format`` is not allowed.
    """
    order = submission.memory_format
    if order not in ORDERS:
        raise ContractError(
            f"memory_format is {order!r}; it must be torch.channels_last or torch.contiguous_format"
        )
    model = submission.build_model(data)
    if not isinstance(model, nn.Module):
        raise ContractError(f"build_model returned {type(model).__name__}; it must return a torch.nn.Module")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise ContractError(
                f"build_model: {name} has no shape yet (lazy layer); call the network once on zeros in build_model"
            )
    model = model.to(device)
    if order is torch.channels_last:
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.data.to(memory_format=order)
    return model
