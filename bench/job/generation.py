"""Samples of a trained generator, and sheets of them to look at."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract.jobs import CLASSES, GRID, LINEAR, SLERP, JobSpec, Picture
from bench.contract.submission import Generator
from bench.job.channel import Channel
from bench.job.checkpoint import load_checkpoint, run_id, save_checkpoint
from bench.job.loading import seed_everything
from bench.job.prediction import decode, latent, sample
from bench.measure.sampling import recorded_calls
from bench.seeding import derive_seed

GRID_IMAGES = 64  # 8 x 8
ROWS = 8  # of interpolations, and images a row of every sheet
CLASS_ROWS = 10


@dataclass
class Drawn:
    """Samples so far, and what they cost."""

    images: Tensor  # (N, C, H, W) uint8, on the CPU
    image_evaluations: int = 0  # of the network, each image of a batch counted as one
    seconds: float = 0.0


class Sampler:
    """Draws from one network. All randomness is the harness's: a batch is a function of (seed, purpose, index)."""

    def __init__(self, submission: Generator[Any], model: nn.Module, spec: JobSpec, channel: Channel) -> None:
        self.submission, self.model, self.spec, self.channel = submission, model, spec, channel
        self.shape, self.classes = spec.data.image_shape, spec.data.num_classes
        self.device = torch.device(spec.device)

    def all(self, batch_size: int, purpose: str) -> Drawn:
        """The protocol's number of samples, labels in turn; what an interrupted process had drawn is kept."""
        count = self.spec.protocol.samples or 0
        labels = torch.arange(count, device=self.device) % self.classes
        partial = self.spec.work / f"{purpose}.partial"
        drawn = self._resume(partial)
        saved = time.perf_counter()
        parts = [drawn.images]
        with recorded_calls(self.model) as calls:
            before = drawn.image_evaluations
            for index in range(-(-len(drawn.images) // batch_size), -(-count // batch_size)):
                own = labels[index * batch_size : (index + 1) * batch_size]
                seed_everything(self.spec.seed, purpose, index)  # for train mode's dropout
                started = time.perf_counter()
                seed = derive_seed(self.spec.seed, purpose, index)
                parts.append(sample(self.submission, self.model, own, seed, self.shape).cpu())
                now = time.perf_counter()
                drawn.seconds += now - started
                drawn.image_evaluations = before + calls.image_evaluations
                done = sum(map(len, parts))
                self.channel.progress("sample", done, count)
                if now - saved >= self.spec.checkpoint_seconds or done == count:
                    saved = now
                    drawn.images = torch.cat(parts)
                    parts = [drawn.images]
                    save_checkpoint(partial, run_id(self.spec), vars(drawn))
        return drawn

    def _resume(self, partial: Path) -> Drawn:
        content = load_checkpoint(partial, run_id(self.spec), torch.device("cpu"))
        if content is None:
            return Drawn(torch.empty(0, *self.shape, dtype=torch.uint8))
        return Drawn(content["images"], content["image_evaluations"], content["seconds"])

    def grid(self) -> Tensor:
        """The same noise and labels for every seed and submission: what differs in the picture is the model."""
        labels = torch.arange(GRID_IMAGES, device=self.device) % self.classes
        return sample(self.submission, self.model, labels, derive_seed(0, "grid"), self.shape).cpu()

    def sheets(self) -> dict[Picture, Tensor]:
        """All sheets that this generator allows."""
        sheets = {GRID: self.grid()}
        rows = self._class_rows()
        if rows is not None:
            sheets[CLASSES] = rows
        if self.submission.interpolates():
            sheets[LINEAR] = self._between(torch.lerp)
            sheets[SLERP] = self._between(slerp)
        return sheets

    def _class_rows(self) -> Tensor | None:
        """A row a class, the same noise in every row; None if the labels change nothing."""
        rows = []
        for label in torch.linspace(0, self.classes - 1, min(CLASS_ROWS, self.classes)).long():
            labels = label.to(self.device).expand(ROWS)
            rows.append(sample(self.submission, self.model, labels, derive_seed(0, "classes"), self.shape).cpu())
        return None if all(torch.equal(row, rows[0]) for row in rows) else torch.cat(rows)

    def _between(self, between: Any) -> Tensor:
        """Eight rows, each from one latent to another of the same class.

        What a sampler draws on the way is the same in all columns, so that the latent alone makes the change.
        """
        labels = torch.arange(ROWS, device=self.device) % self.classes
        start, end = (
            latent(self.submission, self.model, labels, self._generator(which)) for which in ("from", "to")
        )
        columns = [
            decode(
                self.submission, self.model, between(start, end, share), labels, self._generator("way"), self.shape
            ).cpu()
            for share in torch.linspace(0, 1, ROWS).tolist()
        ]
        return torch.stack(columns, 1).flatten(0, 1)

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(derive_seed(0, "interpolation", purpose))


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Along the great circle from ``start`` to ``end``, (B, ...), each sample for itself (Shoemake 1985).

    What is drawn from N(0, 1) in many dimensions lies near a sphere; a straight line passes inside of it, where
    the network has seen nothing (White 2016, arXiv 1609.04468).
    """
    ones, others = start.flatten(1), end.flatten(1)
    angle = torch.acos(torch.cosine_similarity(ones, others).clamp(-1 + 1e-6, 1 - 1e-6))[:, None]
    mixed = (torch.sin((1 - share) * angle) * ones + torch.sin(share * angle) * others) / torch.sin(angle)
    return mixed.view_as(start)
