"""From a submission's folder to an instance, and from an instance to a network on a device."""

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

from bench.contract.jobs import JobData
from bench.contract.plain import unfit
from bench.contract.submission import Classifier, DataSpec, Generator
from bench.errors import ContractError
from bench.seeding import derive_seed

AnySubmission = Classifier[Any] | Generator[Any]
ORDERS = (torch.channels_last, torch.contiguous_format)
BASES: dict[str, Any] = {"classification": Classifier, "generation": Generator}


def load_submission(folder: Path, task: str, overrides: dict[str, Any]) -> AnySubmission:
    """Import ``folder/model.py`` and instantiate its submission with its config.

    Raises:
        ContractError: If the file does not define one submission and a proper ``Config``, or ``overrides``
            names a field that the config does not have. What the file itself raises passes through.
    """
    path, where = folder / "model.py", f"{folder.name}/model.py"  # records are published: no local paths
    module_name = f"bench_submission_{folder.name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ContractError(f"{where}: no such file; a submission is submission.yaml and model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no __pycache__ beside the two files
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes_bytecode
    base = BASES[task]
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module_name
    ]
    if len(found) != 1:
        names = ", ".join(kind.__name__ for kind in found) or "none"
        raise ContractError(
            f"{where}: found {names}; a {task} track needs exactly one subclass of bench.{base.__name__}"
        )
    kind: type[AnySubmission] = found[0]
    missing = sorted(getattr(kind, "__abstractmethods__", ()))
    if missing:
        raise ContractError(f"{where}: {kind.__name__} lacks {', '.join(missing)}")
    return kind(_config(where, getattr(module, "Config", None), overrides))


def _config(where: str, kind: Any, overrides: dict[str, Any]) -> Any:
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
    config = dataclasses.replace(config, **_fitting(where, config, overrides))
    batch_size = getattr(config, "batch_size", None)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ContractError(f"{where}: Config.batch_size is {batch_size!r}; it must be an int of at least 1")
    return config


def _fitting(where: str, config: Any, overrides: dict[str, Any]) -> dict[str, Any]:
    """The values as the config has them.

    Raises:
        ContractError: If it has no such field, or one of another kind.
    """
    fields = [field.name for field in dataclasses.fields(config)]
    for name, value in overrides.items():
        if name not in fields:
            raise ContractError(f"{where}: Config has no field {name!r}; it has {', '.join(fields)}")
        default = getattr(config, name)
        if not _same_kind(default, value):
            raise ContractError(
                f"{where}: Config.{name} is {type(default).__name__} ({default!r}), set to {value!r}"
            )
        overrides = {**overrides, name: tuple(value) if isinstance(default, tuple) else value}
    return overrides


def wrongly_declared(submission: AnySubmission, declared: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What a manifest would set of the config and cannot: a line a place in it."""
    for place, overrides in declared.items():
        try:
            _fitting(f"submission.yaml: {place}", submission.config, overrides)
        except ContractError as error:
            yield str(error)


def _same_kind(default: Any, value: Any) -> bool:
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
    """The config's fields as JSON-able values.

    Raises:
        ContractError: If a value is not a number, string, boolean, None, or a tuple of these.
    """
    values = dataclasses.asdict(submission.config)
    for name, value in values.items():
        why = "a dict" if isinstance(value, dict) else unfit(value)
        if why is not None:
            raise ContractError(
                f"Config.{name} holds {why}; a config holds finite numbers, text and tuples of them"
            )
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def seed_everything(seed: int, *purpose: str | int) -> None:
    """Seed torch's, numpy's and Python's global generators for one purpose."""
    value = derive_seed(seed, *purpose)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)
    random.seed(value)


def data_spec(data: JobData) -> DataSpec:
    """What a network may know of the data."""
    return DataSpec(
        image_shape=data.image_shape,
        num_classes=data.num_classes,
        channel_mean=data.channel_mean,
        channel_std=data.channel_std,
    )


def build_network(submission: AnySubmission, data: DataSpec, device: torch.device) -> nn.Module:
    """The submission's network on ``device``, convolution weights in the order that it asks for.

    Channels-last, the default, makes a depthwise network train some 1.5 times faster on a CPU and feeds tensor
    cores on a GPU; it changes no shape.

    Raises:
        ContractError: If ``build_model`` does not return a module, or there is no such order.
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
            raise ContractError(f"build_model: {name} has no shape yet; call the network once on zeros there")
    model = model.to(device)
    if order is torch.channels_last:
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.data.to(memory_format=order)
    return model
