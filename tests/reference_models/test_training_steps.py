"""Training steps and moving averages against torch's and against hand computation."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from reference_models import ExponentialMovingAverage, adversarial_step, cross_entropy_step, to_bytes


def test_cross_entropy_step_is_one_gradient_step() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    images, labels = torch.randn(8, 3, 2, 2), torch.arange(8) % 5
    before = copy.deepcopy(model)
    loss = F.cross_entropy(before(images), labels)
    loss.backward()
    values = cross_entropy_step(model, torch.optim.SGD(model.parameters(), lr=0.1), images, labels)
    assert values["loss"].item() == pytest.approx(loss.item())
    assert values["accuracy"].item() == (before(images).argmax(1) == labels).float().mean().item()
    for ours, old in zip(model.parameters(), before.parameters(), strict=True):
        assert old.grad is not None and torch.allclose(ours, old - 0.1 * old.grad)


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).sigmoid().flatten()


@pytest.mark.parametrize(("real", "fake", "mean"), [(1.0, 0.0, False), (0.9, 0.1, True)])
def test_adversarial_step_updates_each_network_on_its_own_loss(real: float, fake: float, mean: bool) -> None:
    generator, discriminator = nn.Linear(2, 4), Discriminator()
    old_generator, old_discriminator = copy.deepcopy(generator), copy.deepcopy(discriminator)
    images, noise = torch.randn(6, 4), torch.randn(6, 2)
    values = adversarial_step(
        generator,
        discriminator,
        torch.optim.SGD(generator.parameters(), lr=0.1),
        torch.optim.SGD(discriminator.parameters(), lr=0.1),
        images,
        noise,
        real_label=real,
        fake_label=fake,
        mean_of_losses=mean,
    )
    generated = old_generator(noise)
    on_real, on_fake = old_discriminator(images), old_discriminator(generated.detach())
    # Binary cross-entropy written out.
    loss = -(real * on_real.log() + (1 - real) * (1 - on_real).log()).mean()
    loss = loss - (fake * on_fake.log() + (1 - fake) * (1 - on_fake).log()).mean()
    loss = loss / 2 if mean else loss
    loss.backward()
    assert values["discriminator_loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    assert old_discriminator.linear.weight.grad is not None
    assert torch.allclose(
        discriminator.linear.weight, old_discriminator.linear.weight - 0.1 * old_discriminator.linear.weight.grad
    )
    # The generator's loss uses the updated discriminator.
    generator_loss = -discriminator(generated).log().mean()
    generator_loss.backward()
    assert values["generator_loss"].item() == pytest.approx(generator_loss.item(), rel=1e-5)
    assert old_generator.weight.grad is not None
    assert torch.allclose(generator.weight, old_generator.weight - 0.1 * old_generator.weight.grad)


def test_to_bytes_rounds_and_clamps() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 0.004, 1.0, 1.5])
    assert to_bytes(values, -1, 1).tolist() == [0, 0, 128, 128, 255, 255]
    assert to_bytes(values, 0, 1).tolist() == [0, 0, 0, 1, 255, 255]
    all_bytes = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(all_bytes / 127.5 - 1, -1, 1), all_bytes)


def test_moving_average_copies_first_and_then_equals_torch() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    ours = ExponentialMovingAverage(network, decay=0.9, start=4)
    for update in range(10):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        ours.update()
        if update == 3:  # the last copied update; torch's average copies in its first update
            theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        if update >= 3:
            theirs.update_parameters(network)
        else:
            assert torch.equal(ours.averaged_weights()["0.weight"], network[0].weight)
    network[1].running_mean.fill_(5)
    averaged = ours.averaged_weights()
    assert list(averaged) == list(network.state_dict())
    assert torch.equal(averaged["1.running_mean"], network[1].running_mean)
    for name, parameter in theirs.module.named_parameters():
        assert torch.allclose(averaged[name], parameter, atol=1e-6)


def test_moving_average_resumes_from_its_state() -> None:
    network = nn.Linear(2, 2)
    first = ExponentialMovingAverage(network, decay=0.5, start=1)
    first.update()
    state = copy.deepcopy(first.state_dict())
    network.weight.data.add_(1)
    first.update()
    second = ExponentialMovingAverage(network, decay=0.5, start=1)
    second.load_state_dict(state)
    second.update()
    assert torch.equal(first.averaged_weights()["weight"], second.averaged_weights()["weight"])
