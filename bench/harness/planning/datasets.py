"""The data set of a run, and its data in the parent process: counts, statistics and evaluation labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract.datasets import DataSource, Source
from bench.contract.jobs.spec import ArrayFile, JobData
from bench.contract.records.record import DataUsed
from bench.contract.tracks import Profile, Track
from bench.data import cifair, store
from bench.data.arrays import write_array
from bench.data.images import channel_statistics, evenly_chosen, fingerprint, overlap
from bench.errors import DataError


@dataclass(frozen=True)
class ResolvedDataset:
    """A data set with the splits of one profile."""

    job_data: JobData  # the arrays that a job receives
    used: DataUsed
    fingerprints: dict[str, str]  # split -> sha256
    evaluation_labels: NDArray[np.int64]  # (N,); kept in the parent process only
    also_in_train: NDArray[np.bool_]  # (N,) whether an evaluation image occurs byte for byte in train
    near_duplicates: NDArray[np.bool_] | None  # (N,) whether it nearly does; None without a list of these


def choose_data(track: Track, profile_name: str, root: Path, embedded: bool) -> Source:
    """Choose the data set of a profile.

    A data set that the profile names has priority. Otherwise it is the track's data set, or its alternative if
    only that is present. The embedded one is used on request, and by ``smoke`` if neither is present.

    Raises:
        DataError: If no suitable data set is present; the message says how to get it.
    """
    profile = track.profile(profile_name)
    set_by_profile = profile.data
    if set_by_profile is not None:
        return set_by_profile
    if embedded:
        return store.drawn_counterpart(track)
    splits = (profile.train, profile.evaluate)
    reason = store.available(track.data, root, splits)
    if reason is None:
        return track.data
    if track.alternative_data is not None and store.available(track.alternative_data, root, splits) is None:
        return track.alternative_data
    if profile_name == "smoke":
        return store.drawn_counterpart(track)
    raise DataError(reason)


class DatasetResolver:
    """A reader of data sets that reads each only once per command."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._resolved: dict[tuple[str, str, str, str, int | None], ResolvedDataset] = {}

    def resolve(self, track: Track, profile: Profile, source: Source) -> ResolvedDataset:
        """Read a data set with the splits of ``profile``, and write the jobs' arrays into the cache.

        Raises:
            DataError: If a file is damaged, or the cache cannot be written.
        """
        key = (track.name, repr(source), profile.train, profile.evaluate, profile.evaluation_images)
        if key not in self._resolved:
            self._resolved[key] = self._read(track, profile, source)
        return self._resolved[key]

    def _read(self, track: Track, profile: Profile, source: Source) -> ResolvedDataset:
        info = store.describe(source)
        train = store.load(source, profile.train, self.root)
        evaluation = store.load(source, profile.evaluate, self.root).evenly_spread(profile.evaluation_images)
        mean, std = channel_statistics(train.images)
        fingerprints: dict[str, str] = {
            profile.train: fingerprint(train),
            profile.evaluate: fingerprint(evaluation),
        }
        also_in_train = overlap(train.images, evaluation.images)
        job = JobData(
            name=info.name,
            root=self.root.resolve(),
            source=source if isinstance(source, DataSource) else None,
            train_images=self._write(train.images, fingerprints[profile.train], "images"),
            train_labels=self._write(train.labels, fingerprints[profile.train], "labels"),
            evaluation_images=self._write(evaluation.images, fingerprints[profile.evaluate], "images"),
            image_shape=info.image_shape,
            num_classes=info.num_classes,
            channel_mean=mean,
            channel_std=std,
        )
        used = DataUsed(
            name=info.name,
            stand_in_for=None if source == track.data else track.data_name,
            images={profile.train: len(train.labels), profile.evaluate: len(evaluation.labels)},
            image_shape=info.image_shape,
            num_classes=info.num_classes,
            channel_mean=mean,
            channel_std=std,
            evaluation_images_also_in_train=int(also_in_train.sum()),
            class_names=source.class_names if isinstance(source, DataSource) else None,
        )
        near_duplicates = self._near_duplicates(info.name, profile)
        return ResolvedDataset(job, used, fingerprints, evaluation.labels, also_in_train, near_duplicates)

    def _near_duplicates(self, name: str, profile: Profile) -> NDArray[np.bool_] | None:
        if name != "cifar100" or profile.evaluate != "test":
            return None
        marked = cifair.near_duplicates(self.root)
        count = profile.evaluation_images
        return marked if marked is None or count is None else marked[evenly_chosen(len(marked), count)]

    def _write(self, array: NDArray[np.generic], digest: str, kind: str) -> ArrayFile:
        """Write an array for a submission's process; the file's name does not reveal the split."""
        folder = store.cache_folder() / "parts"
        try:
            return write_array(array, folder, f"{digest[:16]}-{kind}")
        except OSError as error:
            raise DataError(f"{folder}: cannot be written ({error.strerror}); set $XDG_CACHE_HOME") from None
