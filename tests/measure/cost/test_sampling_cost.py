"""Costs of samplers against closed forms."""

import pytest
import torch
from torch import Tensor, nn

from bench.measure.cost.forward_cost import MeasurementError
from bench.measure.cost.sampling_cost import recorded_calls, sampling_cost


class Denoiser(nn.Module):
    """4 x 4 MACs per image; counts the calls that are really computed."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        self.computed = 0

    def forward(self, x: Tensor, time: int, *, label: Tensor | None = None) -> Tensor:
        self.computed += 1
        out: Tensor = self.linear(x) + time
        return out if label is None else out + label


def test_all_evaluations_count_although_few_are_computed() -> None:
    model = Denoiser()

    def sample() -> Tensor:
        x = torch.ones(1, 4)
        for time in range(1000):
            x = x - 0.1 * model(x, 7 if time < 999 else 8)
        return x

    with torch.no_grad():
        cost = sampling_cost(model, sample)
    assert (cost.evaluations, cost.ran.total_macs, cost.ran.macs) == (1000, 16_000, {"mm": 16_000})
    assert cost.by_fvcore.macs == 16_000
    assert model.computed < 60
    model.computed = 0
    sample()
    assert model.computed == 1000  # the model is restored: every call computes


def test_evaluations_count_the_images_of_each_call() -> None:
    model = Denoiser()

    def guided() -> Tensor:
        x = torch.ones(1, 4)
        for _ in range(3):
            guided_output = model(torch.cat([x, x]), 1)  # with and without a label, in one call
            x = guided_output.mean(0, keepdim=True) + model(x, 1, label=torch.ones(1, 4))
        return x

    cost = sampling_cost(model, guided)
    assert (cost.evaluations, cost.ran.total_macs) == (9, 9 * 16)


def test_macs_outside_of_the_network_count() -> None:
    model, projection = Denoiser(), torch.randn(4, 4)

    def sample() -> Tensor:
        x = torch.ones(1, 4)
        for time in range(100):
            x = model(x, time)
        return x @ projection

    cost = sampling_cost(model, sample)
    assert (cost.evaluations, cost.inside, cost.ran.total_macs) == (100, 1600, 1616)
    assert cost.by_fvcore.macs == 1600  # fvcore counts the network's calls only


def test_sampler_that_never_calls_the_model_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="sample never calls the model"):
        sampling_cost(Denoiser(), lambda: torch.ones(1, 4))


def test_calls_that_differ_in_the_time_value_are_alike() -> None:
    model = Denoiser()
    x = torch.ones(1, 4)
    for times in (range(50), [t / 50 for t in range(50)], torch.arange(50), torch.linspace(0, 1, 50)[:, None]):
        with recorded_calls(model, real=1) as calls:
            for time in times:
                model(x, time)
        assert len(calls.alike) == 1 and calls.image_evaluations == 50
    with recorded_calls(model) as calls:
        model(x, torch.tensor(0.5), label=torch.ones(1, 4))
        model(x, torch.tensor(0.5), label=None)
    assert len(calls.alike) == 2


class TimeFirst(Denoiser):
    def forward(self, time: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]
        out: Tensor = super().forward(x, 0) + time
        return out


def test_images_count_if_a_scalar_time_is_the_first_argument() -> None:
    model = TimeFirst()
    with recorded_calls(model) as calls:
        model(torch.tensor(0.5), torch.ones(3, 4))
    assert calls.image_evaluations == 3
    cost = sampling_cost(model, lambda: model(torch.tensor(0.5), torch.ones(1, 4)))
    assert (cost.evaluations, cost.ran.total_macs, cost.by_fvcore.macs) == (1, 16, 16)


def test_evaluations_of_an_adaptive_sampler_are_exact() -> None:
    """The sampler stops at a small output: the number of evaluations depends on the network's outputs."""
    model = Denoiser()
    with torch.no_grad():
        model.linear.weight.copy_(torch.eye(4) / 2)

    def sample() -> Tensor:
        x = torch.ones(1, 4)
        while x.max() > 0.01:
            x = model(x, 0)
        return x

    assert sampling_cost(model, sample).evaluations == 7


def test_endless_sampler_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.cost.sampling_cost.MOST_EVALUATIONS", 100)
    model = Denoiser()

    def sample() -> None:
        while True:
            model(torch.ones(1, 4), 0)

    with pytest.raises(MeasurementError, match="more than 100 times per image"):
        sampling_cost(model, sample)


def test_skipped_calls_return_copies_of_the_last_output() -> None:
    model = Denoiser()
    with recorded_calls(model, real=2) as calls:
        outputs = [model(torch.full((2, 4), float(index)), 0) for index in range(4)]
        outputs[2].zero_()
    assert model.computed == 2 and calls.image_evaluations == 8
    assert not torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[1], outputs[3])
    with recorded_calls(model) as all_computed:
        model(torch.ones(5, 4), 0)
    assert model.computed == 3 and all_computed.image_evaluations == 5
    assert "forward" not in vars(model)
