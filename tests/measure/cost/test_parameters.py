"""Parameter and storage counts of networks against counts by hand."""

import torch
import torchvision
from torch import nn

from bench.measure.cost.parameters import count_parameters, stored_scalars


def test_parameter_counts_equal_published_ones() -> None:
    # torchvision's documentation.
    for name, params in (("resnet18", 11_689_512), ("mobilenet_v2", 3_504_872)):
        assert count_parameters({"model": torchvision.models.get_model(name)}).total == params


def test_complex_parameter_counts_as_two() -> None:
    module = nn.Sequential(nn.Linear(3, 2, dtype=torch.complex64), nn.Linear(3, 2))
    module.register_buffer("phases", torch.zeros(5, dtype=torch.complex128))
    assert count_parameters({"model": module}).total == 2 * 8 + 8
    assert count_parameters({"model": module}).by_module == (("model.0", 16), ("model.1", 8))
    assert (stored_scalars(module).parameters, stored_scalars(module).buffers) == (24, 10)


def test_shared_parameter_counts_once() -> None:
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert count_parameters({"a": first, "b": second}).total == 16
    assert count_parameters({"a": first, "b": second}).by_module == (("a", 16),)


def test_counts_by_module_have_module_paths() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4)))
    assert count_parameters({"g": network}).by_module == (("g.0", 112), ("g.1.0", 8))


class Hoarder(nn.Module):
    """Stores numbers in every kind of attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(10, 10)
        self.register_buffer("kept", torch.zeros(7))
        self.register_buffer("dropped", torch.zeros(5), persistent=False)
        self.plain = torch.zeros(11)
        self.nested = {"a": [torch.zeros(2), (torch.zeros(3), {torch.zeros(4)})]}
        self.nested["self"] = self.nested  # type: ignore[assignment]
        self.table = [0.5] * 100
        self.few = [1, 2, 3]
        self.array = torch.zeros(6).numpy()
        self.modules_in_a_list = [nn.Linear(3, 2, bias=False), self.linear]
        self.view = self.linear.weight.detach()[:5]  # the same storage again


def test_every_stored_scalar_counts_once() -> None:
    stored = stored_scalars(Hoarder())
    assert (stored.parameters, stored.buffers, stored.plain) == (110, 12, 11 + 9 + 100 + 6 + 6)


def test_slice_counts_its_whole_storage() -> None:
    module = nn.Module()
    module.slice = torch.zeros(1000)[:1]
    assert stored_scalars(module).plain == 1000
