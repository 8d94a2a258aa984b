"""Training takes exactly the budgeted steps, and a resumed run is bit-identical to an uninterrupted one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bench.contract.jobs.files import CHECKPOINT, REPORT, WEIGHTS
from bench.contract.jobs.reports import TrainingReport, read_report
from bench.contract.jobs.spec import Execution
from bench.job.checkpoints.checkpoint import run_id
from bench.job.phases.training import Trainer, seed_generators, train
from tests.job.making_jobs import make_spec


class Interrupted(Exception):
    pass


def interrupt_after(trainer: Trainer, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``train_step`` raise after ``steps`` more steps."""
    completed = [0]
    original = trainer.submission.train_step

    def step(*arguments: Any) -> Any:
        if completed[0] == steps:
            raise Interrupted
        completed[0] += 1
        return original(*arguments)

    monkeypatch.setattr(trainer.submission, "train_step", step)


def test_training_takes_exactly_the_budgeted_steps(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    trainer = Trainer(spec)
    seen: list[tuple[int, int]] = []
    original = trainer.submission.train_step
    trainer.submission.train_step = lambda batch, step: (  # type: ignore[method-assign, assignment]
        seen.append((step, len(batch.labels))) or original(batch, step)  # type: ignore[func-returns-value]
    )
    report = trainer.run()
    assert seen == [(step, 16) for step in range(12)]
    assert report.steps == 12 and report.epochs == pytest.approx(12 * 16 / 720)
    assert report.curves.steps == list(range(1, 13)) and len(report.curves.values["loss"]) == 12
    assert report.params_after == 8 * 27 + 8 + 16 + 8 * 4 + 4


@pytest.mark.parametrize("stops", [[5], [1, 1, 1, 1], [3, 8], [11]])
def test_resumed_run_is_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int]) -> None:
    # The tiny network has everything a checkpoint must hold: weights, BN statistics, AdamW, OneCycle, an EMA
    # kept as a dict of tensors, dropout from the global generator; the loss uses numpy's and Python's generators.
    random_draws = {
        "loss": "import random, numpy\nloss = loss * (1 + 0.1 * random.gauss(0, 1) + 0.1 * numpy.random.randn())"
    }
    uninterrupted = make_spec(tmp_path, "uninterrupted", random_draws)
    train(uninterrupted)
    resumed = make_spec(tmp_path, "resumed", random_draws, checkpoint_seconds=0.0)
    for steps in stops:
        trainer = Trainer(resumed)
        interrupt_after(trainer, steps, monkeypatch)
        with pytest.raises(Interrupted):
            trainer.run()
    train(resumed)
    first, second = (load_file(spec.work / WEIGHTS) for spec in (uninterrupted, resumed))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    reports = [read_report(spec.work / REPORT["train"], TrainingReport) for spec in (uninterrupted, resumed)]
    assert reports[0].curves == reports[1].curves
    assert reports[1].resumes == len(stops)
    assert reports[1].environment == reports[0].environment  # equal conditions: no earlier segments


def test_segments_under_other_conditions_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(tmp_path, checkpoint_seconds=0.0)
    for threads, steps in ((4, 3), (4, 2), (2, 4)):  # recorded only; torch's thread count does not change
        trainer = Trainer(spec)
        trainer.environment["threads"] = threads
        interrupt_after(trainer, steps, monkeypatch)
        with pytest.raises(Interrupted):
            trainer.run()
    compiled = spec.model_copy(update={"execution": Execution(compiled=False, precision="bf16")})
    trainer = Trainer(compiled)
    trainer.environment["threads"] = 2
    environment = trainer.run().environment
    assert environment["threads"] == 2
    plain = {"precision": "fp32", "compiled": False, "memory_format": "channels_last"}
    assert environment["earlier_segments"] == [
        {"from_step": 0, "to_step": 5, "execution": plain, "threads": 4},
        {"from_step": 5, "to_step": 9, "execution": plain},
    ]


def test_different_seeds_give_different_weights(tmp_path: Path) -> None:
    hashes = {Trainer(make_spec(tmp_path, f"net{seed}", seed=seed)).run().weights_sha256 for seed in range(3)}
    assert len(hashes) == 3


@pytest.mark.parametrize("damage", ["truncated", "garbage", "another run's"])
def test_unusable_checkpoint_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = make_spec(tmp_path, checkpoint_seconds=0.0)
    trainer = Trainer(spec)
    interrupt_after(trainer, 4, monkeypatch)
    with pytest.raises(Interrupted):
        trainer.run()
    path = spec.work / CHECKPOINT
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "garbage":
        path.write_bytes(b"garbage")
    else:
        spec = spec.model_copy(update={"seed": 1})
    report = Trainer(spec).run()
    assert report.resumes == 0 and report.steps == 12
    assert path.with_suffix(".unusable").exists()


def test_seed_generators_draws_as_torch_manual_seed() -> None:
    for seed in (0, 7, 2**63 - 1):
        torch.manual_seed(seed)
        expected = torch.rand(8), torch.randn(8), torch.randperm(8)
        seed_generators(seed, torch.device("cpu"))
        draws = torch.rand(8), torch.randn(8), torch.randperm(8)
        assert all(torch.equal(ours, reference) for ours, reference in zip(draws, expected, strict=True))


def test_parameters_created_in_training_are_refused(tmp_path: Path) -> None:
    grows = {"step": "if step == 5: self.other = torch.optim.SGD([nn.Parameter(torch.zeros(9))], 0.1)"}
    with pytest.raises(Exception, match="hidden parameters: optimizer"):
        Trainer(make_spec(tmp_path, changes=grows)).run()


def test_buffer_changed_in_the_last_step_counts_as_parameters(tmp_path: Path) -> None:
    late = {
        "network": 'self.register_buffer("table", torch.zeros(4))',
        "step": "if step == 11: self.model.table += 1",
    }
    report = Trainer(make_spec(tmp_path, changes=late)).run()
    assert report.params_after == 8 * 27 + 8 + 16 + 8 * 4 + 4 + 4


@pytest.mark.parametrize(
    ("network", "step", "forward", "message"),
    [
        (
            "self.table = torch.zeros(4)",
            "if step == 11: self.model.table += 1",
            "logits = logits + self.table",
            "gives other outputs than the trained network",
        ),
        (
            "self.stage = 0",
            "if step == 7: self.model.stage = 1",
            "logits = logits * (1 + self.stage)",
            "a number or mode that training sets on a module",
        ),
    ],
    ids=["plain tensor", "number on a module"],
)
def test_state_that_the_rebuilt_network_would_lack_is_refused(
    tmp_path: Path, network: str, step: str, forward: str, message: str
) -> None:
    changes = {"network": network, "step": step, "forward": forward}
    with pytest.raises(Exception, match=message):
        Trainer(make_spec(tmp_path, changes=changes)).run()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("if step == 5: self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1)", "self.optimizer was"),
        ("if step == 5: self.call = torch.tanh", "self.call was"),
        ("if step == 5: self.optimizer.add_param_group({'params': []})", "of 1 groups"),
    ],
)
def test_change_that_a_checkpoint_cannot_restore_ends_the_run(tmp_path: Path, step: str, message: str) -> None:
    spec = make_spec(tmp_path, changes={"init": "self.call = torch.relu", "step": step}, checkpoint_seconds=0.0)
    with pytest.raises(Exception, match=message):
        Trainer(spec).run()


def test_run_id_ignores_the_work_folder_and_resource_limits(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    relocated = {"work": tmp_path / "moved", "threads": 7, "memory_bytes": 2**30, "file_bytes": 5}
    assert run_id(spec.model_copy(update=relocated)) == run_id(spec)
    assert run_id(spec.model_copy(update={"seed": 1})) != run_id(spec)
    other_data = spec.data.model_copy(update={"train_images": spec.data.evaluation_images})
    assert run_id(spec.model_copy(update={"data": other_data})) != run_id(spec)
