"""The score phase: compute metrics of a generator's samples, in a process that never loads submission code.

The score_real phase computes the same metrics for real training images instead of samples, which shows the bias of
a finite number of images. Both phases compare with the same two reference sets, whose features are cached on disk.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contract.jobs.files import AS_PUBLISHED_SAMPLES, NEAREST, REPORT, SAMPLES
from bench.contract.jobs.reports import Scores
from bench.contract.jobs.spec import JobSpec
from bench.contract.metrics import FID
from bench.data.store import load
from bench.errors import ContractError, DataError
from bench.files import atomic_path, write_bytes
from bench.job.channel import Channel
from bench.measure.machine.environment import capture_environment, peak_memory_bytes
from bench.measure.metrics import weights

if TYPE_CHECKING:  # these modules need optional packages
    from bench.job.sample_metrics.inception import FeatureReader
    from bench.job.sample_metrics.lpips import CopySearch

FEATURES = "features"  # folder of cached features; the samples' are in the work folder, for a resume


class Scorer(ABC):
    """The metrics of one set of images against two reference sets; ``run`` is the entry point."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec, self.device = spec, spec.device
        self.channel = Channel()
        self.cache = weights.weights_folder() / FEATURES
        protocol, data = spec.protocol, spec.data
        self.count = protocol.samples or 0
        source = data.source or data.name
        train = load(source, protocol.train, data.root)
        self.reference = load(source, protocol.evaluate, data.root).evenly_spread(protocol.evaluation_images)
        self.train = train.balanced(protocol.train_references)
        self.searched = train.balanced(protocol.train_searched)
        self.metrics: dict[str, float] = {}
        self.intervals: dict[str, tuple[float, float]] = {}
        self.as_published: dict[str, float] = {}
        self.not_measured: dict[str, str] = {}
        self.weights: dict[str, str] = {}

    def run(self) -> Scores:
        """Compute all metrics whose network weights are present; name the other metrics with the reason."""
        started = time.perf_counter()
        self._measure_if_present(self.inception, weights.INCEPTION)
        self._measure_if_present(self.lpips, weights.ALEX, weights.VGG)
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
        """Compute FID, KID, precision and recall."""

    @abstractmethod
    def lpips(self) -> None:
        """Compute LPIPS diversity, and the distance to the nearest training images."""

    def _measure_if_present(self, measure: Callable[[], None], *needed: weights.Weights) -> None:
        """Call ``measure`` if the ``needed`` weights are present and undamaged; else record the reason."""
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
        """Return a reader of Inception features of images."""
        from bench.job.sample_metrics.inception import FeatureReader
        from bench.measure.metrics.inception import Inception

        return FeatureReader(Inception(resize, self.device), self.progress("features"))

    def diversity(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Compute the mean LPIPS over pairs of ``images``, (N, C, H, W) uint8 with (N,) int64 ``labels``."""
        from bench.job.sample_metrics.lpips import diversity_metrics

        for net in ("alex", "vgg"):
            self.metrics |= diversity_metrics(net, images, labels, self.device)

    def copy_search(self) -> "CopySearch":
        """Return a search for copies of training images."""
        from bench.job.sample_metrics.lpips import CopySearch

        return CopySearch(self.searched.images, self.device, self.progress("neighbours"))

    def progress(self, phase: str) -> Callable[[int, int], None]:
        """Return a function of (done, total) that reports the progress of ``phase``."""
        return lambda done, total: self.channel.progress(phase, done, total)


class SampleScorer(Scorer):
    """The scorer of a generator's samples."""

    def __init__(self, spec: JobSpec) -> None:
        super().__init__(spec)
        self.samples = read_samples(spec, SAMPLES)
        self.labels = np.arange(self.count) % spec.data.num_classes  # 0, 1, 2, … in turn, as in Sampler.draw

    def inception(self) -> None:
        """Compute FID, KID, precision and recall, and FID as the paper's author measured it."""
        from bench.job.sample_metrics.inception import fid, inception_metrics

        reader = self.reader("legacy")
        features = reader.features(self.samples, self.spec.work / FEATURES)
        reference = reader.features(self.reference.images, self.cache)
        self.metrics, self.intervals = inception_metrics(features, reference, self.device)
        train = reader.features(self.train.images, self.cache)
        self.metrics[f"fid_{self.count}_train"] = fid(features, train, self.device)
        settings = self.spec.as_published
        if settings is None:
            return
        reader = self.reader(settings.resize or "legacy")
        in_eval_mode = settings.mode == "eval"  # then the evaluated samples serve for both
        samples = self.samples if in_eval_mode else read_samples(self.spec, AS_PUBLISHED_SAMPLES)
        features = reader.features(samples, self.spec.work / FEATURES)
        reference = reader.features(self.reference.images, self.cache)
        self.as_published[as_published_fid(self.spec)] = fid(features, reference, self.device)

    def lpips(self) -> None:
        """Compute diversity and nearness to training images; save the closest pairs for visual inspection."""
        from bench.job.sample_metrics.lpips import real_images_metrics

        self.diversity(self.samples, self.labels)
        held_out = self.reference.balanced(self.count).images
        copies = self.copy_search().copies(self.samples, held_out)
        self.metrics |= copies.metrics
        with atomic_path(self.spec.work / NEAREST.array) as partial, partial.open("wb") as file:
            np.save(file, copies.closest, allow_pickle=False)
        if self.spec.as_published is not None and self.spec.as_published.lpips is not None:
            self.as_published |= real_images_metrics(self.train.images, self.device, self.progress("audit"))


class RealImagesScorer(Scorer):
    """The scorer of class-balanced training images instead of samples."""

    def __init__(self, spec: JobSpec) -> None:
        super().__init__(spec)
        self.selected = self.train.balanced_choice(self.count)  # training images used instead of samples
        self.held_out = self.reference.balanced_choice(self.count)  # held-out images for the comparison with train
        self.images = self.train.subset(self.selected)
        fewest = int(min(self.selected.sum(), self.held_out.sum()))
        if fewest < self.count:
            raise DataError(
                f"found {fewest:,} real images, {self.count:,} needed to replace the samples; use a data set with "
                "more images, or a track with fewer samples"
            )

    def inception(self) -> None:
        """Compute FID, KID, precision and recall with both resizes, since papers use both."""
        from bench.job.sample_metrics.inception import fid, inception_metrics

        reader = self.reader("legacy")
        reference = reader.features(self.reference.images, self.cache)
        train = reader.features(self.train.images, self.cache)
        self.metrics, self.intervals = inception_metrics(train[self.selected], reference, self.device)
        # Training images would be compared with themselves: use held-out images instead.
        self.metrics[f"fid_{self.count}_train"] = fid(reference[self.held_out], train, self.device)
        reader = self.reader("clean")
        features = reader.features(self.images.images, self.cache)
        reference = reader.features(self.reference.images, self.cache)
        self.as_published[FID.at(self.count, "clean").name] = fid(features, reference, self.device)

    def lpips(self) -> None:
        """Compute diversity of training images, and nearness of held-out ones (training ones match themselves)."""
        from bench.job.sample_metrics.lpips import NEAREST_NAME

        self.diversity(self.images.images, self.images.labels)
        distances = self.copy_search().held_out_distances(self.reference.subset(self.held_out).images)
        self.metrics[NEAREST_NAME] = distances.double().mean().item()


def as_published_fid(spec: JobSpec) -> str:
    """Return the name of the FID that is measured as the paper's author did."""
    return FID.at(spec.protocol.samples, spec.as_published.resize if spec.as_published else None).name


def unmeasured_names(spec: JobSpec, needed: tuple[weights.Weights, ...]) -> list[str]:
    """Return the names of the metrics that need these weights."""
    published, count = spec.as_published, spec.protocol.samples
    if weights.INCEPTION in needed:
        names = [f"fid_{count}", f"fid_{count}_train", f"fid_infinity_from_{count}", f"kid_{count}"]
        names += [f"precision_{count}", f"recall_{count}"]
        return names + ([f"as_published.{as_published_fid(spec)}"] if published else [])
    names = ["lpips_alex_64", "lpips_vgg_64", "nearest_train_lpips_alex_64", "nearer_than_held_out"]
    names.append("nearer_than_closest_1_percent")
    return names + (["as_published.lpips_real_images"] if published and published.lpips else [])


def read_samples(spec: JobSpec, name: str) -> NDArray[np.uint8]:
    """Read the samples that the evaluate phase wrote, (N, C, H, W) uint8.

    Raises:
        ContractError: If shape or dtype differ from these.
    """
    images: NDArray[np.uint8] = np.load(spec.work / name, allow_pickle=False)
    expected = (spec.protocol.samples, *spec.data.image_shape)
    if images.shape != expected or images.dtype != np.uint8:
        raise ContractError(f"{name}: found {images.shape} {images.dtype}, expected {expected} uint8")
    return images


def score(spec: JobSpec) -> None:
    """Run the score phase and write its report."""
    _write(spec.work, SampleScorer(spec).run())


def score_real_images(spec: JobSpec) -> None:
    """Run the score_real phase and write its report."""
    _write(spec.work, RealImagesScorer(spec).run())


def _write(work: Path, scores: Scores) -> None:
    write_bytes(work / REPORT["score"], scores.model_dump_json(indent=1).encode())
