"""How to ask for a run again: the command, from what its record says and what its own command was given.

A record is published and says nothing of folders. What else a command was given lies beside the run, in its work
folder, on the machine that it ran on.
"""

import contextlib
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from bench.contract.jobs import WORK
from bench.contract.manifest import BASE_VARIANT, REAL_IMAGES
from bench.contract.records import Identity, Record
from bench.contract.searches import TRIAL_VARIANT
from bench.contract.strict import Strict
from bench.contract.tracks import Track, load_tracks
from bench.files import write_bytes

ASKED = "asked.json"


class Asked(Strict):
    """Of one run, by its command."""

    identity: Identity
    profile: str
    track: str
    folder: Path  # of the submission, absolute
    track_file: Path | None  # likewise
    embedded: bool
    data_root: Path | None = None  # where it is not where data are looked for by themselves, absolute


def note_asked(run: Path, asked: Asked) -> None:
    """Leave it in the run's work folder.

    Raises:
        OSError: If that cannot be written.
    """
    write_bytes(run / WORK / ASKED, asked.model_dump_json(indent=1).encode())


def read_asked(run: Path) -> Asked | None:
    """What the run in this folder was asked for with; None where that is not known."""
    with contextlib.suppress(OSError, ValidationError):
        return Asked.model_validate_json((run / WORK / ASKED).read_bytes())
    return None


@dataclass(frozen=True)
class Place:
    """Where a command is to look, where that is not where it looks by itself."""

    submission: Path | None = None  # its folder; None for the one of its name in submissions/
    results: Path = Path("results")
    track_file: Path | None = None
    embedded: bool = False
    data_root: Path | None = None

    @classmethod
    def of(cls, record: Record, results: Path = Path("results")) -> "Place":
        """As far as the record says it."""
        return cls(results=results, embedded=_is_embedded(record))


def command_of(identity: Identity, track: str, profile: str, place: Place, more: str = "") -> str:
    """What makes just this run, where it is not made yet; words are quoted for a shell.

    Args:
        identity: Of the run.
        track: Its name. For one that does not ship, and no file in ``place``, the file's name is made up.
        profile: Its name.
        place: Where to look.
        more: Further options, of `bench run`.
    """
    file = place.track_file or (None if track in _shipped() else Path(f"{track}.yaml"))
    words = ["--profile", profile]
    if identity.submission == REAL_IMAGES:
        words = ["bench", "floor", "--track", str(file or track), *words]
    elif identity.variant.startswith(TRIAL_VARIANT):
        words = ["bench", "tune", _folder(identity, place), *words, *_track_words(file)]
    else:
        variant = [] if identity.variant == BASE_VARIANT else ["--variants", identity.variant]
        words = ["bench", "run", _folder(identity, place), *variant, *words, "--seed", str(identity.seed)]
        words += _track_words(file) + ([] if identity.precision == "fp32" else ["--precision", identity.precision])
    words += ["--embedded"] if place.embedded else []
    words += [] if place.data_root is None else ["--data-root", str(place.data_root)]
    results = place.results
    if identity.variant.startswith(TRIAL_VARIANT):  # a study's lies two below the one asked for
        results, more = shown(results.resolve().parent.parent), ""
    words += [] if results == Path("results") else ["--results", str(results)]
    return shlex.join(words) + (f" {more}" if more else "")


def _track_words(file: Path | None) -> list[str]:
    return [] if file is None else ["--track", str(file)]


def _folder(identity: Identity, place: Place) -> str:
    folder = place.submission or Path("submissions", identity.submission)
    return str(shown(folder))


def shown(path: Path) -> Path:
    """A path as one would type it here: relative if it lies below."""
    with contextlib.suppress(ValueError, OSError):
        return path.relative_to(Path.cwd())
    return path


@cache
def _shipped() -> dict[str, Track]:
    return load_tracks()


def _is_embedded(record: Record) -> bool:
    """Whether it ran on drawn images in place of the track's own, and would not by itself."""
    track = _shipped().get(record.protocol.track)
    if record.data is None or record.data.stand_in_for is None:
        return False
    if track is None:
        return True
    profile = track.profiles.get(record.protocol.profile)
    chosen_by_profile = profile is not None and profile.data is not None
    return not chosen_by_profile and record.data.name != track.alternative_data
