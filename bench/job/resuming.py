"""A rehearsal of what a long run will need: going on from a checkpoint as if nothing had happened."""

import copy
import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from bench.errors import ContractError
from bench.job.checkpoint import load_checkpoint, save_checkpoint
from bench.job.loading import load_submission
from bench.job.state import capture_state, first_difference, readable_place, restore_state
from bench.job.training import start_training, train_one_step
from bench.job.workload import Workload

REHEARSAL = "rehearsal"  # the run that the checkpoint belongs to


def resumes_as_it_was(work: Workload, model: nn.Module, step: int) -> bool:
    """Go on from a checkpoint in a fresh submission, and without one, and compare all bits after a step.

    Args:
        work: Whose submission is at the end of step ``step - 1``; it takes one more.
        model: Its network.
        step: Counted from 0.

    Returns:
        True; False if on this device the same step from the same checkpoint gives now this, now that.

    Raises:
        ContractError: If the checkpoint cannot be written, read or restored, or training goes on otherwise.
    """
    saved = _through_a_file(capture_state(work.submission, model), work)
    train_one_step(work.submission, work.batches, work.spec, step)
    straight = capture_state(work.submission, model)
    restored, resumed = _resumed(saved, work, step)
    difference = first_difference(straight, resumed)
    if difference is None:
        return True
    if first_difference(resumed, _resumed(saved, work, step)[1]) is not None:
        return False
    if restored is not None:
        raise ContractError(
            f"{readable_place(restored)} is not the same once it is restored from a checkpoint into what "
            "init_training makes; store tensors, numbers, lists and dicts"
        )
    raise ContractError(
        f"training goes on otherwise from a checkpoint: after one more step {readable_place(difference)} differs, "
        "and nothing that hangs on self did before it; what training changes may not be in a closure, a global, "
        "or an object whose state_dict leaves it out"
    )


def _through_a_file(state: dict[str, Any], work: Workload) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        save_checkpoint(path, REHEARSAL, {"state": state})
        content = load_checkpoint(path, REHEARSAL, work.device)
    if content is None:
        raise ContractError(
            "what hangs on self cannot be read back from a checkpoint; store tensors, numbers, strings, lists and "
            "dicts there, and in what a state_dict returns"
        )
    saved: dict[str, Any] = content["state"]
    return saved


def _resumed(saved: dict[str, Any], work: Workload, step: int) -> tuple[str | None, dict[str, Any]]:
    """What differs at once, and the state after one more step."""
    spec = work.spec
    submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
    model = start_training(submission, spec, work.budget, work.device)
    restore_state(submission, model, copy.deepcopy(saved))
    restored = first_difference(saved, capture_state(submission, model))
    train_one_step(submission, work.batches, spec, step)
    return restored, capture_state(submission, model)
