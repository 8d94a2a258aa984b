"""The score phase: figures of a generator's samples, in a process that never loads submission code.

The floor phase is the same with real training images in the samples' place: what nothing but the number of
images keeps from 0. Both compare with the same two references, whose features are kept on disk.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract.jobs import AS_PUBLISHED_SAMPLES, NEAREST, REPORT, SAMPLES, JobSpec, Scores
from bench.data.store import load
from bench.errors import ContractError, DataError
from bench.files import atomic_path, write_bytes
from bench.job.channel import Channel
from bench.measure import weights
from bench.measure.environment import capture_environment, peak_memory_bytes

FEATURES = "features"  # of samples, in the work folder: an interrupted process goes on


class Scorer:
    """Scores one set of images. ``run`` reads as its own summary."""

    def __init__(self, spec: JobSpec, *, floor: bool) -> None:
        self.spec, self.floor = spec, floor
        self.channel = Channel()
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
        self._where_possible(self._inception, weights.INCEPTION)
        self._where_possible(self._lpips, weights.ALEX, weights.VGG)
        return Scores(
            metrics=self.metrics,
            intervals=self.intervals,
            as_published=self.as_published,
            not_measured=self.not_measured,
            weights=self.weights,
            seconds=time.perf_counter() - started,
            peak_memory_bytes=peak_memory_bytes(self.spec.device),
            environment=capture_environment(self.spec.device),
        )

    def _where_possible(self, measure: Callable[[], None], *needed: weights.Weights) -> None:
        reason = weights.missing(*needed)
        if reason is None:
            try:
                for item in needed:
                    weights.read(item)
            except DataError as error:
                reason = str(error)
        if reason is not None:
            self.not_measured |= dict.fromkeys(unmeasured_names(self.count, self.spec, needed), reason)
            return
        measure()
        self.weights |= {item.name: item.digest for item in needed}

    def _inception(self) -> None:
        from bench.job.inception_figures import FeatureReader, fid, inception_figures
        from bench.measure.inception import Inception

        device, kept = self.spec.device, weights.weights_folder() / FEATURES
        reader = FeatureReader(Inception("legacy", device), self._progress("features"))
        reference = reader.features(self.reference.images, kept)
        train = reader.features(self.train.images, kept)
        if self.floor:
            features = train[self.train.balanced_choice(self.count)]
        else:
            features = reader.features(read_samples(self.spec, SAMPLES), self.spec.work / FEATURES)
        self.metrics, self.intervals = inception_figures(features, reference, device)
        if self.floor:
            # What the second reference is to samples, other real images of the same number are to it.
            held_out = reference[self.reference.balanced_choice(self.count)]
            self.metrics[f"fid_{self.count}_train"] = fid(held_out, train)
            reader = FeatureReader(Inception("clean", device), self._progress("features"))
            features = reader.features(self.train.balanced(self.count).images, kept)
            reference = reader.features(self.reference.images, kept)
            self.as_published[f"fid_clean_{self.count}"] = fid(features, reference)
            return
        self.metrics[f"fid_{self.count}_train"] = fid(features, train)
        settings = self.spec.as_published
        if settings is not None:
            resize = settings.resize or "legacy"
            reader = FeatureReader(Inception(resize, device), self._progress("features"))
            name = AS_PUBLISHED_SAMPLES if settings.mode == "train" else SAMPLES
            features = reader.features(read_samples(self.spec, name), self.spec.work / FEATURES)
            self.as_published[as_published_fid(self.spec)] = fid(
                features, reader.features(self.reference.images, kept)
            )

    def _lpips(self) -> None:
        from bench.job.lpips_figures import NEAREST_NAME, CopySearch, diversity_figures, real_images_figures

        device = self.spec.device
        held_out = self.reference.balanced(self.count).images
        if self.floor:
            chosen = self.train.balanced(self.count)
            images, labels = chosen.images, chosen.labels
        else:
            images = read_samples(self.spec, SAMPLES)
            labels = np.arange(len(images)) % self.spec.data.num_classes
        for net in ("alex", "vgg"):
            self.metrics |= diversity_figures(net, images, labels, device)
        search = CopySearch(self.searched.images, device, self._progress("neighbours"))
        if self.floor:
            self.metrics[NEAREST_NAME] = search.held_out_distances(held_out).double().mean().item()
            return
        copies = search.copies(images, held_out)
        self.metrics |= copies.figures
        with atomic_path(self.spec.work / NEAREST.array) as partial, partial.open("wb") as file:
            np.save(file, copies.closest, allow_pickle=False)
        if self.spec.as_published is not None and self.spec.as_published.lpips is not None:
            self.as_published |= real_images_figures(self.train.images, device, self._progress("audit"))

    def _progress(self, phase: str) -> Callable[[int, int], None]:
        return lambda done, total: self.channel.progress(phase, done, total)


def as_published_fid(spec: JobSpec) -> str:
    """The name of the figure that is measured as the author did; another resize is another metric."""
    resize = spec.as_published and spec.as_published.resize
    return f"fid_{resize}_{spec.protocol.samples}" if resize else f"fid_{spec.protocol.samples}"


def unmeasured_names(count: int, spec: JobSpec, needed: tuple[weights.Weights, ...]) -> list[str]:
    """The figures that need these weights."""
    published = spec.as_published
    if weights.INCEPTION in needed:
        names = [f"fid_{count}", f"fid_{count}_train", f"fid_infinity_from_{count}", f"kid_{count}"]
        names += [f"precision_{count}", f"recall_{count}"]
        return names + ([f"as_published.{as_published_fid(spec)}"] if published else [])
    names = ["lpips_alex_64", "lpips_vgg_64", "nearest_train_lpips_alex_64", "nearer_than_held_out"]
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
    _write(spec.work, Scorer(spec, floor=False).run())


def floor(spec: JobSpec) -> None:
    """Run the floor phase and write its report."""
    _write(spec.work, Scorer(spec, floor=True).run())


def _write(work: Path, scores: Scores) -> None:
    write_bytes(work / REPORT["score"], scores.model_dump_json(indent=1).encode())
