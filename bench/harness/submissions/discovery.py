"""Discovery of the submissions that a command names, with their manifests and the hashes of their code."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.fingerprint import sources_of
from bench.contract.manifest import BASE_VARIANT, Manifest, check_name, load_manifest
from bench.contract.tracks import Track, choose_tracks, track_of
from bench.errors import BenchError, ContractError, ManifestError, NothingToDo, UsageError
from bench.files import hash_json

MANIFEST = "submission.yaml"
MODEL = "model.py"


@dataclass(frozen=True)
class SubmissionSource:
    """A submission on disk: its manifest, its track, and the hashes of its code."""

    name: str
    folder: Path
    manifest: Manifest
    track: Track
    sources: dict[str, str]  # path relative to the folder or the repository -> sha256 of its code

    @property
    def source_hash(self) -> str:
        """The sha256 over the hashes of all source files."""
        return hash_json(self.sources)


def discover(
    paths: Sequence[Path], tracks: dict[str, Track]
) -> tuple[list[SubmissionSource], list[tuple[Path, BenchError]]]:
    """Return the submissions at ``paths``, and the folders of invalid submissions with their errors.

    A path is a submission's folder, or a folder of such folders. Plain files are skipped, so that
    ``submissions/*`` may include a README.

    Raises:
        UsageError: If a path does not exist, or two submissions have the same name.
        NothingToDo: If there is no submission.
    """
    submissions: list[SubmissionSource] = []
    broken: list[tuple[Path, BenchError]] = []
    for folder in _folders(paths):
        try:
            submissions.append(_read(folder, tracks))
        except BenchError as error:
            broken.append((folder, error))
    names = [submission.name for submission in submissions]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise UsageError(
            f"two submissions are called {duplicates[0]!r}; records are stored by name, rename one folder"
        )
    if not submissions and not broken:
        raise NothingToDo(f"no {MANIFEST} in {', '.join(map(str, paths))}; `bench new NAME` writes a submission")
    return submissions, broken


def submissions_of(
    paths: Sequence[Path], track: Path | None, say: Callable[[str], None] | None = None
) -> tuple[list[SubmissionSource], list[tuple[Path, BenchError]]]:
    """Find submissions, see ``discover``, and keep only those of the track that ``--track`` names.

    Args:
        paths: Submission folders, or folders of such folders.
        track: A built-in track's name, or the file of a custom track; None for all built-in tracks.
        say: Called with a message about skipped submissions of other tracks; None to print it to stderr.

    Raises:
        UsageError: If a path or the track does not exist.
        ManifestError: If the track's file is invalid.
        NothingToDo: If there is no submission, or none of the track.
    """
    chosen = choose_tracks(track)
    submissions, broken = discover(paths, chosen.tracks)
    if chosen.only is None:
        return submissions, broken
    selected = [submission for submission in submissions if submission.track.name == chosen.only]
    skipped = ", ".join(
        f"{submission.name} ({submission.track.name})" for submission in submissions if submission not in selected
    )
    if not selected and not broken:
        raise NothingToDo(
            f"--track {track}: no submission of track {chosen.only}; found {skipped}; "
            f"write `track: {chosen.only}` in submission.yaml"
        )
    if skipped:
        line = f"--track {track}: skipped submissions of other tracks: {skipped}"
        say(line) if say is not None else print(f"bench: {line}", file=sys.stderr)
    return selected, broken


def _folders(paths: Iterable[Path]) -> list[Path]:
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such folder; give a submission's folder, such as submissions/se_dsconv")
        if path.is_dir() and not path.resolve().name.startswith(("_", ".")):
            is_submission = (path / MANIFEST).exists() or (path / MODEL).exists()
            children = sorted(child.parent for child in path.glob(f"*/{MANIFEST}"))
            for folder in [path] if is_submission else children:
                folders[folder.resolve()] = None
    return list(folders)


def _read(folder: Path, tracks: dict[str, Track]) -> SubmissionSource:
    path = folder / MANIFEST
    if (reason := check_name(folder.name)) is not None:
        raise ManifestError(f"{folder}: {reason}; rename the folder")
    manifest = load_manifest(path)
    track = track_of(manifest.track, tracks, path)
    unknown = sorted(set(manifest.profiles) - set(track.profiles))
    if unknown:
        known = ", ".join(sorted(track.profiles))
        raise ManifestError(f"{path}: field `profiles`: the track has no profile {unknown[0]!r}; it has {known}")
    if not (folder / MODEL).is_file():
        raise ContractError(f"{folder / MODEL}: no such file; a submission consists of {MANIFEST} and {MODEL}")
    return SubmissionSource(folder.name, folder, manifest, track, sources_of(folder / MODEL))


def variants_of(submission: SubmissionSource, selection: str) -> list[str]:
    """Return the variants that ``--variants`` selects: ``base``, ``all``, or names separated by commas.

    Raises:
        UsageError: If the submission has no such variant.
    """
    variants = [BASE_VARIANT, *submission.manifest.ablations]
    if selection == "all":
        return variants
    names = list(dict.fromkeys(name.strip() for name in selection.split(",") if name.strip()))
    if not names:
        raise UsageError(f"--variants {selection!r}: give base, all, or names separated by commas")
    for name in names:
        if name not in variants:
            raise UsageError(f"{submission.name}: no variant {name!r}; it has {', '.join(variants)}")
    return names
