"""Records: one immutable JSON file with a checksum per run, from which all tables are made.

A value that was not measured is null, never 0, with a reason in ``not_measured``. Every value that may differ
between two runs of the same seed on the same machine is in ``timing``.
"""

from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from bench.contract.documents.schema import Line, LogLine, Strict, with_current_names
from bench.contract.manifest import AsPublished, Claims, label_of
from bench.contract.records.environment import RecordedEnvironment
from bench.contract.tracks import OFFICIAL, Advice, Protocol
from bench.files import hash_json

SCHEMA_VERSION = 3
READABLE_VERSIONS = (2, 3)  # version 2 has former names of some fields, see with_current_names
NOISY = 0.1  # background load above which a measured speed is marked as noisy
Status = Literal["ok", "pruned", "cap", "contract", "oom", "timeout", "limit", "signal", "nan", "error"]


class Identity(Strict):
    """The settings that identify a run. A repeated command skips runs with the same hash."""

    submission: str  # name
    variant: str  # name; "base" for the submission itself
    seed: int
    overrides: dict[str, Any]  # config fields set by variant and profile
    source_hash: str  # of the submission's code and the code of this repository that it imports (``fingerprint``)
    protocol_hash: str  # ``Protocol.hash``
    data_fingerprints: dict[str, str]  # split -> sha256 of its images and labels
    device_type: str  # "cpu" or "cuda"
    precision: str  # "fp32", "tf32" or "bf16"
    steps: int  # training steps of the run
    # The manifest's `as_published` without `why`: how the author's metrics are computed, besides the default ones.
    as_published: dict[str, Any] | None

    @property
    def hash(self) -> str:
        """The first 8 hex digits of the sha256 of all fields."""
        return hash_json(self.model_dump(mode="json"))[:8]


class DataUsed(Strict):
    """The data set that a run used."""

    name: str  # name of the data set
    stand_in_for: str | None  # the track's data set, if another one was used instead
    images: dict[str, int]  # split -> number of images
    image_shape: tuple[int, int, int]  # (C, H, W)
    num_classes: int
    channel_mean: tuple[float, ...]  # of the training images, scaled to [0, 1]
    channel_std: tuple[float, ...]  # likewise
    evaluation_images_also_in_train: int  # evaluated images that occur byte for byte in train
    class_names: tuple[str, ...] | None = None  # in label order, of a track's own data set


class Cost(Strict):
    """Cost of a submission, measured before training."""

    params: int  # counted against the cap: distinct, trainable, discriminator included, EMA copies excluded
    params_by_module: dict[str, int]  # module that holds parameters -> counted parameters
    inference_params: int  # of the network that is evaluated
    inference_buffers: int  # scalars
    inference_plain: int  # scalars in tensors that are neither parameters nor buffers
    macs_per_image: int  # multiply-accumulates of convolutions, linear layers and attention
    macs_by_operator: dict[str, int]  # the same per operator
    elementwise_ops_per_image: int  # fvcore's count for normalisation and pooling, not in macs_per_image
    uncounted_operators: dict[str, int]  # operator without a count, and not known to be cheap -> calls
    evaluations_per_sample: int | float  # network evaluations per image; their mean if images differ
    training_flops_per_step: int  # 2 per multiply-accumulate, forward and backward
    # The following fields are None in older records.

    fvcore_macs_per_image: int | None = None  # by fvcore as a second counter; None also if it cannot count
    elements_per_image: int | None = None  # output elements of all operators
    uncounted_share: dict[str, float] | None = None  # uncounted operator -> share of these elements, in [0, 1]
    uncounted_in_training: dict[str, float] | None = None  # the same for a training step
    warnings: list[str] | None = None  # one line per disagreement between counters
    weight_bytes: int | None = None  # of the tensors of the final weights, at their dtypes

    @property
    def stored_scalars(self) -> int:
        """Number of scalars that the inference network stores."""
        return self.inference_params + self.inference_buffers + self.inference_plain

    @property
    def bound(self) -> str:
        """Prefix of the displayed multiply-accumulates: "≥ " if an operator was not counted, else empty."""
        return "≥ " if self.uncounted_operators else ""


class Curves(Strict):
    """Values returned by ``train_step``, averaged over windows of steps."""

    steps: list[int]  # last step of each window
    values: dict[str, list[float | None]]  # name -> mean per window; None if a step of it did not return the name

    def of(self, name: str) -> list[tuple[int, float]]:
        """Return (last step, mean) of each window in which ``name`` was logged; empty if it never was."""
        pairs = zip(self.steps, self.values.get(name, ()), strict=False)
        return [(step, value) for step, value in pairs if value is not None]


class Training(Strict):
    """The result of training."""

    steps: int  # training steps taken
    batch_size: int  # images per step
    epochs: float  # passes over the training images
    params_after: int  # the parameter count after training
    curves: Curves
    weights_sha256: str  # of the file of final weights
    updates: dict[str, int] | None = None  # optimizer -> number of its steps; a GAN has two optimizers


class Throughput(Strict):
    """Items per second: median and interquartile range over timed blocks of calls."""

    median_per_s: float  # items per second
    iqr_per_s: float  # interquartile range
    blocks: int  # timed blocks
    calls_per_block: int
    items_per_call: int  # images or steps
    dtype: str  # of the computation
    # CPU time of other programs, as a fraction of all cores, [0, 1]; None: unknown
    background_load: float | None = None
    concurrent_runs: int | None = None  # other capbench runs and verifications on the machine; None: unknown

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, content: Any) -> Any:
        return with_current_names(content, {"neighbours": "background_load", "beside": "concurrent_runs"})

    @property
    def noisy(self) -> bool:
        """Whether concurrent runs or background load make the measured speed unreliable."""
        return bool(self.concurrent_runs) or (self.background_load is not None and self.background_load > NOISY)


class Timing(Strict):
    """The values that differ between two runs of the same seed on the same machine."""

    started_at: str  # UTC, ISO 8601
    finished_at: str  # likewise
    attempt: int  # 1, or higher if the run was repeated
    resumes: int  # number of times that training resumed from a checkpoint
    training_seconds: float | None = None  # in training steps, measured in the process, over all attempts
    train_phase_seconds: float | None = None  # of the train process, measured by the parent, last attempt only
    training_joules: float | None = None  # of the device during training, from its counter; None if resumed
    evaluation_seconds: float | None = None  # of predicting or sampling
    sampling_images_per_s: float | None = None  # over all samples of a generator
    seconds_per_10000_samples: float | None = None
    scoring_seconds: float | None = None  # computing the metrics of samples
    training_steps_per_s: Throughput | None = None  # measured in verification
    training_steps_per_s_tried: dict[str, float] = {}  # execution mode -> steps per second; the fastest was used
    inference_images_per_s: Throughput | None = None  # measured in verification
    peak_memory_bytes: int | None = None  # of the largest process of the run; on a GPU, of its memory


class Evaluation(Strict):
    """Metrics of the final weights, from a process that rebuilt the network. Fractions, not percent."""

    metrics: dict[str, float]  # name -> value; docs/metrics.md explains those of samples
    intervals: dict[str, tuple[float, float]] = {}  # 95 %, of metrics for which one run gives an interval
    per_class_accuracy: list[float | None] = []  # None for a class without evaluated images
    # Bitmap (``bench/contract/documents/bitmap.py``) of the images that were classified correctly, in the data
    # set's order; of official runs only.
    correct: str | None = None
    as_published: dict[str, float] = {}  # the same metrics, computed as the paper's author did
    batch_independent: bool | None = None  # whether logits are independent of the other images of the batch
    batch_dependence: float | None = None  # largest change of a logit when the batch has other images


class Record(Strict):
    """The record of one run."""

    schema_version: int = SCHEMA_VERSION  # version of this schema
    status: Status
    reason: Line | None = None  # why the run failed
    log_tail: list[LogLine] = []  # last output lines of a failed run
    identity: Identity
    protocol: Protocol  # the settings outside of the submission that results depend on
    task: str  # "classification" or "generation"
    config: dict[str, Any]  # the submission's config, with all defaults
    sources: dict[str, str]  # path -> sha256 of its code
    claims: Claims  # of the paper, when the record was written
    as_published: AsPublished | None = None  # how the paper's author measured
    data: DataUsed | None = None
    cost: Cost | None = None
    training: Training | None = None
    evaluation: Evaluation | None = None
    not_measured: dict[str, str] = {}  # metric -> reason why it is missing
    metric_weights: dict[str, str] = {}  # network that a metric uses -> sha256 of its tensors
    unranked_because: list[str] = []  # empty if the run is eligible for the ranking
    profile_seeds: int | None = None  # number of seeds of its profile; None in older records
    advice: Advice | None = None  # of its track
    shown_metrics: list[str] = []  # its track's `metrics`: further columns of tables
    environment: RecordedEnvironment  # the machine and versions; see ``Environment``
    timing: Timing
    checksum: str = Field(default="", description="sha256 of the canonical JSON of all other fields")
    # Not part of the file: whether this results folder's owner made the record, and whether the code is unchanged.
    _made_here: bool = PrivateAttr(default=True)
    _of_current_code: bool | None = PrivateAttr(default=None)

    def __repr__(self) -> str:
        identity, protocol = self.identity, self.protocol
        return (
            f"{label_of(identity.submission, identity.variant)} seed {identity.seed} "
            f"({protocol.track}, {protocol.profile}): {self.status}"
        )

    __str__ = __repr__

    @property
    def comparable_with_paper(self) -> bool:
        """Whether its metrics may be compared with a paper's: official profile on the track's data set."""
        stand_in = self.data is not None and self.data.stand_in_for is not None
        return self.protocol.profile == OFFICIAL and not stand_in

    @property
    def ranked(self) -> bool:
        """Whether the run is eligible for the ranking."""
        return self.status == "ok" and not self.reasons_against_rank

    @property
    def reasons_against_rank(self) -> list[str]:
        """Why a finished run does not rank: as recorded, and because it was made elsewhere."""
        return [*self.unranked_because, *([] if self.made_here else ["made elsewhere"])]

    @property
    def made_here(self) -> bool:
        """False if ``bench unpack`` imported the record; known only after ``origin.with_origin``."""
        return self._made_here

    def marked_unpacked(self) -> "Record":
        """Return a copy that is marked as imported by ``bench unpack``."""
        marked = self.model_copy()
        marked._made_here = False
        return marked

    @property
    def of_current_code(self) -> bool | None:
        """Whether the submission's current code and manifest give this run's identity; None if not checked."""
        return self._of_current_code

    def known_as(self, *, of_current_code: bool) -> "Record":
        """Return a copy in which ``of_current_code`` is set."""
        marked = self.model_copy()
        marked._of_current_code = of_current_code
        return marked

    def without_times(self) -> dict[str, Any]:
        """Return the fields that are equal for two runs of the same seed on the same machine, as plain data."""
        return self.model_dump(mode="json", exclude={"timing", "checksum"})
