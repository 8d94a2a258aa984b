"""Check before training that a run resumed from a checkpoint is bit-identical to an uninterrupted one."""

import copy
import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from bench.errors import ContractError
from bench.job.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from bench.job.checkpoints.state import capture_state, first_difference, readable_path, restore_state
from bench.job.loading import load_submission
from bench.job.phases.training import start_training, train_one_step
from bench.job.steps.workload import Workload

REHEARSAL = "rehearsal"  # run ID in the checkpoint


def check_resumption(work: Workload, model: nn.Module, step: int) -> bool:
    """Take a step with and without restoring a checkpoint into a fresh submission, and compare all bits.

    Args:
        work: The workload whose submission has finished step ``step - 1``; it takes one more step.
        model: Its network.
        step: The step to take, counted from 0.

    Returns:
        True; False if training is not reproducible on this device: the same step from the same checkpoint gives
        different bits.

    Raises:
        ContractError: If the checkpoint cannot be written, read or restored, or the resumed training differs.
    """
    saved = _saved_and_loaded(capture_state(work.submission, model), work)
    train_one_step(work.submission, work.batches, work.spec, step)
    uninterrupted = capture_state(work.submission, model)
    restore_difference, resumed = _resumed(saved, work, step)
    difference = first_difference(uninterrupted, resumed)
    if difference is None:
        return True
    if first_difference(resumed, _resumed(saved, work, step)[1]) is not None:
        return False
    if restore_difference is not None:
        raise ContractError(
            f"{readable_path(restore_difference)} differs after a checkpoint is restored into a fresh "
            "submission; store tensors, numbers, lists and dicts"
        )
    raise ContractError(
        f"a resumed training differs from an uninterrupted one: after one more step {readable_path(difference)} "
        "differs, although all attributes of self were restored correctly; keep training state in attributes of "
        "self, not in a closure, a global, or an object whose state_dict omits it"
    )


def _saved_and_loaded(state: dict[str, Any], work: Workload) -> dict[str, Any]:
    """Return ``state`` after writing it to a checkpoint file and reading it back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        save_checkpoint(path, REHEARSAL, {"state": state})
        content = load_checkpoint(path, REHEARSAL, work.device)
    if content is None:
        raise ContractError(
            "the attributes of self cannot be read back from a checkpoint; store tensors, numbers, strings, lists "
            "and dicts in them, and in every state_dict"
        )
    saved: dict[str, Any] = content["state"]
    return saved


def _resumed(saved: dict[str, Any], work: Workload, step: int) -> tuple[str | None, dict[str, Any]]:
    """Restore ``saved`` into a fresh submission and take one step.

    Returns:
        Path of the first difference right after restoring (None if there is none), and the state after the step.
    """
    spec = work.spec
    submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
    model = start_training(submission, spec, work.budget, work.device)
    restore_state(submission, model, copy.deepcopy(saved))
    restore_difference = first_difference(saved, capture_state(submission, model))
    train_one_step(submission, work.batches, spec, step)
    return restore_difference, capture_state(submission, model)
