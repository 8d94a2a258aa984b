"""Tracks: a contest's data, caps, budget, profiles and evaluation protocol, as YAML."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from bench.contract.manifest import NAME, describe_validation_error
from bench.contract.strict import Strict
from bench.contract.yaml_files import read_yaml
from bench.errors import ManifestError, UsageError
from bench.files import hash_json
from bench.text import one_line

Task = Literal["classification", "generation"]
Part = Literal["train", "validation", "train+validation", "test"]
Count = Annotated[int, Field(gt=0, le=10**12)]
OFFICIAL = "official"
FEWEST_IMAGES = 4  # of a set that samples are compared by: more than a point's three neighbours, and halves of two

# Raised when the harness changes what a number means: the order of the data, how a seed is derived, how a
# metric is computed. It is part of every protocol hash, so that records of before and after never mix.
HARNESS_REVISION = 1


class Caps(Strict):
    """The most that a submission may use; None for no cap."""

    params: Count | None = None  # distinct trainable parameters that take part in training
    stored_scalars: Count | None = None  # all that the inference network stores


class Profile(Strict):
    """How much of the contest one run does. Only ``official`` ranks."""

    steps: Count
    seeds: int = Field(gt=0, le=10_000)
    data: str | None = None  # always this set, such as a drawn one; None for the track's
    train: Part = "train"
    evaluate: Part = "validation"
    evaluation_images: Count | None = None  # evenly spread over the part; None for all
    samples: Count | None = None  # images drawn from a generator
    # Of train, where a metric of samples compares with it; None for all.
    train_references: Count | None = None  # as many of each class: a second reference of FID
    train_searched: Count | None = None  # likewise: where copies are looked for

    @model_validator(mode="after")
    def _parts_are_disjoint(self) -> "Profile":
        if self.evaluate in self.train.split("+") or self.evaluate == "train+validation":
            raise ValueError(f"evaluates on {self.evaluate!r} while training on {self.train!r}")
        if self.train == "test":
            raise ValueError("trains on 'test'")
        return self

    def check_sets(self, name: str) -> None:
        """Fail if metrics of samples could not be computed from so few images.

        Raises:
            ValueError: Which of the sets is too small.
        """
        for field in ("samples", "evaluation_images", "train_references", "train_searched"):
            count = getattr(self, field)
            if count is not None and count < FEWEST_IMAGES:
                raise ValueError(f"profile {name!r}: `{field}` is {count}; metrics need at least {FEWEST_IMAGES}")


class Track(Strict):
    """A contest."""

    name: str = Field(pattern=f"^{NAME.pattern}$")
    title: str
    task: Task
    data: str
    alternative_data: str | None = None  # used, and named in the record, where `data` is absent
    embedded_data: str  # what `smoke` uses where neither is there
    caps: Caps = Caps()
    evaluation_batch_size: Count = 500
    profiles: dict[str, Profile]

    @model_validator(mode="after")
    def _complete(self) -> "Track":
        if OFFICIAL not in self.profiles:
            raise ValueError(f"has no profile {OFFICIAL!r}")
        for name in self.profiles:
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"profile {one_line(name, 60)!r}: use at most 100 lower-case letters, digits, `-_.`"
                )
        if self.task == "generation":
            without = [name for name, profile in self.profiles.items() if profile.samples is None]
            if without:
                raise ValueError(f"profile {without[0]!r} of a generation track needs `samples`")
            for name, profile in self.profiles.items():
                profile.check_sets(name)
        return self

    def profile(self, name: str) -> Profile:
        """The profile called ``name``.

        Raises:
            UsageError: If the track has none of that name.
        """
        if name not in self.profiles:
            raise UsageError(f"track {self.name}: no profile {name!r}; it has {', '.join(sorted(self.profiles))}")
        return self.profiles[name]

    def steps(self, profile_name: str, official_steps: int | None) -> int:
        """The steps of a run that takes ``official_steps`` of an official one; other profiles in proportion."""
        budget = self.profile(profile_name).steps
        if official_steps is None:
            return budget
        return max(1, round(budget * official_steps / self.profiles[OFFICIAL].steps))


class Protocol(Strict):
    """What a number depends on besides the submission: the unit within which records may be compared."""

    track: str
    task: Task
    profile: str
    data: str
    caps: Caps
    steps: int
    train: Part
    evaluate: Part
    evaluation_images: int | None
    samples: int | None
    train_references: int | None = None
    train_searched: int | None = None
    evaluation_batch_size: int
    harness_revision: int = HARNESS_REVISION

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the sha256 of all fields."""
        content = self.model_dump(mode="json")
        for added in ("train_references", "train_searched"):  # after the first records were committed
            if content[added] is None:
                del content[added]
        return hash_json(content)[:12]


def protocol_of(track: Track, profile_name: str, data: str) -> Protocol:
    """The protocol of a profile on the data set that is really used."""
    profile = track.profile(profile_name)
    return Protocol(
        track=track.name,
        task=track.task,
        profile=profile_name,
        data=data,
        caps=track.caps,
        steps=profile.steps,
        train=profile.train,
        evaluate=profile.evaluate,
        evaluation_images=profile.evaluation_images,
        samples=profile.samples,
        train_references=profile.train_references,
        train_searched=profile.train_searched,
        evaluation_batch_size=track.evaluation_batch_size,
    )


@dataclass(frozen=True)
class Chosen:
    """Which tracks a command knows, and which one it is about."""

    tracks: dict[str, Track]  # those that ship, and the user's own
    only: str | None  # the one that was asked for; None for all
    file: Path | None  # of the user's own


def choose_tracks(option: Path | None) -> Chosen:
    """What ``--track`` means: a track's name, or the file of one's own; None for all that ship.

    Raises:
        ManifestError: If the file does not fit the schema, or reuses a shipped name.
        UsageError: If it is neither a name that is known nor a file.
    """
    if option is None:
        return Chosen(load_tracks(), None, None)
    shipped = load_tracks()
    if str(option) in shipped:
        return Chosen(shipped, str(option), None)
    if not _is_track_file(option):
        known = ", ".join(sorted(shipped))
        raise UsageError(f"--track {one_line(str(option), 80)!r}: give a track file (*.yaml), or one of {known}")
    tracks = load_tracks(option)
    (own,) = tracks.keys() - shipped.keys()
    return Chosen(tracks, own, option)


def track_name(option: Path | None) -> str | None:
    """The name of the track that ``--track`` means, which may be one that only records know; None for all.

    Raises:
        ManifestError: If it is a file that does not fit the schema.
    """
    if option is None:
        return None
    return choose_tracks(option).only if _is_track_file(option) else str(option)


def _is_track_file(option: Path) -> bool:
    """Whether ``--track`` names a file, which need not be there, rather than a track."""
    return option.suffix in (".yaml", ".yml") or option.is_file()


def track_of(name: str, tracks: dict[str, Track], path: Path) -> Track:
    """The track that the manifest at ``path`` names.

    Raises:
        ManifestError: If there is none of that name; the message lists those that are known.
    """
    if name not in tracks:
        known = ", ".join(sorted(tracks))
        found = f"found {one_line(name, 60)!r}; known tracks: {known}"
        raise ManifestError(f"{path}: field `track`: {found}; --track FILE adds your own")
    return tracks[name]


def _load(path: Path) -> Track:
    content: Any = read_yaml(path)
    try:
        return Track.model_validate(content)
    except ValidationError as error:
        raise ManifestError(describe_validation_error(path, error)) from None


def load_tracks(extra: Path | None = None) -> dict[str, Track]:
    """The tracks that ship with the package, and the one in ``extra``, by name.

    Raises:
        ManifestError: If a file does not fit the schema, or ``extra`` reuses a shipped name.
    """
    folder = Path(str(files("bench.contract"))) / "tracks"
    tracks = {track.name: track for track in map(_load, sorted(folder.glob("*.yaml")))}
    if extra is not None:
        track = _load(extra)
        if track.name in tracks:
            raise ManifestError(
                f"{extra}: field `name`: found {track.name!r}, which ships with the package; choose another"
            )
        tracks[track.name] = track
    return tracks
