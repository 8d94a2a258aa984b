"""What a sampler costs, against closed forms."""

import pytest
import torch
from torch import Tensor, nn

from bench.measure.cost import MeasurementError
from bench.measure.sampling import recorded_calls, sampling_cost


class Denoiser(nn.Module):
    """4 x 4 MACs an image; notes how often it really computes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        self.computed = 0

    def forward(self, x: Tensor, time: int, *, label: Tensor | None = None) -> Tensor:
        self.computed += 1
        out: Tensor = self.linear(x) + time
        return out if label is None else out + label


def test_every_evaluation_counts_and_few_are_computed() -> None:
    model = Denoiser()

    def sample() -> Tensor:
        x = torch.ones(1, 4)
        for time in range(1000):
            x = x - 0.1 * model(x, 7 if time < 999 else 8)
        return x

    found = sampling_cost(model, sample)
    assert (found.evaluations, found.macs.macs, found.macs.by_operator) == (1000, 16_000, {"linear": 16_000})
    assert model.computed < 20
    model.computed = 0
    sample()
    assert model.computed == 1000  # it was left as it was


def test_batches_of_other_sizes_count_by_their_images() -> None:
    model = Denoiser()

    def guided() -> Tensor:
        x = torch.ones(1, 4)
        for _ in range(3):
            both = model(torch.cat([x, x]), 1)  # with and without a label, in one call
            x = both.mean(0, keepdim=True) + model(x, 1, label=torch.ones(1, 4))
        return x

    found = sampling_cost(model, guided)
    assert (found.evaluations, found.macs.macs) == (9, 9 * 16)


def test_work_outside_of_the_network_is_an_error() -> None:
    model, extra = Denoiser(), torch.randn(4, 4)
    with pytest.raises(MeasurementError, match=r"16 MACs outside of the network's calls"):
        sampling_cost(model, lambda: model(torch.ones(1, 4), 1) @ extra)
    with pytest.raises(MeasurementError, match="sample never called the model"):
        sampling_cost(model, lambda: torch.ones(1, 4))


def test_the_last_answer_is_repeated_as_a_copy() -> None:
    model = Denoiser()
    with recorded_calls(model, real=2) as calls:
        answers = [model(torch.full((2, 4), float(index)), 0) for index in range(4)]
        answers[2].zero_()
    assert model.computed == 2 and calls.image_evaluations == 8
    assert not torch.equal(answers[0], answers[1]) and torch.equal(answers[1], answers[3])
    with recorded_calls(model) as all_of_them:
        model(torch.ones(5, 4), 0)
    assert model.computed == 3 and all_of_them.image_evaluations == 5
    assert "forward" not in vars(model)
