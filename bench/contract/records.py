"""Records: one immutable, checksummed JSON file a run, from which every table is made.

What is not measured is null, with a reason in ``not_measured``; it is never 0. All that may differ between
two runs of the same seed on the same machine is under ``timing``.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError

from bench.contract.contradictions import contradictions
from bench.contract.manifest import REAL_IMAGES as REAL_IMAGES  # noqa: PLC0414 - records of them have the name too
from bench.contract.manifest import AsPublished, Claims, describe_validation_error
from bench.contract.plain import Line, LogLine, parse_json
from bench.contract.sealing import check_seal, sealed_bytes, write_document
from bench.contract.strict import Strict
from bench.contract.tracks import OFFICIAL, Protocol
from bench.errors import ResultsError, RunFailed
from bench.files import hash_json
from bench.text import one_line

SCHEMA_VERSION = 2
LONGEST = 2**24  # characters of a record; one of a hundred curves and a thousand classes has a hundredth of it
DISTURBING = 0.1  # share of the machine's processors that others may have while a speed is measured
COPIES = 0.9  # of pairs of a sample and a held-out image; where nothing is copied it is about a half
CLOSE_COPIES = 0.1  # of samples, as near to train as the closest 1 % of held-out images; without copying 0.01
Status = Literal["ok", "pruned", "cap", "contract", "oom", "timeout", "limit", "signal", "nan", "error"]


def fid_name(samples: int | None, resize: str | None = None) -> str:
    """What FID of so many samples is called; with another resize it is another metric."""
    return f"fid_{resize}_{samples}" if resize else f"fid_{samples}"


class Identity(Strict):
    """What makes two runs the same run: repeating a command skips what has the same hash."""

    submission: str
    variant: str
    seed: int
    overrides: dict[str, Any]  # config fields that variant and profile set
    source_hash: str  # over the submission's code and all of this repository's that it imports, without remarks
    protocol_hash: str
    data_fingerprints: dict[str, str]  # part -> sha256 of its images and labels
    device_type: str  # "cpu" or "cuda"
    precision: str
    steps: int
    as_published: (
        dict[str, Any] | None
    )  # how the author's figure is measured beside the sound one, without the why

    @property
    def hash(self) -> str:
        """The first 8 hex digits of the sha256 of all fields."""
        return hash_json(self.model_dump(mode="json"))[:8]


class DataUsed(Strict):
    """The data set that a run really used."""

    name: str
    stand_in_for: str | None  # the track's own data set, where that was absent or not wanted
    images: dict[str, int]  # part -> number of images
    image_shape: tuple[int, int, int]
    num_classes: int
    channel_mean: tuple[float, ...]
    channel_std: tuple[float, ...]
    evaluation_images_also_in_train: int


class Cost(Strict):
    """What a submission costs, measured before training."""

    params: int  # counted against the cap: distinct, trainable, discriminator included, EMA copies excluded
    params_by_module: dict[str, int]
    inference_params: int
    inference_buffers: int  # scalars
    inference_plain: int  # scalars in tensors that are neither parameters nor buffers
    macs_per_image: int  # multiply-accumulates of convolutions, linear layers and attention
    macs_by_operator: dict[str, int]
    elementwise_ops_per_image: int  # fvcore's count for normalisation and pooling, not in macs_per_image
    uncounted_operators: dict[str, int]  # calls of what is neither counted nor known to be cheap
    evaluations_per_sample: int | float  # network evaluations that one image takes; the mean, where images differ
    training_flops_per_step: int  # 2 per multiply-accumulate, forward and backward
    # Not recorded before these were measured: None.
    fvcore_macs_per_image: int | None = None  # by a second counter; None also where it cannot count the network
    elements_per_image: int | None = None  # numbers that all operators gave
    uncounted_share: dict[str, float] | None = None  # of these, in [0, 1], what each uncounted operator gave
    uncounted_in_training: dict[str, float] | None = None  # likewise of a training step
    warnings: list[str] | None = None  # where counters disagree, a line each

    @property
    def stored_scalars(self) -> int:
        """All that the inference network stores."""
        return self.inference_params + self.inference_buffers + self.inference_plain

    @property
    def bound(self) -> str:
        """What goes before its multiply-accumulates: more, where an operator has no count."""
        return "≥ " if self.uncounted_operators else ""


class Curves(Strict):
    """Means over windows of steps of what ``train_step`` returned; ``steps`` are the windows' ends."""

    def of(self, name: str) -> list[tuple[int, float]]:
        """The ends of those windows in which ``name`` was logged, and its mean there; empty if it never was."""
        pairs = zip(self.steps, self.values.get(name, ()), strict=False)
        return [(step, value) for step, value in pairs if value is not None]

    steps: list[int]
    values: dict[str, list[float | None]]  # as many each; None for a window in which a step returned no such value


class Training(Strict):
    """How training went."""

    steps: int
    batch_size: int
    epochs: float
    params_after: int  # the count taken again after training
    curves: Curves
    weights_sha256: str
    updates: dict[str, int] | None = None  # optimizer -> steps that it took; a GAN's two take one each a step


class Rate(Strict):
    """A throughput: median and interquartile range over timed blocks."""

    median_per_s: float
    iqr_per_s: float
    blocks: int
    calls_per_block: int
    items_per_call: int
    dtype: str
    neighbours: float | None = None  # share of the machine's processors that other programs had; None: not known
    beside: int | None = None  # runs and verifications of capbench that shared the machine; None: not recorded

    @property
    def disturbed(self) -> bool:
        """Whether others had more of the machine than a measurement of speed bears."""
        return bool(self.beside) or (self.neighbours is not None and self.neighbours > DISTURBING)


class Timing(Strict):
    """All that differs between two runs of the same seed on the same machine."""

    started_at: str  # UTC, ISO 8601
    finished_at: str
    attempt: int
    resumes: int  # times that training went on from a checkpoint
    training_seconds: float | None = None  # of the steps, as the training process counts them, over all attempts
    train_phase_seconds: float | None = None  # of its process, by the parent's clock, in the last attempt
    training_joules: float | None = None  # of the whole device meanwhile, where it has a counter; not if resumed
    evaluation_seconds: float | None = None
    sampling_images_per_s: float | None = None  # over all of a generator's samples
    seconds_per_10000_samples: float | None = None
    scoring_seconds: float | None = None  # metrics of samples
    training_steps_per_s: Rate | None = None
    training_steps_per_s_tried: dict[str, float] = {}  # eager or compiled, of which the faster was taken
    inference_images_per_s: Rate | None = None
    peak_memory_bytes: int | None = None


class Evaluation(Strict):
    """Figures of the final weights, from the process that rebuilt the network. Fractions, not percent."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]] = {}  # 95 %, of metrics that one set of samples says so much of
    per_class_accuracy: list[float | None] = []
    # Of an official run which images were classified right, in the data set's order (``bench/contract/bits.py``).
    correct: str | None = None
    as_published: dict[str, float] = {}  # the same, measured the way the paper's author did
    batch_independent: bool | None = None
    batch_dependence: float | None = None  # largest change of a logit when the batch is composed otherwise


class Record(Strict):
    """One run."""

    schema_version: int = SCHEMA_VERSION
    status: Status
    reason: Line | None = None  # for a run that failed
    log_tail: list[LogLine] = []  # the last lines that a failed run printed
    identity: Identity
    protocol: Protocol
    task: str
    config: dict[str, Any]
    sources: dict[str, str]  # path -> sha256 of its code
    claims: Claims
    as_published: AsPublished | None = None
    data: DataUsed | None = None
    cost: Cost | None = None
    training: Training | None = None
    evaluation: Evaluation | None = None
    not_measured: dict[str, str] = {}
    metric_weights: dict[str, str] = {}  # network that a metric is made of -> sha256 of its tensors
    unranked_because: list[str] = []
    profile_seeds: int | None = None  # how many seeds its profile asks for; None: not recorded
    environment: dict[str, Any]
    timing: Timing
    checksum: str = Field(default="", description="sha256 of the canonical JSON of all other fields")
    # Not of the record, but of where it lies: whether it was made there, and of the code that is there now.
    _made_here: bool = PrivateAttr(default=True)
    _of_present_code: bool | None = PrivateAttr(default=None)

    @property
    def beside_paper(self) -> bool:
        """Whether a paper's figure may stand beside it: not beside a shorter training or other images."""
        stand_in = self.data is not None and self.data.stand_in_for is not None
        return self.protocol.profile == OFFICIAL and not stand_in

    @property
    def ranked(self) -> bool:
        """Whether the run may stand in a ranking."""
        return self.status == "ok" and not self.unranked_because

    @property
    def made_here(self) -> bool:
        """False for one that came by ``bench unpack``, once it is read with all of its folder."""
        return self._made_here

    def from_elsewhere(self) -> "Record":
        """The same, known to have come by ``bench unpack``."""
        marked = self.model_copy()
        marked._made_here = False
        return marked

    @property
    def of_present_code(self) -> bool | None:
        """Whether the submission's code and manifest would make this very run now; None if nobody has looked."""
        return self._of_present_code

    def known_as(self, *, of_present_code: bool) -> "Record":
        """The same, known to be what the submission would run now, or not."""
        marked = self.model_copy()
        marked._of_present_code = of_present_code
        return marked

    def without_times(self) -> dict[str, Any]:
        """What two runs of one seed on one machine have in common, as plain data."""
        return self.model_dump(mode="json", exclude={"timing", "checksum"})


def exceeded(protocol: Protocol, cost: Cost, steps: int) -> dict[str, str]:
    """By what a run leaves the contest: for each cap or budget that it exceeds, in short -> in a line."""
    caps, reasons = protocol.caps, {}
    if caps.params is not None and cost.params > caps.params:
        largest = sorted(cost.params_by_module.items(), key=lambda item: -item[1])[:3]
        parts = ", ".join(f"{name} {count:,}" for name, count in largest)
        reasons["over the cap"] = f"{cost.params:,} params, cap {caps.params:,}; the largest parts: {parts}"
    if caps.stored_scalars is not None and cost.stored_scalars > caps.stored_scalars:
        reasons["over the cap on stored scalars"] = (
            f"{cost.stored_scalars:,} stored scalars ({cost.inference_params:,} in parameters, "
            f"{cost.inference_buffers:,} in buffers, {cost.inference_plain:,} in plain attributes), "
            f"cap {caps.stored_scalars:,}"
        )
    if steps > protocol.steps:
        reasons["over the budget"] = f"{steps:,} steps, budget {protocol.steps:,}"
    return reasons


def over_caps(protocol: Protocol, cost: Cost, steps: int) -> list[str]:
    """By what a run leaves the contest: a line a cap or budget that it exceeds."""
    return list(exceeded(protocol, cost, steps).values())


def reasons_against_ranking(
    protocol: Protocol, data: DataUsed, cost: Cost, training: Training, evaluation: Evaluation
) -> list[str]:
    """Why a finished run is kept off the ranking; empty if nothing is."""
    reasons = over_caps(protocol, cost, training.steps)
    for name, updates in (training.updates or {}).items():
        if updates > protocol.steps:
            reasons.append(f"optimizer {name} took {updates:,} steps, budget {protocol.steps:,}")
    if protocol.profile != OFFICIAL:
        reasons.append(f"profile {protocol.profile}")
    if data.stand_in_for is not None:
        reasons.append(f"data {data.name} instead of {data.stand_in_for}")
    if protocol.task == "generation" and fid_name(protocol.samples) not in evaluation.metrics:
        reasons.append("FID is not measured")
    close = evaluation.metrics.get("nearer_than_closest_1_percent", 0.0)
    if close >= CLOSE_COPIES:
        reasons.append(f"{close:.0%} of the samples are as near to a training image as 1% of held-out images are")
    copied = evaluation.metrics.get("nearer_than_held_out", 0.0)
    if copied >= COPIES:
        reasons.append(f"{copied:.0%} of the samples are nearer to a training image than held-out images are")
    if evaluation.batch_independent is False:
        reasons.append("predictions depend on the rest of the batch")
    return reasons


def record_name(identity: Identity, protocol: Protocol) -> str:
    """Where a run's record lies in a results folder."""
    place = f"runs/{protocol.track}/{identity.submission}/{identity.variant}"
    return f"{place}/seed{identity.seed}-{identity.hash}.json"


def record_path(results: Path, identity: Identity, protocol: Protocol) -> Path:
    """Where a run's record lies: ``runs/<track>/<submission>/<variant>/seed<k>-<hash8>.json``."""
    return results / record_name(identity, protocol)


def check_record(record: Record) -> bytes:
    """A record as its file will have it, sealed: one that can be read again.

    Raises:
        RunFailed: If something in it is no number or no text, or contradicts the rest.
    """
    try:
        content = sealed_bytes(record)
        parse_json(content)
        found = next(contradictions(record), None)
    except (ValueError, ArithmeticError) as error:
        raise RunFailed(f"the run left what is no number, or no text: {one_line(str(error), 200)}") from None
    if found is not None:
        raise RunFailed(f"what the run left contradicts itself: {found}")
    return content


def write_record(path: Path, record: Record) -> None:
    """Write a sealed record atomically.

    Raises:
        ResultsError: If the folder cannot be written.
        RunFailed: If nobody could read it again.
    """
    write_document(path, check_record(record), option="--results")


def read_record(path: Path) -> Record:
    """Read a record and check its schema and checksum.

    Raises:
        ResultsError: If it is unreadable, truncated, of another schema, was altered, or contradicts itself.
    """
    if path.exists() and not path.is_file():
        raise ResultsError(f"{path}: is no file; move it away")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        text = ""  # not even text; what follows says so
    if len(text) > LONGEST:
        raise ResultsError(f"{path}: {len(text):,} characters, a record has at most {LONGEST:,}; move it away")
    return parse_record(text, path)


class NewerRecord(ResultsError):
    """A record that a newer version of the harness wrote: it stays as it is."""


def parse_record(text: str, path: Path | str) -> Record:
    """The record that ``text`` is, checked as by ``read_record``; ``path`` is what messages call it."""
    try:
        content = parse_json(text)
    except ValueError as error:
        why = one_line(str(error), 100)
        raise ResultsError(
            f"{path}: not a JSON record, or a truncated one ({why}); move it away and run again"
        ) from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerRecord(
            f"{path}: schema_version {version}, this version reads {SCHEMA_VERSION}; update capbench"
        )
    if version != SCHEMA_VERSION:
        raise ResultsError(
            f"{path}: schema_version {version!r}, this version reads {SCHEMA_VERSION}; move it away and run again"
        )
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise ResultsError(describe_validation_error(path, error)) from None
    try:
        check_seal(content, path, remedy="run it again")
        found = next(contradictions(record), None)
    except (ValueError, ArithmeticError) as error:  # numbers that are none, or too large for any run
        found = str(error)
    if found is not None:
        raise ResultsError(f"{path}: contradicts itself: {found}; no run wrote that, run it again")
    return record


def record_paths(results: Path) -> Iterator[Path]:
    """All current records under a results folder, in a fixed order; earlier attempts are left out."""
    for path in sorted((results / "runs").glob("*/*/*/seed*.json")):
        if is_current(path):
            yield path


def is_current(path: PurePath) -> bool:
    """Whether a file is named as a record is, and not as an earlier attempt's."""
    return path.suffix == ".json" and ".attempt" not in path.name
