"""Operations that make the host wait for a GPU are recorded on a CPU too; augmentations have none."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import augment
from bench.measure.speed.host_waits import WaitRecorder


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: float(x[0]), "_local_scalar_dense"),
        (lambda x: x[x > 0], "index"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: bool((x > 0).all()), "_local_scalar_dense"),
        (lambda x: torch.equal(x, x), "equal"),
        (lambda x: x.unique(), "_unique2"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: x.cpu(), "cpu"),
        (lambda x: x.numpy(), "numpy"),
        # Copies from the host to the device.
        (lambda x: x + torch.tensor(0.5, device=x.device), "tensor"),
        (lambda x: x * torch.as_tensor([1.0] * 7, device=x.device), "as_tensor"),
        (lambda x: x + torch.asarray(0.5, device=x.device), "asarray"),
        (lambda x: x.new_tensor([1.0, 2.0]), "new_tensor"),
        (lambda x: x[[1, 2]], "__getitem__"),
        (lambda x: x[:, None][[1, 2], [0, 0]], "__getitem__"),
        (lambda x: x * torch.arange(7).to(x.device), "to"),
        (lambda x: x * (torch.arange(7) / 7).to(x.device, torch.float32), "to"),
        (lambda x: x[torch.randperm(7).to(device=x.device)], "to"),
        (lambda x: x + torch.from_numpy(np.ones(7, np.float32)).to(x.device), "to"),
        (lambda x: x + torch.tensor([1.0] * 7).type_as(x), "type_as"),
    ],
)
def test_wait_is_recorded_with_its_line(operation: object, name: str) -> None:
    assert callable(operation)
    values = torch.arange(-3.0, 4.0)
    with WaitRecorder([Path(__file__).parent]) as recorder:
        operation(values)
    assert recorder.waits, name
    assert any(wait.startswith("test_host_waits.py, line ") for wait in recorder.waits)
    assert any(wait.endswith(f": {name}") for wait in recorder.waits), recorder.waits


def test_arithmetic_does_not_wait_for_the_device() -> None:
    parameter = torch.nn.Parameter(torch.ones(8))
    optimizer = torch.optim.AdamW([parameter])  # its step counter is on the CPU
    with WaitRecorder() as recorder:
        loss = torch.where(parameter > 0, parameter, 0.0).sum()
        loss.backward()
        optimizer.step()
        parameter.detach().argmax().to(torch.float64)
        images = parameter.detach()
        images[0] = 3.0
        torch.full((8,), 0.5, device=images.device).mul_(torch.arange(8, device=images.device))
        (images.to(torch.float64).to(images.device) + torch.tensor(0.5)).clamp(0, 1)[1:3]
        torch.randperm(8, device=images.device)
    assert recorder.waits == []


def test_wait_in_a_called_function_has_the_line_of_the_submission(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def step(x, function):\n\n    return function(x)\n")
    spec = importlib.util.spec_from_file_location("waiting_model", tmp_path / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with WaitRecorder([tmp_path]) as recorder:
        module.step(torch.ones(3), lambda x: x.sum().item())
    assert recorder.waits == ["model.py, line 3: _local_scalar_dense"]


def test_synchronisation_warnings_of_a_gpu_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int | str] = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.warns(UserWarning, match="another"), WaitRecorder(device="cuda") as recorder:
        warnings.warn("called a synchronizing CUDA operation (Triggered internally at x.cpp:1.)", stacklevel=1)
        warnings.warn("another", stacklevel=1)
    (wait,) = recorder.waits
    assert wait.startswith("test_host_waits.py, line ") and wait.endswith("called a synchronizing CUDA operation")
    assert modes == ["warn", 0]


@pytest.mark.parametrize(
    "function",
    [
        augment.random_flip,
        lambda images: augment.random_crop(images, padding=4),
        lambda images: augment.random_crop(images, padding=4, mode="reflect"),
        augment.random_resized_crop,
        # Its constants are copied to the device; a fix would change the code hash of committed records.
        pytest.param(
            lambda images: augment.random_rotation(images, degrees=15), marks=pytest.mark.xfail(strict=True)
        ),
        lambda images: augment.color_jitter(images, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
        augment.random_erasing,
        lambda images: augment.gaussian_blur(images, kernel_size=3),
        augment.augmix,
    ],
)
def test_augmentation_does_not_wait_for_the_device(function: object) -> None:
    assert callable(function)
    with WaitRecorder() as recorder:
        function(torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8))
    assert recorder.waits == []
