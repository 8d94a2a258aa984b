"""Tracks: YAML files with a benchmark task's data, caps, budget, profiles and evaluation protocol."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from bench.contract.contest import Contest, find_contest
from bench.contract.datasets import DataSource, Source, name_of
from bench.contract.documents.schema import DIGITS, Strict
from bench.contract.documents.validation import describe_validation_error
from bench.contract.documents.yaml_files import read_yaml
from bench.contract.manifest import NAME
from bench.contract.metrics import PRIMARY, RANKING, SHOWN, Metric, check_choices, chosen
from bench.errors import ManifestError, UsageError
from bench.files import hash_json
from bench.text import one_line

Task = Literal["classification", "generation"]
Split = Literal["train", "validation", "train+validation", "test"]
Count = Annotated[int, Field(gt=0, le=10**12)]
Operations = Annotated[int, Field(gt=0, lt=10**DIGITS)]  # a run of 50,000 steps may take 10^16 FLOPs
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OFFICIAL = "official"
# Minimum size of each image set for the metrics of samples: more than the 3 nearest neighbours of a point
# (precision and recall), and two halves of 2 images.
MIN_IMAGES = 4

# Increase it when the meaning of a result changes: the order of the data, the derivation of seeds, the computation
# of a metric. It is part of every protocol hash, so that older and newer records are never compared.
HARNESS_REVISION = 1


FIRST_CAPS = ("params", "stored_scalars")  # in all hashes of protocols, also if unset


class Caps(Strict):
    """The limits on what a submission may use, all exact counts; None for no limit."""

    params: Count | None = None  # distinct trainable parameters used in training
    stored_scalars: Count | None = None  # scalars that the inference network stores
    # The following caps are neither hashed nor written while unset.

    macs_per_image: Operations | None = None  # multiply-accumulates, of all network evaluations of a sample
    training_flops: Operations | None = None  # FLOPs per step × steps of the run
    weight_bytes: Count | None = None  # of the tensors of the final weights, at their dtypes
    images_seen: Count | None = None  # batch size × steps of the run

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        caps: dict[str, Any] = handler(self)
        return {name: cap for name, cap in caps.items() if cap is not None or name in FIRST_CAPS}


class Advice(Strict):
    """Limits that a run should keep: tables mark a run beyond one, which ranks all the same. None for no limit."""

    training_minutes: Limit | None = None  # in training steps
    memory_gib: Limit | None = None  # peak of the largest process; on a GPU, of its memory


class Profile(Strict):
    """The length and data of a run. Only runs of the profile ``official`` are ranked."""

    steps: Count  # the budget
    seeds: int = Field(gt=0, le=10_000)  # number of seeds, from 0 on
    data: str | None = None  # data set of this profile; None for the track's
    train: Split = "train"
    evaluate: Split = "validation"
    evaluation_images: Count | None = None  # evenly spaced in the split; None for all
    samples: Count | None = None  # images drawn from a generator
    # Training images, balanced over classes, that metrics of samples compare with; None for all.
    train_references: Count | None = None  # second reference set of FID
    train_searched: Count | None = None  # searched for copies

    @model_validator(mode="after")
    def _splits_are_disjoint(self) -> "Profile":
        if self.evaluate in self.train.split("+") or self.evaluate == "train+validation":
            raise ValueError(f"evaluates on {self.evaluate!r} while training on {self.train!r}")
        if self.train == "test":
            raise ValueError("trains on 'test'")
        return self

    def check_sets(self, name: str) -> None:
        """Raise an error if an image set is too small for the metrics of samples.

        Raises:
            ValueError: With the name and size of the first set that is too small.
        """
        for field in ("samples", "evaluation_images", "train_references", "train_searched"):
            count = getattr(self, field)
            if count is not None and count < MIN_IMAGES:
                raise ValueError(f"profile {name!r}: `{field}` is {count}; metrics need at least {MIN_IMAGES}")


class Track(Strict):
    """A benchmark task: its data, caps and profiles."""

    name: str = Field(pattern=f"^{NAME.pattern}$")  # lower-case letters, digits, `-_.`
    title: str
    task: Task
    data: str | DataSource  # the name of a known data set, or one of your own
    alternative_data: str | None = None  # fallback if `data` is missing; the record names it
    embedded_data: str | None = None  # drawn set, see `drawn_counterpart`; `smoke` uses it if both are missing
    caps: Caps = Caps()
    advice: Advice | None = None
    rank_by: str | None = None  # metric that ranks; None for top-1 accuracy, or FID
    metrics: tuple[str, ...] = ()  # further metrics that tables show as columns
    evaluation_batch_size: Count = 500
    profiles: dict[str, Profile]  # name -> profile; one is `official`

    @model_validator(mode="after")
    def _complete(self) -> "Track":
        if OFFICIAL not in self.profiles:
            raise ValueError(f"has no profile {OFFICIAL!r}")
        for name in self.profiles:
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"profile {one_line(name, 60)!r}: use at most 100 lower-case letters, digits, `-_.`"
                )
        if self.rank_by is not None:
            check_choices("rank_by", self.task, [self.rank_by], RANKING)
        check_choices("metrics", self.task, self.metrics, SHOWN)
        if self.task == "generation":
            incomplete = [name for name, profile in self.profiles.items() if profile.samples is None]
            if incomplete:
                raise ValueError(f"profile {incomplete[0]!r} of a generation track needs `samples`")
            for name, profile in self.profiles.items():
                profile.check_sets(name)
        return self

    @property
    def data_name(self) -> str:
        """The name of the data set."""
        return name_of(self.data)

    def profile(self, name: str) -> Profile:
        """Return the profile ``name``.

        Raises:
            UsageError: If the track has no such profile.
        """
        if name not in self.profiles:
            raise UsageError(f"track {self.name}: no profile {name!r}; it has {', '.join(sorted(self.profiles))}")
        return self.profiles[name]

    def steps(self, profile_name: str, official_steps: int | None) -> int:
        """Return the steps of a run of a profile.

        Args:
            profile_name: Name of the profile.
            official_steps: Steps of the submission's official run, to which other profiles are scaled; None for
                the track's budget.
        """
        budget = self.profile(profile_name).steps
        if official_steps is None:
            return budget
        return max(1, round(budget * official_steps / self.profiles[OFFICIAL].steps))


class Protocol(Strict):
    """The settings outside of the submission that results depend on.

    Only records with equal protocols are comparable.
    """

    track: str  # name
    task: Task
    profile: str  # name
    data: str  # name of the data set that is used
    caps: Caps
    steps: int  # the budget
    train: Split
    evaluate: Split
    evaluation_images: int | None  # None for all images of the split
    samples: int | None  # number of samples of a generator
    train_references: int | None = None  # training images that FID compares with; None for all
    train_searched: int | None = None  # training images that are searched for copies; None for all
    evaluation_batch_size: int
    harness_revision: int = HARNESS_REVISION  # raised when the meaning of a number changes
    rank_by: str | None = None  # metric that ranks; None for top-1 accuracy, or FID

    @model_validator(mode="after")
    def _has_a_metric(self) -> "Protocol":
        if self.rank_by is not None:
            check_choices("rank_by", self.task, [self.rank_by], RANKING)
        return self

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        if content.get("rank_by") is None:
            content.pop("rank_by", None)
        return content

    @property
    def metric(self) -> Metric:
        """The metric that submissions are ranked by."""
        return chosen(self.task, self.rank_by or PRIMARY[self.task].key).at(self.samples)

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the sha256 of all fields, except unset later ones."""
        content = self.model_dump(mode="json")
        # Fields that were added after the first records are not hashed while unset, so older hashes stay valid;
        # caps and `rank_by` are not even written then.
        for field in ("train_references", "train_searched"):
            if content[field] is None:
                del content[field]
        return hash_json(content)[:12]


def protocol_of(track: Track, profile_name: str, data: Source) -> Protocol:
    """Return the protocol of a profile on a data set, which may be a fallback."""
    profile = track.profile(profile_name)
    return Protocol(
        track=track.name,
        task=track.task,
        profile=profile_name,
        data=name_of(data),
        caps=track.caps,
        steps=profile.steps,
        train=profile.train,
        evaluate=profile.evaluate,
        evaluation_images=profile.evaluation_images,
        samples=profile.samples,
        train_references=profile.train_references,
        train_searched=profile.train_searched,
        evaluation_batch_size=track.evaluation_batch_size,
        rank_by=None if track.rank_by == PRIMARY[track.task].key else track.rank_by,
    )


@dataclass(frozen=True)
class TrackChoice:
    """The tracks that a command knows, and its selection."""

    tracks: dict[str, Track]  # known tracks and the user's track file, by name
    only: str | None  # name of the selected track; None for all
    file: Path | None  # the user's track file


def choose_tracks(option: Path | None) -> TrackChoice:
    """Resolve ``--track``: the name of a known track or a track file; None selects all known tracks.

    Known are the tracks of the contest that the current folder is in, else those that ship with the package.

    Raises:
        ManifestError: If the file violates the schema, or reuses the name of a known track.
        UsageError: If it is neither a known name nor a file.
    """
    known_tracks = load_tracks()
    if option is None:
        return TrackChoice(known_tracks, None, None)
    if str(option) in known_tracks:
        return TrackChoice(known_tracks, str(option), None)
    if not _is_track_file(option):
        known = ", ".join(sorted(known_tracks))
        raise UsageError(f"--track {one_line(str(option), 80)!r}: give a track file (*.yaml), or one of {known}")
    if option.resolve() in [path.resolve() for path in track_files(find_contest())]:
        return TrackChoice(known_tracks, read_track(option).name, None)
    tracks = load_tracks(option)
    (name,) = tracks.keys() - known_tracks.keys()
    return TrackChoice(tracks, name, option)


def track_name(option: Path | None) -> str | None:
    """Return the track name in ``--track``, which may occur in records only; None for all tracks.

    Raises:
        ManifestError: If it is a file that violates the schema.
    """
    if option is None:
        return None
    return choose_tracks(option).only if _is_track_file(option) else str(option)


def _is_track_file(option: Path) -> bool:
    """Return whether ``--track`` is a path of a file, existing or not, instead of a track name."""
    return option.suffix in (".yaml", ".yml") or option.is_file()


def track_of(name: str, tracks: dict[str, Track], path: Path) -> Track:
    """Return the track ``name``, which the manifest at ``path`` refers to.

    Raises:
        ManifestError: If there is no such track; the message lists the known ones.
    """
    if name not in tracks:
        known = ", ".join(sorted(tracks))
        problem = f"found {one_line(name, 60)!r}; known tracks: {known}"
        remedy = (
            "--track FILE adds your own" if (contest := find_contest()) is None else f"{contest.file} lists them"
        )
        raise ManifestError(f"{path}: field `track`: {problem}; {remedy}")
    return tracks[name]


@cache
def _load(path: Path, modified: int, size: int) -> Track:
    """Read a track's file; ``modified`` and ``size`` tell versions of it apart."""
    content: Any = read_yaml(path)
    try:
        return Track.model_validate(content)
    except ValidationError as error:
        raise ManifestError(describe_validation_error(path, error, Track)) from None


def read_track(path: Path) -> Track:
    """Read a track's file.

    Raises:
        ManifestError: If it is missing or violates the schema.
    """
    try:
        status = path.stat()
    except OSError:
        return _load(path, 0, 0)  # whose error says why it cannot be read
    track = _load(path, status.st_mtime_ns, status.st_size)
    if isinstance(track.data, str):
        return track
    return track.model_copy(update={"data": track.data.beside(path.parent)})  # not cached: data may come later


def _shipped() -> dict[str, Path]:
    """Return the files of the tracks that ship with the package, by name."""
    folder = Path(str(files("bench"))) / "tracks"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def track_files(contest: Contest | None) -> list[Path]:
    """Return the files of the known tracks: those of the contest, else those that ship with the package.

    Raises:
        ManifestError: If ``capbench.yaml`` names a track that is neither a file nor ships with the package.
    """
    shipped = _shipped()
    if contest is None:
        return list(shipped.values())
    paths = []
    for name in contest.content.tracks:
        path = shipped.get(name) or contest.root / name
        if not path.is_file():
            raise ManifestError(
                f"{contest.file}: field `tracks`: found {one_line(name, 80)!r}, neither a file beside it "
                f"nor one of {', '.join(shipped)}"
            )
        paths.append(path)
    return paths


def load_tracks(extra: Path | None = None) -> dict[str, Track]:
    """Load the known tracks, see ``track_files``, and the one in the file ``extra``, by name.

    Raises:
        ManifestError: If a file violates the schema, or two tracks have the same name.
    """
    tracks: dict[str, Track] = {}
    for path in track_files(find_contest()):
        track = read_track(path)
        if track.name in tracks:
            raise ManifestError(f"{path}: field `name`: found {track.name!r}, as in another track; choose another")
        tracks[track.name] = track
    if extra is not None:
        track = read_track(extra)
        if track.name in tracks:
            owner = "ships with the package" if find_contest() is None else "is in the contest already"
            raise ManifestError(f"{extra}: field `name`: found {track.name!r}, which {owner}; choose another")
        tracks[track.name] = track
    return tracks
