"""Recording and replaying a step, with a tape of operators on the CPU in place of a CUDA graph."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.contract.jobs.files import WEIGHTS
from bench.contract.jobs.reports import TrainingReport
from bench.contract.jobs.spec import Execution, JobSpec
from bench.contract.tracks import load_tracks
from bench.files import REPOSITORY
from bench.harness.commands.verify import verification_spec
from bench.harness.submissions.discovery import discover
from bench.job.phases.training import Trainer
from bench.job.phases.verification import Verifier
from bench.job.steps.cuda_graph import StepNumber
from bench.job.steps.execution import choose_execution
from bench.job.steps.workload import Workload
from tests.job.making_jobs import make_generator_spec, make_spec

SUBMISSIONS, _ = discover([REPOSITORY / "submissions"], load_tracks())
FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select")  # while a stream is captured


class Tape(TorchDispatchMode):
    """Records operators with their arguments, and replays them into the same memory.

    Unlike a CUDA graph it computes while it records, so its first replay does nothing.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorded: list[tuple[Any, Any, Any, Any]] = []
        self.just_recorded = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in FORBIDDEN:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = func(*args, **(kwargs or {}))
        self.recorded.append((func, args, kwargs or {}, result))
        return result

    def record(self, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        with self:
            return work()

    def replay(self) -> None:
        if self.just_recorded:
            self.just_recorded = False
            return
        with torch.no_grad():
            for func, args, kwargs, recorded in self.recorded:
                replayed = func(*args, **kwargs)
                for old, new in zip(tree_leaves(recorded), tree_leaves(replayed), strict=True):
                    if (
                        isinstance(old, Tensor)
                        and old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr()
                    ):
                        old.copy_(new)


@pytest.fixture(autouse=True)
def taped(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("phases.training", "steps.workload"):
        monkeypatch.setattr(f"bench.job.{module}.CudaRecorder", Tape)


GRAPHED = Execution(graphed=True)
# The tiny submission's OneCycle schedule changes momentum too, which a graph cannot follow.
STEADY = {"init": "self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, budget.steps)"}


def trained(spec: JobSpec) -> tuple[TrainingReport, dict[str, Tensor]]:
    report = Trainer(spec).run()
    return report, load_file(spec.work / WEIGHTS)


def test_replayed_steps_are_bit_identical_to_eager_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a schedule, dropout, an EMA, batch statistics and an optimizer's step counter."""
    for name in ("eager", "graph"):
        (tmp_path / name).mkdir()
    report, weights = trained(make_spec(tmp_path / "graph", changes=STEADY, execution=GRAPHED, steps=12))
    monkeypatch.setattr("bench.job.phases.training.CudaRecorder", lambda: None)  # still the capturable optimizer
    expected, other = trained(make_spec(tmp_path / "eager", changes=STEADY, execution=GRAPHED, steps=12))
    assert report.curves == expected.curves and report.updates == expected.updates == {"optimizer": 12}
    assert weights.keys() == other.keys()
    assert all(torch.equal(weights[name], other[name]) for name in weights)


def test_graphed_training_has_the_losses_of_the_eager_one(tmp_path: Path) -> None:
    for name in ("plain", "graph"):
        (tmp_path / name).mkdir()
    eager, _ = trained(make_spec(tmp_path / "plain", changes=STEADY, steps=12))
    graph, _ = trained(make_spec(tmp_path / "graph", changes=STEADY, execution=GRAPHED, steps=12))
    assert graph.curves.values["loss"] == pytest.approx(eager.curves.values["loss"], rel=1e-4)
    assert len(set(graph.curves.values["loss"])) == 12


def test_graphed_training_resumes_bit_identically(tmp_path: Path) -> None:
    for name in ("uninterrupted", "resumed"):
        (tmp_path / name).mkdir()
    uninterrupted = make_spec(tmp_path / "uninterrupted", changes=STEADY, execution=GRAPHED, steps=12)
    interrupted = make_spec(tmp_path / "resumed", changes=STEADY, execution=GRAPHED, steps=12)
    expected, weights = trained(uninterrupted)
    trained(interrupted.model_copy(update={"until": 7}))
    report, resumed = trained(interrupted)
    assert report.resumes == 1 and report.updates == expected.updates
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)


def test_graphed_training_of_a_generator_resumes_after_its_grids_of_samples(tmp_path: Path) -> None:
    """A grid, here after steps 1, 2, 4 and 8, replaces the optimizer's tensors; replays must use the new ones."""
    for name in ("uninterrupted", "resumed"):
        (tmp_path / name).mkdir()
    adam = {"init": "self.optimizer = torch.optim.Adam(model.parameters(), lr=0.1)"}
    uninterrupted, interrupted = (
        make_generator_spec(tmp_path / name, changes=adam, execution=GRAPHED, steps=16)
        for name in ("uninterrupted", "resumed")
    )
    _, weights = trained(uninterrupted)
    trained(interrupted.model_copy(update={"until": 13}))
    _, resumed = trained(interrupted)
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)


CONSTANT = {**STEADY, "loss": "loss = loss * torch.tensor([0.5, 0.25]).mul_(2)[0]"}


def test_constants_from_the_host_are_made_before_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``torch.tensor`` copies from the host, which a stream in capture refuses; a step may change its result."""
    monkeypatch.setattr("tests.job.steps.test_cuda_graph.FORBIDDEN", (*FORBIDDEN, "lift_fresh"))
    assert Workload(make_spec(tmp_path, changes=CONSTANT)).graph_problem() is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({**STEADY, "loss": "loss = loss * torch.tensor(float(step))"}, "reads the step number"),
        ({}, "changes optimizer"),  # OneCycleLR changes betas
        ({**STEADY, "step": "self.count = getattr(self, 'count', 0) + 1"}, "changes count"),
        ({**STEADY, "loss": "loss = loss * (1 + step)"}, "reads the step number"),
        ({**STEADY, "loss": "loss = loss if step % 5 else 2 * loss"}, "reads the step number"),
        ({**STEADY, "loss": "import random; loss = loss * random.random()"}, "changes python_random"),
        ({**STEADY, "loss": "import numpy; loss = loss * numpy.random.rand()"}, "changes numpy_random"),
        (
            {**STEADY, "loss": "loss = loss * (2 if loss.item() > 0 else 1)"},
            "the step cannot be recorded: operation",
        ),
        (
            {"init": "self.optimizer = torch.optim.LBFGS(model.parameters())"},
            r"optimizer self.optimizer \(LBFGS\) cannot be recorded: it has neither a fused",
        ),
    ],
)
def test_step_that_depends_on_the_host_is_refused_with_the_reason(
    changes: dict[str, str], reason: str, tmp_path: Path
) -> None:
    spec = make_spec(tmp_path, changes=changes, speed_seconds=0.05, compile="graph")
    problem = Workload(spec).graph_problem()
    assert problem is not None and re.search(reason, problem), problem


def test_graph_is_chosen_by_speed_and_a_refusal_is_a_warning(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, changes=STEADY, speed_seconds=0.05, compile="graph")
    report = Verifier(spec).run()
    assert not report.problems and set(report.tried) == {"eager", "graph"}
    assert report.execution.graphed == (report.tried["graph"] > report.tried["eager"])
    (tmp_path / "other").mkdir()
    refused = Verifier(make_spec(tmp_path / "other", speed_seconds=0.05, compile="graph")).run()
    assert not refused.problems and set(refused.tried) == {"eager"} and not refused.execution.graphed
    assert any(
        "they cannot be recorded as a CUDA graph: train_step changes" in warning for warning in refused.warnings
    )


@pytest.mark.parametrize(("graph", "graphed"), [(2.0, True), (0.5, False)])
def test_faster_of_graph_and_eager_is_chosen(graph: float, graphed: bool, tmp_path: Path) -> None:
    from tests.job.steps.test_execution import rate

    current: list[Execution] = []

    def make_step(execution: Execution) -> Callable[[], dict[str, Tensor]]:
        current[:] = [execution]
        return lambda: {"loss": torch.tensor(1.0)}

    spec = make_spec(tmp_path, compile="graph")
    choice = choose_execution(
        spec, make_step, lambda step: rate(graph if current[0].graphed else 1.0), lambda: None
    )
    assert choice.execution.graphed is graphed and choice.tried == {"eager": 1.0, "graph": graph}


def test_generator_step_can_be_recorded(tmp_path: Path) -> None:
    assert Workload(make_generator_spec(tmp_path)).graph_problem() is None


@pytest.mark.parametrize("name", [submission.name for submission in SUBMISSIONS])
def test_submissions_of_the_papers_can_be_recorded(name: str) -> None:
    """Nearly all can be recorded, with torch's schedulers, augmentations and two optimizers."""
    (submission,) = [submission for submission in SUBMISSIONS if submission.name == name]
    spec = verification_spec(submission, "base", "cpu").model_copy(
        update={"overrides": {**submission.manifest.overrides("base", "official"), "batch_size": 8}}
    )
    problem = Workload(spec).graph_problem()
    if name in NOT_REPLAYED:
        assert problem is not None and NOT_REPLAYED[name] in problem
    else:
        assert problem is None


NOT_REPLAYED = {
    "convnext_ddpm": "changes average.state.updates on the host",  # its EMA's count
    "densenet_bc": "differs from that of an eager step",  # on a CPU, AugMix groups images by their drawn operation
}


USES: list[Callable[[int], object]] = [
    lambda n: n + 1, lambda n: 1 - n, lambda n: n % 3, lambda n: n == 2, lambda n: n < 4, lambda n: -n,
    lambda n: n**2, lambda n: f"{n}", lambda n: {n: 1}, lambda n: min(n, 3), lambda n: divmod(n, 2),
    math.cos, bool, float,
]  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_use_of_the_step_number_is_recorded(use: Callable[[int], object]) -> None:
    number, unused = StepNumber(5), StepNumber(5)
    assert use(number) == use(5)
    assert number.reads != [] and len(unused.reads) == 0


def test_unrecorded_use_of_the_step_number_is_found_by_replay(tmp_path: Path) -> None:
    """Indexing a list is not recorded as a read; a replay of a step far into the training shows it."""
    late = {**STEADY, "loss": "loss = loss * ([1.0] * 2000 + [2.0] * 8000)[step]"}
    problem = Workload(make_spec(tmp_path, changes=late, steps=10_000)).graph_problem()
    assert problem == "in step 3,333, the replayed loss differs from that of an eager step"
