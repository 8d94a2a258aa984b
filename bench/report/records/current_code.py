"""Comparison of a run with its submission's current code, settings and steps."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.contract.fingerprint import sources_of
from bench.contract.manifest import BASE_VARIANT, Manifest, load_manifest
from bench.contract.records.record import Identity, Record
from bench.contract.tracks import Track, load_tracks
from bench.errors import BenchError
from bench.files import hash_json


class CurrentCode:
    """The current code and manifests of submissions; each is read once."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        tracks: Mapping[str, Track] | None = None,
        manifests: Mapping[str, Manifest] | None = None,
    ) -> None:
        """
        Args:
            folders: Submission -> its folder.
            tracks: Track name -> track; None for the shipped tracks.
            manifests: Submission -> its manifest, if it was read before.
        """
        self._folders = folders
        self._tracks = load_tracks() if tracks is None else tracks
        self._manifests = {folders[name]: manifest for name, manifest in (manifests or {}).items()}
        self._read: dict[Path, tuple[str, Manifest] | None] = {}

    def would_run(self, identity: Identity, track: str, profile: str, folder: Path | None = None) -> bool | None:
        """Return whether the current code would give a run of this identity; None if it cannot be read.

        Args:
            identity: The run's identity.
            track: The name of its track.
            profile: The name of its profile.
            folder: The submission's folder; None to look it up by name.
        """
        folder = folder or self._folders.get(identity.submission)
        submission = None if folder is None else self._submission(folder)
        if submission is None:
            return None
        source_hash, manifest = submission
        if identity.source_hash != source_hash or identity.variant not in (BASE_VARIANT, *manifest.ablations):
            return False
        steps, definition = identity.steps, self._tracks.get(track)
        if definition is not None and profile in definition.profiles:
            steps = definition.steps(profile, manifest.official_steps(identity.variant))
        return (
            identity.overrides == manifest.overrides(identity.variant, profile)
            and identity.as_published == manifest.measured_as_published
            and identity.steps == steps
        )

    def mark(self, records: Iterable[Record]) -> list[Record]:
        """Return the records, each marked as being of the current code or not, if that is known."""
        marked = []
        for record in records:
            is_current = self.would_run(record.identity, record.protocol.track, record.protocol.profile)
            marked.append(record if is_current is None else record.known_as(of_current_code=is_current))
        return marked

    def _submission(self, folder: Path) -> tuple[str, Manifest] | None:
        if folder not in self._read:
            self._read[folder] = None
            with contextlib.suppress(BenchError, OSError):
                manifest = self._manifests.get(folder) or load_manifest(folder / "submission.yaml")
                self._read[folder] = hash_json(sources_of(folder / "model.py")), manifest
        return self._read[folder]
