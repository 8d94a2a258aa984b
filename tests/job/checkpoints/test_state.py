"""Attributes of a submission in a checkpoint: which are restored, and which are refused."""

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


def test_all_kinds_of_attributes_are_restored(tmp_path: Any) -> None:
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


def test_restored_optimizer_updates_the_parameters_of_its_model(tmp_path: Any) -> None:
    def make() -> tuple[Any, nn.Module]:
        torch.manual_seed(0)
        model = nn.Linear(2, 1)
        return submission(optimizer=torch.optim.Adam(model.parameters(), 0.1)), model

    def step(instance: Any, model: nn.Module) -> None:
        instance.optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        instance.optimizer.step()

    original, model = make()
    step(original, model)
    resumed, resumed_model = make()
    restore_state(resumed, resumed_model, through_disk(capture_state(original, model), tmp_path))
    step(original, model)
    step(resumed, resumed_model)
    assert torch.equal(model.weight, resumed_model.weight)


def test_insertion_order_of_a_set_is_not_part_of_the_state(tmp_path: Any) -> None:
    """0 and 8 share a hash slot, so a set yields them in insertion order; the order of strings is random."""
    model = nn.Linear(1, 1)
    first, second = {8}, {0}
    first.add(0)
    second.add(8)
    assert list(first) != list(second)
    state = capture_state(submission(kinds=first), model)
    assert first_difference(state, capture_state(submission(kinds=second), model)) is None
    fresh = submission(kinds=set())
    restore_state(fresh, model, through_disk(state, tmp_path))
    assert fresh.kinds == first
    assert first_difference(state, capture_state(submission(kinds={0, 9}), model)) is not None


def test_attribute_that_cannot_be_restored_is_refused() -> None:
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
