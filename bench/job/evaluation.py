"""The evaluate phase: predictions or samples from the final weights, in a process that saw no training.

Submission code is handed images and no labels: the parent scores.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bench.contract.jobs import (
    AS_PUBLISHED_GRID,
    AS_PUBLISHED_LOGITS,
    AS_PUBLISHED_SAMPLES,
    LOGITS,
    REPORT,
    SAMPLES,
    WEIGHTS,
    EvaluationReport,
    JobSpec,
)
from bench.contract.submission import Classifier, Generator
from bench.data.parts import read_array
from bench.files import atomic_path, write_bytes
from bench.job.channel import Channel
from bench.job.generation import Drawn, Sampler
from bench.job.loading import load_submission, seed_everything
from bench.job.prediction import batch_dependence, predict, rebuild
from bench.measure.environment import peak_memory_bytes

INDEPENDENCE_IMAGES = 256


def evaluate(spec: JobSpec) -> None:
    """Run the evaluate phase and write its report."""
    started = time.perf_counter()
    submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
    channel = Channel()
    independent, change, drawn = None, None, None
    if isinstance(submission, Classifier):
        images, independent, change = _classify(submission, spec, channel)
    else:
        drawn = _generate(submission, spec, channel)
        images = len(drawn.images)
    report = EvaluationReport(
        images=images,
        batch_independent=independent,
        batch_dependence=change,
        image_evaluations=drawn and drawn.image_evaluations,
        sampling_seconds=drawn and drawn.seconds,
        seconds=time.perf_counter() - started,
        peak_memory_bytes=peak_memory_bytes(spec.device),
    )
    write_bytes(spec.work / REPORT["evaluate"], report.model_dump_json(indent=1).encode())


def _classify(
    submission: Classifier,  # type: ignore[type-arg]
    spec: JobSpec,
    channel: Channel,
) -> tuple[int, bool, float]:
    assert spec.data.evaluation_images is not None
    images = torch.from_numpy(read_array(spec.data.evaluation_images)).to(spec.device)
    model = rebuild(submission, spec, spec.work / WEIGHTS)
    batch_size = spec.protocol.evaluation_batch_size
    _save(spec, LOGITS, _logits(submission, model, images.split(batch_size), spec, channel))
    # Spread over the set, so that the classes are mixed whatever the order of the files.
    chosen = torch.linspace(0, len(images) - 1, min(INDEPENDENCE_IMAGES, len(images))).long()
    sample_of_all = images[chosen.to(images.device)]
    independent, change = batch_dependence(submission, model, sample_of_all, spec.data.num_classes)
    if spec.as_published is not None:
        # A network of its own, because train mode moves the running statistics.
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
    parts, total = [], sum(map(len, batches))
    for batch in batches:
        parts.append(predict(submission, model, batch, spec.data.num_classes).cpu())
        channel.progress("evaluate", sum(map(len, parts)), total)
    return torch.cat(parts)


def _generate(submission: Generator, spec: JobSpec, channel: Channel) -> Drawn:  # type: ignore[type-arg]
    model = rebuild(submission, spec, spec.work / WEIGHTS)
    sampler = Sampler(submission, model, spec, channel)
    drawn = sampler.all(spec.protocol.evaluation_batch_size, "sample")
    _save(spec, SAMPLES, drawn.images)
    for picture, sheet in sampler.sheets().items():
        _save(spec, picture.array, sheet)
    if spec.as_published is not None and spec.as_published.mode == "train":
        # A network of its own, because train mode moves the running statistics.
        model = rebuild(submission, spec, spec.work / WEIGHTS).train()
        sampler = Sampler(submission, model, spec, channel)
        _save(spec, AS_PUBLISHED_SAMPLES, sampler.all(spec.as_published.batch_size, "sample-as-published").images)
        _save(spec, AS_PUBLISHED_GRID.array, sampler.grid())
    return drawn


def _save(spec: JobSpec, name: str, tensor: Tensor) -> None:
    with atomic_path(spec.work / name) as partial, partial.open("wb") as file:
        np.save(file, tensor.numpy(), allow_pickle=False)
