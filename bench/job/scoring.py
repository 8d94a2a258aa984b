"""The score phase: figures of a generator's samples, in a process that never loads submission code.

The floor phase is the same with real training images in the samples' place: what nothing but the number of
images keeps from 0. Both compare with the same two references, whose features are kept on disk.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contract.jobs import AS_PUBLISHED_SAMPLES, NEAREST, REPORT, SAMPLES, JobSpec, Scores
from bench.contract.records import fid_name
from bench.data.store import load
from bench.errors import ContractError, DataError
from bench.files import atomic_path, write_bytes
from bench.job.channel import Channel
from bench.measure import weights
from bench.measure.environment import capture_environment, peak_memory_bytes

if TYPE_CHECKING:  # these need packages that may be absent
    from bench.job.inception_figures import FeatureReader
    from bench.job.lpips_figures import CopySearch

FEATURES = "features"  # of samples, in the work folder: an interrupted process goes on


class Scorer(ABC):
    """Scores one set of images against two references. ``run`` reads as its own summary."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec, self.device = spec, spec.device
        self.channel = Channel()
        self.kept = weights.weights_folder() / FEATURES
        protocol, data = spec.protocol, spec.data
        self.count = protocol.samples or 0
        train = load(data.name, protocol.train, data.root)
        self.reference = load(data.name, protocol.evaluate, data.root).evenly_spread(protocol.evaluation_images)
        self.train = train.balanced(protocol.train_references)
        self.searched = train.balanced(protocol.train_searched)
        self.metrics: dict[str, float] = {}
        self.intervals: dict[str, tuple[float, float]] = {}
        self.as_published: dict[str, float] = {}
        self.not_measured: dict[str, str] = {}
        self.weights: dict[str, str] = {}

    def run(self) -> Scores:
        """Everything for which there are weights; what there are none for is named, with the reason."""
        started = time.perf_counter()
        self._where_possible(self.inception, weights.INCEPTION)
        self._where_possible(self.lpips, weights.ALEX, weights.VGG)
        return Scores(
            metrics=self.metrics,
            intervals=self.intervals,
            as_published=self.as_published,
            not_measured=self.not_measured,
            weights=self.weights,
            seconds=time.perf_counter() - started,
            peak_memory_bytes=peak_memory_bytes(self.device),
            environment=capture_environment(self.device, self.spec.machine),
        )

    @abstractmethod
    def inception(self) -> None:
        """FID, KID, precision and recall."""

    @abstractmethod
    def lpips(self) -> None:
        """Diversity, and nearness to train."""

    def _where_possible(self, measure: Callable[[], None], *needed: weights.Weights) -> None:
        reason = weights.missing(*needed)
        if reason is None:
            try:
                for item in needed:
                    weights.read(item)
            except DataError as error:
                reason = str(error)
        if reason is not None:
            self.not_measured |= dict.fromkeys(unmeasured_names(self.spec, needed), reason)
            return
        measure()
        self.weights |= {item.name: item.digest for item in needed}

    def reader(self, resize: Literal["legacy", "clean"]) -> "FeatureReader":
        """What reads features of images."""
        from bench.job.inception_figures import FeatureReader
        from bench.measure.inception import Inception

        return FeatureReader(Inception(resize, self.device), self.progress("features"))

    def diversity(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Mean LPIPS over pairs of ``images``."""
        from bench.job.lpips_figures import diversity_figures

        for net in ("alex", "vgg"):
            self.metrics |= diversity_figures(net, images, labels, self.device)

    def copy_search(self) -> "CopySearch":
        """What looks for copies of training images."""
        from bench.job.lpips_figures import CopySearch

        return CopySearch(self.searched.images, self.device, self.progress("neighbours"))

    def progress(self, phase: str) -> Callable[[int, int], None]:
        """Tells the display how far a part is."""
        return lambda done, total: self.channel.progress(phase, done, total)


class SampleScorer(Scorer):
    """Of a generator's samples."""

    def __init__(self, spec: JobSpec) -> None:
        super().__init__(spec)
        self.samples = read_samples(spec, SAMPLES)
        self.labels = np.arange(self.count) % spec.data.num_classes  # in turn, as they were drawn

    def inception(self) -> None:
        """And once more as the paper's author measured it."""
        from bench.job.inception_figures import fid, inception_figures

        reader = self.reader("legacy")
        features = reader.features(self.samples, self.spec.work / FEATURES)
        reference = reader.features(self.reference.images, self.kept)
        self.metrics, self.intervals = inception_figures(features, reference, self.device)
        train = reader.features(self.train.images, self.kept)
        self.metrics[f"fid_{self.count}_train"] = fid(features, train, self.device)
        settings = self.spec.as_published
        if settings is None:
            return
        reader = self.reader(settings.resize or "legacy")
        in_eval_mode = settings.mode == "eval"  # then the samples are the same
        samples = self.samples if in_eval_mode else read_samples(self.spec, AS_PUBLISHED_SAMPLES)
        features = reader.features(samples, self.spec.work / FEATURES)
        reference = reader.features(self.reference.images, self.kept)
        self.as_published[as_published_fid(self.spec)] = fid(features, reference, self.device)

    def lpips(self) -> None:
        """And the closest pairs, to look at."""
        from bench.job.lpips_figures import real_images_figures

        self.diversity(self.samples, self.labels)
        held_out = self.reference.balanced(self.count).images
        copies = self.copy_search().copies(self.samples, held_out)
        self.metrics |= copies.figures
        with atomic_path(self.spec.work / NEAREST.array) as partial, partial.open("wb") as file:
            np.save(file, copies.closest, allow_pickle=False)
        if self.spec.as_published is not None and self.spec.as_published.lpips is not None:
            self.as_published |= real_images_figures(self.train.images, self.device, self.progress("audit"))


class FloorScorer(Scorer):
    """Of training images in the samples' place, as many of each class."""

    def __init__(self, spec: JobSpec) -> None:
        super().__init__(spec)
        self.chosen = self.train.balanced_choice(self.count)  # in the samples' place
        self.held_out = self.reference.balanced_choice(self.count)  # of other real images
        self.images = self.train.subset(self.chosen)
        fewest = int(min(self.chosen.sum(), self.held_out.sum()))
        if fewest < self.count:
            raise DataError(f"{fewest:,} real images cannot stand for {self.count:,} samples")

    def inception(self) -> None:
        """With both resizes, since papers use both."""
        from bench.job.inception_figures import fid, inception_figures

        reader = self.reader("legacy")
        reference = reader.features(self.reference.images, self.kept)
        train = reader.features(self.train.images, self.kept)
        self.metrics, self.intervals = inception_figures(train[self.chosen], reference, self.device)
        # Against train it is held-out images that stand for samples.
        self.metrics[f"fid_{self.count}_train"] = fid(reference[self.held_out], train, self.device)
        reader = self.reader("clean")
        features = reader.features(self.images.images, self.kept)
        reference = reader.features(self.reference.images, self.kept)
        self.as_published[fid_name(self.count, "clean")] = fid(features, reference, self.device)

    def lpips(self) -> None:
        """Nearness is that of held-out images: a training image is its own nearest."""
        from bench.job.lpips_figures import NEAREST_NAME

        self.diversity(self.images.images, self.images.labels)
        distances = self.copy_search().held_out_distances(self.reference.subset(self.held_out).images)
        self.metrics[NEAREST_NAME] = distances.double().mean().item()


def as_published_fid(spec: JobSpec) -> str:
    """The name of the figure that is measured as the author did."""
    return fid_name(spec.protocol.samples, spec.as_published.resize if spec.as_published else None)


def unmeasured_names(spec: JobSpec, needed: tuple[weights.Weights, ...]) -> list[str]:
    """The figures that need these weights."""
    published, count = spec.as_published, spec.protocol.samples
    if weights.INCEPTION in needed:
        names = [f"fid_{count}", f"fid_{count}_train", f"fid_infinity_from_{count}", f"kid_{count}"]
        names += [f"precision_{count}", f"recall_{count}"]
        return names + ([f"as_published.{as_published_fid(spec)}"] if published else [])
    names = ["lpips_alex_64", "lpips_vgg_64", "nearest_train_lpips_alex_64", "nearer_than_held_out"]
    names.append("nearer_than_closest_1_percent")
    return names + (["as_published.lpips_real_images"] if published and published.lpips else [])


def read_samples(spec: JobSpec, name: str) -> NDArray[np.uint8]:
    """(N, C, H, W) uint8, as the evaluate phase left them.

    Raises:
        ContractError: If they are something else.
    """
    images: NDArray[np.uint8] = np.load(spec.work / name, allow_pickle=False)
    expected = (spec.protocol.samples, *spec.data.image_shape)
    if images.shape != expected or images.dtype != np.uint8:
        raise ContractError(f"{name}: found {images.shape} {images.dtype}, expected {expected} uint8")
    return images


def score(spec: JobSpec) -> None:
    """Run the score phase and write its report."""
    _write(spec.work, SampleScorer(spec).run())


def floor(spec: JobSpec) -> None:
    """Run the floor phase and write its report."""
    _write(spec.work, FloorScorer(spec).run())


def _write(work: Path, scores: Scores) -> None:
    write_bytes(work / REPORT["score"], scores.model_dump_json(indent=1).encode())
