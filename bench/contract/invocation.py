"""Commands that repeat a run, from its record and from the options of the original command.

A record is published and therefore contains no folders. Options with folders are stored in the run's work folder,
on the machine that it ran on.
"""

import contextlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.contract.contest import find_contest
from bench.contract.documents.schema import Strict
from bench.contract.jobs.files import WORK
from bench.contract.manifest import BASE_VARIANT, REAL_IMAGES
from bench.contract.records.record import Identity, Record
from bench.contract.searches import TRIAL_VARIANT
from bench.contract.tracks import load_tracks, track_files
from bench.files import write_bytes

INVOCATION = "invocation.json"  # in the run's work folder


class Invocation(Strict):
    """The options with which a command started a run."""

    identity: Identity
    profile: str
    track: str
    folder: Path  # of the submission, absolute
    track_file: Path | None  # absolute
    embedded: bool
    data_root: Path | None = None  # absolute; None for the default folder


def write_invocation(run: Path, invocation: Invocation) -> None:
    """Write an invocation into the work folder of the run at ``run``.

    Raises:
        OSError: If the folder cannot be written.
    """
    write_bytes(run / WORK / INVOCATION, invocation.model_dump_json(indent=1).encode())


def read_invocation(run: Path) -> Invocation | None:
    """Read the invocation of the run in this folder; None if it is missing or unreadable."""
    with contextlib.suppress(OSError, ValidationError):
        return Invocation.model_validate_json((run / WORK / INVOCATION).read_bytes())
    return None


@dataclass(frozen=True)
class CommandPaths:
    """Paths and data source of a command, where they differ from the defaults."""

    submission: Path | None = None  # folder; None for submissions/<name>
    results: Path = Path("results")
    track_file: Path | None = None
    embedded: bool = False
    data_root: Path | None = None

    @classmethod
    def from_record(cls, record: Record, results: Path = Path("results")) -> "CommandPaths":
        """Return the paths and data source that are known from a record alone."""
        return cls(results=results, embedded=_is_embedded(record))


def rerun_command(identity: Identity, track: str, profile: str, paths: CommandPaths, more: str = "") -> str:
    """Return the shell command that makes exactly this run, if it does not exist yet.

    Args:
        identity: The run's identity.
        track: The track's name. If it does not ship with the package and has no file in ``paths``, the command
            names ``<track>.yaml`` as a placeholder.
        profile: The profile's name.
        paths: Paths and data source.
        more: Further options of ``bench run``, already quoted; ignored for a trial of a study.
    """
    file = paths.track_file or (None if track in load_tracks() else Path(f"{track}.yaml"))
    words = ["--profile", profile]
    if identity.submission == REAL_IMAGES:
        words = ["bench", "score-real", "--track", str(file or track), *words]
    elif identity.variant.startswith(TRIAL_VARIANT):
        words = ["bench", "tune", _folder(identity, paths), *words, *_track_words(file)]
    else:
        variant = [] if identity.variant == BASE_VARIANT else ["--variants", identity.variant]
        words = ["bench", "run", _folder(identity, paths), *variant, *words, "--seed", str(identity.seed)]
        words += _track_words(file) + ([] if identity.precision == "fp32" else ["--precision", identity.precision])
    words += ["--embedded"] if paths.embedded else []
    words += [] if paths.data_root is None else ["--data-root", str(paths.data_root)]
    results = paths.results
    # A study's results folder is RESULTS/tuning/STUDY; `bench tune` takes RESULTS.
    if identity.variant.startswith(TRIAL_VARIANT):
        results, more = display_path(results.resolve().parent.parent), ""
    words += [] if results == Path("results") else ["--results", str(results)]
    return shlex.join(words) + (f" {more}" if more else "")


def _track_words(file: Path | None) -> list[str]:
    if file is None or file.resolve() in [path.resolve() for path in track_files(find_contest())]:
        return []
    return ["--track", str(file)]


def _folder(identity: Identity, paths: CommandPaths) -> str:
    folder = paths.submission or Path("submissions", identity.submission)
    return str(display_path(folder))


def display_path(path: Path) -> Path:
    """Return ``path`` relative to the current folder if it lies inside, else unchanged."""
    with contextlib.suppress(ValueError, OSError):
        return path.relative_to(Path.cwd())
    return path


def _is_embedded(record: Record) -> bool:
    """Return whether a run used ``--embedded`` data: drawn images that neither profile nor fallback selects."""
    track = load_tracks().get(record.protocol.track)
    if record.data is None or record.data.stand_in_for is None:
        return False
    if track is None:
        return True
    profile = track.profiles.get(record.protocol.profile)
    set_by_profile = profile is not None and profile.data is not None
    return not set_by_profile and record.data.name != track.alternative_data
