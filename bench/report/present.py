"""Whether a run is what its submission would run now: of the same code, settings and steps."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.contract.manifest import BASE_VARIANT, Manifest, load_manifest
from bench.contract.records import Identity, Record
from bench.contract.sources import sources_of
from bench.contract.tracks import Track, load_tracks
from bench.errors import BenchError
from bench.files import hash_json


class PresentCode:
    """What submissions hold now; each is read once."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        tracks: Mapping[str, Track] | None = None,
        manifests: Mapping[str, Manifest] | None = None,
    ) -> None:
        """
        Args:
            folders: Submission -> its folder.
            tracks: Those that are known; None for those that ship.
            manifests: Of these submissions, as far as they were read before.
        """
        self._folders = folders
        self._tracks = load_tracks() if tracks is None else tracks
        self._manifests = {folders[name]: manifest for name, manifest in (manifests or {}).items()}
        self._read: dict[Path, tuple[str, Manifest] | None] = {}

    def would_run(self, identity: Identity, track: str, profile: str, folder: Path | None = None) -> bool | None:
        """Whether a run of this identity would be made now; None where the submission cannot be read.

        Args:
            identity: Of the run.
            track: Its track's name.
            profile: Its profile's.
            folder: Of the submission; None for the one that is known by its name.
        """
        folder = folder or self._folders.get(identity.submission)
        found = None if folder is None else self._submission(folder)
        if found is None:
            return None
        source_hash, manifest = found
        if identity.source_hash != source_hash or identity.variant not in (BASE_VARIANT, *manifest.ablations):
            return False
        steps, known = identity.steps, self._tracks.get(track)
        if known is not None and profile in known.profiles:
            steps = known.steps(profile, manifest.official_steps(identity.variant))
        return (
            identity.overrides == manifest.overrides(identity.variant, profile)
            and identity.as_published == manifest.measured_as_published
            and identity.steps == steps
        )

    def mark(self, records: Iterable[Record]) -> list[Record]:
        """The records, each of which then knows whether it is of the code that is there now."""
        marked = []
        for record in records:
            present = self.would_run(record.identity, record.protocol.track, record.protocol.profile)
            marked.append(record if present is None else record.known_as(of_present_code=present))
        return marked

    def _submission(self, folder: Path) -> tuple[str, Manifest] | None:
        if folder not in self._read:
            self._read[folder] = None
            with contextlib.suppress(BenchError, OSError):
                manifest = self._manifests.get(folder) or load_manifest(folder / "submission.yaml")
                self._read[folder] = hash_json(sources_of(folder / "model.py")), manifest
        return self._read[folder]
