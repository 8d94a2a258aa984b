"""What passes between the parent process, which owns the results, and a job's processes.

A job is one (submission, variant, seed). Each of its phases (verify, train, evaluate, score) is a process with a
folder of its own, ``work/<phase>``, where it reads ``spec.json`` and leaves one of these results. Weights cross as
safetensors and predictions as raw arrays; nothing that a submission prints is ever parsed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from bench.contract.manifest import AsPublished, describe_validation_error
from bench.contract.plain import Line
from bench.contract.records import Cost, Curves, Rate, Status
from bench.contract.strict import Strict
from bench.contract.tracks import Protocol
from bench.errors import RunFailed

ReportT = TypeVar("ReportT", bound=Strict)
Precision = Literal["fp32", "tf32", "bf16"]
Compile = Literal["auto", "on", "off", "graph"]
Phase = Literal["verify", "train", "evaluate", "score", "floor", "profile"]

EVENTS_FD = "BENCH_EVENTS_FD"  # environment variable: the file descriptor that progress goes to

PARENT_PID = "BENCH_PARENT_PID"  # environment variable: the process whose end ends a phase

WORK = "work"  # beside a record, in its folder: what its processes leave for one another

BEGUN = "begun.json"  # in it

# Names inside a phase's folder there.
SPEC = "spec.json"
FAILURE = "failure.json"
REPORT = {
    "verify": "verification.json",
    "train": "training.json",
    "evaluate": "evaluation.json",
    "score": "scores.json",
    "floor": "scores.json",
    "profile": "profile.json",
}
WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.pt"
LOGITS = "logits.npy"
AS_PUBLISHED_LOGITS = "logits-as-published.npy"
SAMPLES = "samples.npy"
AS_PUBLISHED_SAMPLES = "samples-as-published.npy"
# What a phase is given of what an earlier one left: file -> that phase.
INPUTS: dict[str, dict[str, Phase]] = {
    "evaluate": {WEIGHTS: "train"},
    "score": {SAMPLES: "evaluate", AS_PUBLISHED_SAMPLES: "evaluate"},
}
TRACE = "trace.json"  # of a profile, for chrome://tracing or Perfetto
PROGRESS_FOLDER = "progress"  # a grid of samples every so often while training


@dataclass(frozen=True)
class Picture:
    """A sheet of images: the array that a process leaves, the PNG beside the record, images a row."""

    array: str
    png: str
    columns: int = 8


GRID = Picture("grid.npy", "samples.png")
AS_PUBLISHED_GRID = Picture("grid-as-published.npy", "samples-as-published.png")
CLASSES = Picture("classes.npy", "classes.png")  # a row a class, the same noise in a column
LINEAR = Picture("interpolation-linear.npy", "interpolation-linear.png")
SLERP = Picture("interpolation-slerp.npy", "interpolation-slerp.png")
NEAREST = Picture("nearest.npy", "nearest-train.png", columns=10)  # a row of samples, below it their neighbours
PICTURES = (GRID, AS_PUBLISHED_GRID, CLASSES, LINEAR, SLERP, NEAREST)


class ArrayFile(Strict):
    """An array on disk, and the hash of its file: what is read later must be what was written."""

    path: Path
    sha256: str


class JobData(Strict):
    """The data a job works on, each array a file of its own: there is none of the evaluation labels.

    A verification has no data. The score phase, which runs no submission code, reads the data sets themselves.
    """

    name: str
    root: Path  # for the score phase
    train_images: ArrayFile | None = None  # (N, C, H, W) uint8
    train_labels: ArrayFile | None = None  # (N,) int64
    evaluation_images: ArrayFile | None = None  # (M, C, H, W) uint8
    image_shape: tuple[int, int, int]
    num_classes: int
    channel_mean: tuple[float, ...]
    channel_std: tuple[float, ...]


class Execution(Strict):
    """How a training's steps are computed. What they compute is the same, but for rounding."""

    # tf32: products and convolutions round their factors to 10 bits, on a GPU. bf16: autocast around the step.
    # Weights and optimizers stay in float32.
    precision: Precision = "fp32"
    compiled: bool = False  # by torch.compile; on a GPU into CUDA graphs
    graphed: bool = False  # the whole step as one CUDA graph, optimizers fused
    memory_format: Literal["channels_last"] = "channels_last"  # of convolution weights

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What records had before there were graphs stays as it was."""
        content: dict[str, Any] = write(self)
        if not self.graphed:
            del content["graphed"]
        return content


class JobSpec(Strict):
    """All that a job's process needs to know."""

    submission: str
    folder: Path  # holds model.py
    variant: str
    overrides: dict[str, Any]
    seed: int
    protocol: Protocol
    steps: int  # of this run: the protocol's, unless the submission or its variant takes others
    until: int | None = None  # train this far now, to be evaluated and gone on with; None to the end
    data: JobData
    as_published: AsPublished | None
    device: str  # "cpu", "cuda" or "cuda:1"
    threads: int
    work: Path
    checkpoint_seconds: float = 30.0  # 0 for one after every step
    speed_seconds: float = 2.0  # for each of two measurements of speed while verifying; 0 for none
    speed_images: int = 256  # a call of the network while its speed is measured
    memory_bytes: int | None = None  # that one process may allocate, on a CPU
    file_bytes: int = 8 * 1024**3  # of the largest file that a process may write
    execution: Execution = Execution()
    compile: Compile = "off"  # whether a verification tries it
    runs_ahead: int = 1  # trainings that a choice is made for
    machine: dict[str, Any] | None = None  # what its executor knows of it; None to look again
    declared: dict[str, dict[str, Any]] = {}  # place in submission.yaml -> config fields that it sets
    compiled: Path | None = None  # where the compiler keeps what it made for others to use; None in ``work``

    @property
    def ends(self) -> bool:
        """Whether this training goes to its end, so that nothing will be resumed from it."""
        return self.until is None or self.until >= self.steps


class Problem(Strict):
    """What is wrong with a submission, in one line."""

    status: Status
    message: Line


class Load(Strict):
    """How much of a GPU one training fills that has it to itself."""

    busy: float  # share of a step's time in which a kernel runs, in (0, 1]
    memory_bytes: int  # most that torch has reserved


class Verification(Strict):
    """What the verify phase found. A cost is there whenever the network could be built and run."""

    config: dict[str, Any]
    cost: Cost | None
    problems: list[Problem]
    tested: list[Line] = []  # what was tried on this kind of submission, and held
    over_caps: list[Line] = []  # by what a variant leaves the contest: it is measured, and never ranks
    warnings: list[Line] = []  # what may keep a run off the ranking, or makes it hard to repeat
    training_steps_per_s: Rate | None = None
    inference_images_per_s: Rate | None = None
    execution: Execution = Execution()  # what was fastest
    tried: dict[str, float] = {}  # way of computing a step -> steps a second
    load: Load | None = None  # None on a CPU
    environment: dict[str, Any]


class Begun(Strict):
    """What a run's command knew when it began: for whoever writes the record, which may be another machine."""

    verification: Verification
    jobs_side_by_side: int
    walls: dict[str, str]
    started_at: str


class TrainingReport(Strict):
    """What the train phase leaves beside the weights."""

    steps: int
    batch_size: int
    epochs: float
    params_after: int
    curves: Curves
    weights_sha256: str
    updates: dict[str, int]  # optimizer -> steps that it took
    seconds: float  # of training proper, summed over resumptions
    resumes: int
    peak_memory_bytes: int
    environment: dict[str, Any]


class EvaluationReport(Strict):
    """What the evaluate phase leaves beside the predictions."""

    images: int
    batch_independent: bool | None
    batch_dependence: float | None
    image_evaluations: int | None = None  # of a generator's network, each image of a batch counted as one
    sampling_seconds: float | None = None  # of all samples, summed over resumptions
    seconds: float
    peak_memory_bytes: int


class Scores(Strict):
    """What the score phase leaves: figures of samples, or of real images in their place."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]  # 95 %
    as_published: dict[str, float]
    not_measured: dict[str, str]  # metric -> why
    weights: dict[str, str]  # network -> sha256 of its tensors
    seconds: float
    peak_memory_bytes: int
    environment: dict[str, Any]


class Progress(Strict):
    """How far a phase is. It feeds displays only; no figure of a record is taken from it."""

    phase: Annotated[Line, Field(max_length=40)]
    done: int = Field(ge=0, le=10**15)
    total: int = Field(ge=0, le=10**15)
    loss: float | None = None


class Failure(Strict):
    """Why a phase ended without its report."""

    status: Status
    reason: Line


def read_report(path: Path, schema: type[ReportT]) -> ReportT:
    """Read what a phase left.

    Raises:
        RunFailed: If it is absent or not what the harness writes.
    """
    try:
        return schema.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunFailed(f"{path.name}: the phase left none ({error.strerror})") from None
    except ValidationError as error:
        raise RunFailed(describe_validation_error(path.name, error)) from None
