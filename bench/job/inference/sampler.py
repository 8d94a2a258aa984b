"""Draw samples of a trained generator, and sheets of samples for visual inspection."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract.jobs.files import CLASSES, GRID, LINEAR, SLERP, Picture
from bench.contract.jobs.spec import JobSpec
from bench.contract.submission import Generator
from bench.job.channel import Channel
from bench.job.checkpoints.checkpoint import load_checkpoint, run_id, save_checkpoint
from bench.job.inference.prediction import decode, latent, sample
from bench.job.loading import seed_everything
from bench.measure.cost.sampling_cost import recorded_calls
from bench.seeding import derive_seed

GRID_IMAGES = 64  # 8 × 8
ROWS = 8  # rows of an interpolation sheet, and images per row of every sheet
CLASS_ROWS = 10  # at most so many classes, one per row


@dataclass
class DrawnSamples:
    """The samples drawn so far, and their cost. The fields are saved in a checkpoint."""

    images: Tensor  # (N, C, H, W) uint8, on the CPU
    image_evaluations: int = 0  # network evaluations × batch size
    seconds: float = 0.0


class Sampler:
    """A sampler of one network.

    The harness seeds all random numbers: a batch is a function of (seed, purpose, batch index).
    """

    def __init__(self, submission: Generator[Any], model: nn.Module, spec: JobSpec, channel: Channel) -> None:
        self.submission, self.model, self.spec, self.channel = submission, model, spec, channel
        self.shape, self.classes = spec.data.image_shape, spec.data.num_classes
        self.device = torch.device(spec.device)

    def draw(self, batch_size: int, purpose: str) -> DrawnSamples:
        """Draw the protocol's number of samples, with labels 0, 1, 2, … in turn; resume after an interruption.

        Args:
            batch_size: Samples per batch.
            purpose: Part of the seed, and name of the file of unfinished samples.
        """
        count = self.spec.protocol.samples or 0
        labels = torch.arange(count, device=self.device) % self.classes
        partial = self.spec.work / f"{purpose}.partial"
        samples = self._resume(partial)
        saved = time.perf_counter()
        parts = [samples.images]
        with recorded_calls(self.model) as calls:
            before = samples.image_evaluations
            for index in range(-(-len(samples.images) // batch_size), -(-count // batch_size)):
                batch_labels = labels[index * batch_size : (index + 1) * batch_size]
                seed_everything(self.spec.seed, purpose, index)  # for dropout in train mode
                started = time.perf_counter()
                seed = derive_seed(self.spec.seed, purpose, index)
                parts.append(sample(self.submission, self.model, batch_labels, seed, self.shape).cpu())
                now = time.perf_counter()
                samples.seconds += now - started
                samples.image_evaluations = before + calls.image_evaluations
                done = sum(map(len, parts))
                self.channel.progress("sample", done, count)
                if now - saved >= self.spec.checkpoint_seconds or done == count:
                    saved = now
                    samples.images = torch.cat(parts)
                    parts = [samples.images]
                    save_checkpoint(partial, run_id(self.spec), vars(samples))
        return samples

    def _resume(self, partial: Path) -> DrawnSamples:
        """Return the samples of an interrupted process; none if there was none."""
        content = load_checkpoint(partial, run_id(self.spec), torch.device("cpu"))
        if content is None:
            return DrawnSamples(torch.empty(0, *self.shape, dtype=torch.uint8))
        return DrawnSamples(content["images"], content["image_evaluations"], content["seconds"])

    def grid(self) -> Tensor:
        """Draw (GRID_IMAGES, C, H, W) uint8 samples, with the same noise and labels for all runs."""
        labels = torch.arange(GRID_IMAGES, device=self.device) % self.classes
        return sample(self.submission, self.model, labels, derive_seed(0, "grid"), self.shape).cpu()

    def sheets(self) -> dict[Picture, Tensor]:
        """Draw all sheets that this generator supports."""
        sheets = {GRID: self.grid()}
        rows = self._class_rows()
        if rows is not None:
            sheets[CLASSES] = rows
        if self.submission.interpolates():
            sheets[LINEAR] = self._interpolations(torch.lerp)
            sheets[SLERP] = self._interpolations(slerp)
        return sheets

    def _class_rows(self) -> Tensor | None:
        """Draw one row per class with the same noise in every row; return None if labels have no effect."""
        rows = []
        for label in torch.linspace(0, self.classes - 1, min(CLASS_ROWS, self.classes)).long():
            labels = label.to(self.device).expand(ROWS)
            rows.append(sample(self.submission, self.model, labels, derive_seed(0, "classes"), self.shape).cpu())
        return None if all(torch.equal(row, rows[0]) for row in rows) else torch.cat(rows)

    def _interpolations(self, interpolate: Any) -> Tensor:
        """Draw ``ROWS`` rows, each interpolating from one latent to another of the same class.

        ``decode`` receives a generator in the same state for all columns, so that columns differ by the latent
        alone.
        """
        labels = torch.arange(ROWS, device=self.device) % self.classes
        start, end = (
            latent(self.submission, self.model, labels, self._generator(purpose)) for purpose in ("from", "to")
        )
        columns = [
            decode(
                self.submission,
                self.model,
                interpolate(start, end, weight),
                labels,
                self._generator("way"),
                self.shape,
            ).cpu()
            for weight in torch.linspace(0, 1, ROWS).tolist()
        ]
        return torch.stack(columns, 1).flatten(0, 1)

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(derive_seed(0, "interpolation", purpose))


def slerp(start: Tensor, end: Tensor, weight: float) -> Tensor:
    """Interpolate spherically from ``start`` to ``end``, (B, ...), per sample (Shoemake 1985).

    Samples of N(0, 1) in many dimensions lie near a sphere; a straight line passes inside of it, where the network
    was not trained (White 2016, arXiv 1609.04468).

    Args:
        weight: Position in [0, 1]; 0 gives ``start``, 1 gives ``end``.
    """
    starts, ends = start.flatten(1), end.flatten(1)
    angle = torch.acos(torch.cosine_similarity(starts, ends).clamp(-1 + 1e-6, 1 - 1e-6))[:, None]
    mixed = (torch.sin((1 - weight) * angle) * starts + torch.sin(weight * angle) * ends) / torch.sin(angle)
    return mixed.view_as(start)
