"""Which data set a run uses, and what of it the parent needs: counts, statistics, labels to score against."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract.jobs import ArrayFile, JobData
from bench.contract.records import DataUsed
from bench.contract.tracks import Profile, Track
from bench.data import cifair, store
from bench.data.images import channel_statistics, evenly_chosen, fingerprint, overlap
from bench.data.parts import write_array
from bench.errors import DataError


@dataclass(frozen=True)
class DataFacts:
    """A data set as one profile uses it."""

    job: JobData
    used: DataUsed
    fingerprints: dict[str, str]
    evaluation_labels: NDArray[np.int64]  # (N,); they stay in the parent
    also_in_train: NDArray[np.bool_]  # (N,) evaluation images that occur byte for byte in train
    near_duplicates: NDArray[np.bool_] | None  # (N,) those that nearly do; None where no list of them is there


def choose_data(track: Track, profile_name: str, root: Path, embedded: bool) -> str:
    """The name of the data set to use: the profile's own, else the track's, its alternative, or the embedded one.

    The embedded one is used on request, and by ``smoke`` where nothing else is there.

    Raises:
        DataError: If nothing suitable is there; the message says how to get it.
    """
    own = track.profile(profile_name).data
    if own is not None:
        return own
    if embedded:
        return track.embedded_data
    reason = store.available(track.data, root)
    if reason is None:
        return track.data
    if track.alternative_data is not None and store.available(track.alternative_data, root) is None:
        return track.alternative_data
    if profile_name == "smoke":
        return track.embedded_data
    raise DataError(reason)


class DataSets:
    """Reads each data set once a command."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._facts: dict[tuple[str, str, str, str, int | None], DataFacts] = {}

    def facts(self, track: Track, profile: Profile, name: str) -> DataFacts:
        """What the parent needs of data set ``name`` under ``profile``.

        Raises:
            DataError: If a file is damaged, or the cache cannot be written.
        """
        key = (track.data, name, profile.train, profile.evaluate, profile.evaluation_images)
        if key not in self._facts:
            self._facts[key] = self._read(track, profile, name)
        return self._facts[key]

    def _read(self, track: Track, profile: Profile, name: str) -> DataFacts:
        info = store.describe(name)
        train = store.load(name, profile.train, self.root)
        evaluation = store.load(name, profile.evaluate, self.root).evenly_spread(profile.evaluation_images)
        mean, std = channel_statistics(train.images)
        fingerprints: dict[str, str] = {
            profile.train: fingerprint(train),
            profile.evaluate: fingerprint(evaluation),
        }
        repeated = overlap(train.images, evaluation.images)
        job = JobData(
            name=name,
            root=self.root.resolve(),
            train_images=self._keep(train.images, fingerprints[profile.train], "images"),
            train_labels=self._keep(train.labels, fingerprints[profile.train], "labels"),
            evaluation_images=self._keep(evaluation.images, fingerprints[profile.evaluate], "images"),
            image_shape=info.image_shape,
            num_classes=info.num_classes,
            channel_mean=mean,
            channel_std=std,
        )
        used = DataUsed(
            name=name,
            stand_in_for=None if name == track.data else track.data,
            images={profile.train: len(train.labels), profile.evaluate: len(evaluation.labels)},
            image_shape=info.image_shape,
            num_classes=info.num_classes,
            channel_mean=mean,
            channel_std=std,
            evaluation_images_also_in_train=int(repeated.sum()),
        )
        near = self._near_duplicates(name, profile)
        return DataFacts(job, used, fingerprints, evaluation.labels, repeated, near)

    def _near_duplicates(self, name: str, profile: Profile) -> NDArray[np.bool_] | None:
        if name != "cifar100" or profile.evaluate != "test":
            return None
        marked = cifair.near_duplicates(self.root)
        count = profile.evaluation_images
        return marked if marked is None or count is None else marked[evenly_chosen(len(marked), count)]

    def _keep(self, array: NDArray[np.generic], digest: str, what: str) -> ArrayFile:
        """An array where a submission's process can read it, under a name that says nothing to it."""
        folder = store.cache_folder() / "parts"
        try:
            return write_array(array, folder, f"{digest[:16]}-{what}")
        except OSError as error:
            raise DataError(f"{folder}: cannot be written ({error.strerror}); set $XDG_CACHE_HOME") from None
