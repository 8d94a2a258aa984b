"""What a checkpoint holds of a submission's attributes, and what it refuses."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from bench.errors import ContractError
from bench.job.checkpoints.state import capture_state, first_difference, restore_state


def submission(**attributes: Any) -> Any:
    return SimpleNamespace(config=None, **attributes)


def through_disk(state: dict[str, Any], tmp_path: Any) -> dict[str, Any]:
    torch.save(state, tmp_path / "state")
    loaded: dict[str, Any] = torch.load(tmp_path / "state", weights_only=True)
    return loaded


def test_everything_comes_back(tmp_path: Any) -> None:
    def make(fill: float, count: int) -> tuple[Any, nn.Module]:
        model = nn.Linear(2, 2)
        nn.init.constant_(model.weight, fill)
        critic = nn.Linear(1, 1)
        nn.init.constant_(critic.weight, fill)
        return submission(
            model=model,
            critics=[critic],
            average={"w": torch.full((3,), fill), "nested": {"n": count}},
            count=count,
            history=[fill] * count,
            best=None if count == 0 else torch.full((1,), fill),
            activation=torch.relu,
            pair=(count, torch.full((2,), fill)),
        ), model

    trained, model = make(0.5, 3)
    state = through_disk(capture_state(trained, model), tmp_path)
    fresh, fresh_model = make(0.0, 0)
    critic = fresh.critics[0]
    restore_state(fresh, fresh_model, state)
    assert torch.equal(fresh_model.weight, model.weight)
    assert fresh.critics[0] is critic and critic.weight.item() == 0.5  # filled in place, not replaced
    assert torch.equal(fresh.average["w"], torch.full((3,), 0.5)) and fresh.average["nested"] == {"n": 3}
    assert fresh.count == 3 and fresh.history == [0.5] * 3 and fresh.best.item() == 0.5
    assert fresh.pair[0] == 3 and torch.equal(fresh.pair[1], torch.full((2,), 0.5))
    assert fresh.activation is torch.relu and fresh.model is fresh_model


def test_an_optimizer_keeps_training_its_own_parameters(tmp_path: Any) -> None:
    def make() -> tuple[Any, nn.Module]:
        torch.manual_seed(0)
        model = nn.Linear(2, 1)
        return submission(optimizer=torch.optim.Adam(model.parameters(), 0.1)), model

    def step(item: Any, model: nn.Module) -> None:
        item.optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        item.optimizer.step()

    straight, model = make()
    step(straight, model)
    resumed, other = make()
    restore_state(resumed, other, through_disk(capture_state(straight, model), tmp_path))
    step(straight, model)
    step(resumed, other)
    assert torch.equal(model.weight, other.weight)


def test_a_sets_history_is_not_its_state(tmp_path: Any) -> None:
    """A set yields 0 and 8, which share a slot, in the order in which they came, as it does strings by chance."""
    model = nn.Linear(1, 1)
    grown, other = {8}, {0}
    grown.add(0)
    other.add(8)
    assert list(grown) != list(other)
    state = capture_state(submission(kinds=grown), model)
    assert first_difference(state, capture_state(submission(kinds=other), model)) is None
    fresh = submission(kinds=set())
    restore_state(fresh, model, through_disk(state, tmp_path))
    assert fresh.kinds == grown
    assert first_difference(state, capture_state(submission(kinds={0, 9}), model)) is not None


def test_what_cannot_be_restored_is_named() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(ContractError, match=r"self.things\['a'\]\[0\] is a object"):
        capture_state(submission(things={"a": [object()]}), model)
    state = capture_state(submission(critic=nn.Linear(1, 1)), model)
    with pytest.raises(
        ContractError, match="self.critic had state_dict and load_state_dict when the checkpoint was saved"
    ):
        restore_state(submission(critic=None), model, state)
    with pytest.raises(ContractError, match="self.critic is in the checkpoint"):
        restore_state(submission(), model, state)
