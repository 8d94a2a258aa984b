"""The evaluate phase: compute predictions or samples from the final weights, in a process separate from training.

The submission's code receives images without labels; the parent process computes the metrics.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bench.contract.jobs.files import (
    AS_PUBLISHED_GRID,
    AS_PUBLISHED_LOGITS,
    AS_PUBLISHED_SAMPLES,
    LOGITS,
    REPORT,
    SAMPLES,
    WEIGHTS,
)
from bench.contract.jobs.reports import EvaluationReport
from bench.contract.jobs.spec import JobSpec
from bench.contract.submission import Classifier, Generator
from bench.data.arrays import read_array
from bench.files import atomic_path, write_bytes
from bench.job.channel import Channel
from bench.job.inference.prediction import batch_dependence, predict, rebuild
from bench.job.inference.sampler import DrawnSamples, Sampler
from bench.job.loading import load_submission, seed_everything
from bench.measure.machine.environment import peak_memory_bytes

INDEPENDENCE_IMAGES = 256  # images of the batch independence check


def evaluate(spec: JobSpec) -> None:
    """Run the evaluate phase and write its report."""
    started = time.perf_counter()
    submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
    channel = Channel()
    independent, change, samples = None, None, None
    if isinstance(submission, Classifier):
        images, independent, change = _classify(submission, spec, channel)
    else:
        samples = _generate(submission, spec, channel)
        images = len(samples.images)
    report = EvaluationReport(
        images=images,
        batch_independent=independent,
        batch_dependence=change,
        image_evaluations=samples and samples.image_evaluations,
        sampling_seconds=samples and samples.seconds,
        seconds=time.perf_counter() - started,
        peak_memory_bytes=peak_memory_bytes(spec.device),
    )
    write_bytes(spec.work / REPORT["evaluate"], report.model_dump_json(indent=1).encode())


def _classify(
    submission: Classifier,  # type: ignore[type-arg]
    spec: JobSpec,
    channel: Channel,
) -> tuple[int, bool, float]:
    """Write the logits; return the number of images, and the result of ``batch_dependence``."""
    assert spec.data.evaluation_images is not None
    images = torch.from_numpy(read_array(spec.data.evaluation_images)).to(spec.device)
    model = rebuild(submission, spec, spec.work / WEIGHTS)
    batch_size = spec.protocol.evaluation_batch_size
    _save(spec, LOGITS, _logits(submission, model, images.split(batch_size), spec, channel))
    # Evenly spaced, so that the classes are mixed even if the images are sorted by class.
    indices = torch.linspace(0, len(images) - 1, min(INDEPENDENCE_IMAGES, len(images))).long()
    subset = images[indices.to(images.device)]
    independent, change = batch_dependence(submission, model, subset, spec.data.num_classes)
    if spec.as_published is not None:
        # A separate network, because train mode updates running statistics.
        model = rebuild(submission, spec, spec.work / WEIGHTS).train(spec.as_published.mode == "train")
        seed_everything(spec.seed, "as-published")
        parts = images.split(spec.as_published.batch_size)
        _save(spec, AS_PUBLISHED_LOGITS, _logits(submission, model, parts, spec, channel))
    return len(images), independent, change


def _logits(
    submission: Classifier,  # type: ignore[type-arg]
    model: torch.nn.Module,
    batches: Sequence[Tensor],
    spec: JobSpec,
    channel: Channel,
) -> Tensor:
    """Return (N, num_classes) float32 logits on the CPU."""
    parts, total = [], sum(map(len, batches))
    for batch in batches:
        parts.append(predict(submission, model, batch, spec.data.num_classes).cpu())
        channel.progress("evaluate", sum(map(len, parts)), total)
    return torch.cat(parts)


def _generate(submission: Generator, spec: JobSpec, channel: Channel) -> DrawnSamples:  # type: ignore[type-arg]
    """Write the samples and the sheets of images; return the samples."""
    model = rebuild(submission, spec, spec.work / WEIGHTS)
    sampler = Sampler(submission, model, spec, channel)
    samples = sampler.draw(spec.protocol.evaluation_batch_size, "sample")
    _save(spec, SAMPLES, samples.images)
    for picture, sheet in sampler.sheets().items():
        _save(spec, picture.array, sheet)
    if spec.as_published is not None and spec.as_published.mode == "train":
        # A separate network, because train mode updates running statistics.
        model = rebuild(submission, spec, spec.work / WEIGHTS).train()
        sampler = Sampler(submission, model, spec, channel)
        published = sampler.draw(spec.as_published.batch_size, "sample-as-published")
        _save(spec, AS_PUBLISHED_SAMPLES, published.images)
        _save(spec, AS_PUBLISHED_GRID.array, sampler.grid())
    return samples


def _save(spec: JobSpec, name: str, tensor: Tensor) -> None:
    with atomic_path(spec.work / name) as partial, partial.open("wb") as file:
        np.save(file, tensor.numpy(), allow_pickle=False)
