"""Which submissions a command means, and the hash of the code that each one runs."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.manifest import BASE_VARIANT, Manifest, load_manifest, refuse_name
from bench.contract.sources import sources_of
from bench.contract.tracks import Track, choose_tracks, track_of
from bench.errors import BenchError, ContractError, ManifestError, NothingToDo, UsageError
from bench.files import hash_json

MANIFEST = "submission.yaml"
MODEL = "model.py"


@dataclass(frozen=True)
class Found:
    """A submission on disk: what it claims and what code it is."""

    name: str
    folder: Path
    manifest: Manifest
    track: Track
    sources: dict[str, str]  # path relative to the folder or the repository -> sha256 of its code

    @property
    def source_hash(self) -> str:
        """The sha256 over all sources."""
        return hash_json(self.sources)


def discover(paths: Sequence[Path], tracks: dict[str, Track]) -> tuple[list[Found], list[tuple[Path, BenchError]]]:
    """The submissions at ``paths``, and the folders that were meant to be some but cannot be read.

    A path is a submission's folder, or a folder of such folders. Plain files are passed over, so that
    ``submissions/*`` may have a README beside the folders.

    Raises:
        UsageError: If a path does not exist.
        NothingToDo: If there is no submission at all.
    """
    found: list[Found] = []
    broken: list[tuple[Path, BenchError]] = []
    for folder in _folders(paths):
        try:
            found.append(_read(folder, tracks))
        except BenchError as error:
            broken.append((folder, error))
    names = [submission.name for submission in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two submissions are called {twice[0]!r}; records are kept by name, rename one folder")
    if not found and not broken:
        raise NothingToDo(f"no {MANIFEST} in {', '.join(map(str, paths))}; `bench new NAME` writes a submission")
    return found, broken


def submissions_of(
    paths: Sequence[Path], track: Path | None, say: Callable[[str], None] | None = None
) -> tuple[list[Found], list[tuple[Path, BenchError]]]:
    """As ``discover``, of the track that ``--track`` names alone, where it names one.

    Args:
        paths: As the user gave them.
        track: A track's name, or the file of one's own; None for all that ship.
        say: Told which submissions are left out, for they are of another track; None for standard error.

    Raises:
        UsageError: If there is no such path or track.
        ManifestError: If the track's file does not fit.
        NothingToDo: If there is no submission, or none of the track.
    """
    chosen = choose_tracks(track)
    found, broken = discover(paths, chosen.tracks)
    if chosen.only is None:
        return found, broken
    own = [submission for submission in found if submission.track.name == chosen.only]
    others = ", ".join(f"{one.name} ({one.track.name})" for one in found if one not in own)
    if not own and not broken:
        raise NothingToDo(f"--track {track}: no submission is of {chosen.only}; there are {others}")
    if others:
        line = f"--track {track}: left out, being of another track: {others}"
        say(line) if say is not None else print(f"bench: {line}", file=sys.stderr)
    return own, broken


def _folders(paths: Iterable[Path]) -> list[Path]:
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such folder; give a submission's folder, such as submissions/se_dsconv")
        if path.is_dir() and not path.name.startswith(("_", ".")):
            is_one = (path / MANIFEST).exists() or (path / MODEL).exists()
            inner = sorted(child.parent for child in path.glob(f"*/{MANIFEST}"))
            for folder in [path] if is_one else inner:
                folders[folder.resolve()] = None
    return list(folders)


def _read(folder: Path, tracks: dict[str, Track]) -> Found:
    path = folder / MANIFEST
    if (why := refuse_name(folder.name)) is not None:
        raise ManifestError(f"{folder}: {why}; rename the folder")
    manifest = load_manifest(path)
    track = track_of(manifest.track, tracks, path)
    unknown = sorted(set(manifest.profiles) - set(track.profiles))
    if unknown:
        known = ", ".join(sorted(track.profiles))
        raise ManifestError(f"{path}: field `profiles`: the track has no {unknown[0]!r}; it has {known}")
    if not (folder / MODEL).is_file():
        raise ContractError(f"{folder / MODEL}: no such file; a submission is {MANIFEST} and {MODEL}")
    return Found(folder.name, folder, manifest, track, sources_of(folder / MODEL))


def variants_of(found: Found, wanted: str) -> list[str]:
    """The variants that ``--variants`` names: ``base``, ``all``, or names separated by commas.

    Raises:
        UsageError: If the submission has no such variant.
    """
    every = [BASE_VARIANT, *found.manifest.ablations]
    if wanted == "all":
        return every
    names = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
    for name in names:
        if name not in every:
            raise UsageError(f"{found.name}: no variant {name!r}; it has {', '.join(every)}")
    return names
