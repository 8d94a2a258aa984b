"""Reports, progress and failures that a job's phases write for the parent process."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, model_validator

from bench.contract.documents.schema import Line, Strict, with_current_names
from bench.contract.documents.validation import describe_validation_error
from bench.contract.jobs.spec import Execution
from bench.contract.records.record import Cost, Curves, Status, Throughput
from bench.errors import RunFailed

ReportT = TypeVar("ReportT", bound=Strict)


class Problem(Strict):
    """A violation found in a submission, in one line."""

    status: Status
    message: Line


class GpuLoad(Strict):
    """GPU utilisation and memory of one training that runs alone on the GPU."""

    busy: float  # fraction of a step's time in which a kernel runs, in (0, 1]
    memory_bytes: int  # peak memory reserved by torch


class StoredTensor(Strict):
    """A tensor of a network's final weights."""

    dtype: str  # torch's name without the module, such as float32
    shape: list[int] | None  # None if it depends on the training data (torch's quantisation modules)


class HandedInWeights(Strict):
    """The report of the weights phase: what a weights file that was trained elsewhere holds."""

    tensors: dict[str, StoredTensor]
    not_finite: list[str]  # names of tensors with NaN or an infinity
    sha256: str  # of the safetensors file that the phase wrote


class Verification(Strict):
    """The result of the verify phase. ``cost`` is None only if the network could not be built and run."""

    config: dict[str, Any]
    cost: Cost | None
    problems: list[Problem]
    tested: list[Line] = []  # checks that ran and passed for this kind of submission
    over_caps: list[Line] = []  # cap and budget violations: the variant is measured but not ranked
    warnings: list[Line] = []  # what may make a run unranked, or hard to reproduce
    training_steps_per_s: Throughput | None = None
    inference_images_per_s: Throughput | None = None
    execution: Execution = Execution()  # the fastest one measured
    tried: dict[str, float] = {}  # execution mode -> training steps per second
    load: GpuLoad | None = None  # None on a CPU
    final_weights: dict[str, StoredTensor] = {}
    parameters: list[str] = []  # names in ``final_weights`` that are parameters; the others are buffers
    environment: dict[str, Any]


class RunContext(Strict):
    """The context in which a run started, for the process that writes its record, maybe on another machine."""

    verification: Verification
    jobs_side_by_side: int
    sandbox: dict[str, str]
    started_at: str

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, content: Any) -> Any:
        return with_current_names(content, {"walls": "sandbox"})


class TrainingReport(Strict):
    """The report of the train phase, written next to the weights."""

    steps: int
    batch_size: int
    epochs: float
    params_after: int
    curves: Curves
    weights_sha256: str
    updates: dict[str, int]  # optimizer -> number of its steps
    seconds: float  # in training steps only, summed over all resumed segments
    resumes: int
    peak_memory_bytes: int
    environment: dict[str, Any]


class EvaluationReport(Strict):
    """The report of the evaluate phase, written next to the predictions."""

    images: int
    batch_independent: bool | None
    batch_dependence: float | None
    image_evaluations: int | None = None  # images passed through a generator's network, summed over its calls
    sampling_seconds: float | None = None  # for all samples, summed over all resumed segments
    seconds: float
    peak_memory_bytes: int


class Scores(Strict):
    """The report of the score phase: metrics of samples, or of real images in their place."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]  # 95 %
    as_published: dict[str, float]
    not_measured: dict[str, str]  # metric -> reason
    weights: dict[str, str]  # network -> sha256 of its tensors
    seconds: float
    peak_memory_bytes: int
    environment: dict[str, Any]


class Progress(Strict):
    """Progress of a phase. Only displays use it; records take no value from it."""

    phase: Annotated[Line, Field(max_length=40)]
    done: int = Field(ge=0, le=10**15)
    total: int = Field(ge=0, le=10**15)
    loss: float | None = None


class Failure(Strict):
    """The status and reason of a phase that ended without its report."""

    status: Status
    reason: Line


def read_report(path: Path, schema: type[ReportT]) -> ReportT:
    """Read and validate a report that a phase wrote.

    Raises:
        RunFailed: If the file is missing or violates the schema.
    """
    try:
        return schema.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunFailed(f"{path.name}: the phase did not write this file ({error.strerror})") from None
    except ValidationError as error:
        raise RunFailed(describe_validation_error(path.name, error)) from None
