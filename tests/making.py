"""Small tracks, submissions and ``bench`` calls for tests: synthetic images, 12 training steps."""

import contextlib
import io
import os
import subprocess
import sys
import traceback
from pathlib import Path
from unittest import mock

from bench.cli import main
from tests.warm import warm_phases

# Defaults. No metric weights, because Inception takes a second per ten images; JSON logs, which tests can parse.
USUAL = {"BENCH_WEIGHTS": os.devnull, "BENCH_LOG_FORMAT": "json"}
HUNG_SECONDS = 3600  # timeout after which a process counts as hung, even on a busy machine

TRACK = """
name: tiny
title: Four shapes at 16 by 16
task: classification
data: shapes4x16
embedded_data: shapes4x16
caps: {params: 2000, stored_scalars: 6000}
profiles:
  official: {steps: 12, seeds: 2, train: train, evaluate: test}
  quick: {steps: 12, seeds: 2, train: train, evaluate: validation}
"""

MANIFEST = "track: tiny\n"

# A small valid classifier. Tests replace its marker comments (`# loss`) with other code.
MODEL = """
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from bench import Batch, Budget, Classifier, DataSpec
from reference_models import Normalize


# module


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 16
    learning_rate: float = 0.01
    width: int = 8


class Network(nn.Module):
    def __init__(self, data, width):
        super().__init__()
        self.norm = Normalize(data.channel_mean, data.channel_std)
        self.conv = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(width, data.num_classes)
        # network

    def forward(self, images):
        features = self.bn(self.conv(self.norm(images))).relu().mean((2, 3))
        logits = self.head(self.drop(features))
        # forward
        return logits


class Tiny(Classifier[Config]):
    def build_model(self, data: DataSpec):
        return Network(data, self.config.width)

    def init_training(self, model, budget: Budget):
        self.model = model
        parameters = list(model.parameters())
        # parameters
        self.optimizer = torch.optim.AdamW(parameters, lr=self.config.learning_rate)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, self.config.learning_rate, total_steps=budget.steps
        )
        self.ema = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        # init

    def train_step(self, batch: Batch, step: int):
        logits = self.model(batch.images)
        loss = F.cross_entropy(logits, batch.labels)
        # loss
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        for name, tensor in self.model.state_dict().items():
            self.ema[name].lerp_(tensor, 0.5) if tensor.is_floating_point() else self.ema[name].copy_(tensor)
        # step
        return {"loss": loss.detach()}

    def final_weights(self, model):
        # final
        return self.ema

    @staticmethod
    def predict(model, images):
        logits = model(images)
        # predict
        return logits
"""


GENERATOR_TRACK = """
name: tiny-generation
title: Four generated shapes at 16 by 16
task: generation
data: shapes4x16
embedded_data: shapes4x16
caps: {params: 2000}
evaluation_batch_size: 16
profiles:
  official: {steps: 12, seeds: 2, train: train, evaluate: test, samples: 40,
    evaluation_images: 44, train_references: 48, train_searched: 60}
  quick: {steps: 12, seeds: 2, train: train, evaluate: validation, samples: 40}
"""

# A generator with three network evaluations per sample and batch normalisation.
GENERATOR = """
from dataclasses import dataclass

import torch
from torch import nn

from bench import Batch, Budget, DataSpec, Generator


@dataclass(frozen=True, kw_only=True)
class Config:
    batch_size: int = 16
    evaluations: int = 3


class Network(nn.Module):
    def __init__(self, evaluations):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
        self.evaluations = evaluations
        # network

    def forward(self, noise):
        return self.layers(noise)


class Tiny(Generator[Config]):
    def build_model(self, data: DataSpec):
        return Network(self.config.evaluations)

    def init_training(self, model, budget: Budget):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        # init

    def train_step(self, batch: Batch, step: int):
        loss = (self.model(torch.randn(16, 4)) - batch.images.float().mean()).square().mean() / 1e5
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        # step
        return {"loss": loss.detach()}

    @staticmethod
    def sample(model, labels, generator):
        latents = Tiny.latent(model, labels, generator)
        # sampled
        return Tiny.decode(model, latents, labels, generator)

    @staticmethod
    def latent(model, labels, generator):
        return torch.randn(len(labels), 4, generator=generator)

    @staticmethod
    def decode(model, x, labels, generator):
        for _ in range(model.evaluations):
            x = model(x)
            # evaluated
        # decoded
        pixels = (x * 40 + 128).clamp(0, 255).to(torch.uint8)
        return pixels[:, :3, None, None].expand(-1, -1, 16, 16).contiguous()
"""


def write_generator_track(folder: Path) -> Path:
    """Write the tiny generation track to ``folder`` and return its path."""
    path = folder / "tiny-generation.yaml"
    path.write_text(GENERATOR_TRACK)
    return path


def write_generator(
    folder: Path, name: str, changes: dict[str, str] | None = None, manifest: str = "track: tiny-generation\n"
) -> Path:
    """Write the generator as submission ``name``; ``changes`` as in ``write_submission``."""
    return _write(folder / name, GENERATOR, changes, manifest)


def write_track(folder: Path, text: str = TRACK) -> Path:
    """Write the tiny classification track to ``folder`` and return its path."""
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def write_submission(
    folder: Path, name: str, changes: dict[str, str] | None = None, manifest: str = MANIFEST
) -> Path:
    """Write the classifier as submission ``name``, with markers replaced by code.

    ``changes`` maps a marker (``predict``) to lines of code, which get the marker's indentation.
    """
    return _write(folder / name, MODEL, changes, manifest)


def _write(target: Path, model: str, changes: dict[str, str] | None, manifest: str) -> Path:
    for marker, code in (changes or {}).items():
        line = next(line for line in model.splitlines() if line.strip() == f"# {marker}")
        indent = line[: line.index("#")]
        model = model.replace(line, "\n".join(indent + new_line for new_line in code.strip().splitlines()))
    target.mkdir(parents=True)
    (target / "submission.yaml").write_text(manifest)
    (target / "model.py").write_text(model)
    return target


def bench(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process; its phases are forked (``tests.warm``) and have no sandbox."""
    words, out, err = list(map(str, arguments)), io.StringIO(), io.StringIO()
    with (
        warm_phases(),
        mock.patch.dict(os.environ, {**USUAL, **environment}),
        mock.patch.object(sys, "argv", ["bench", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as error:
            code = int(error.code or 0)
        except Exception:  # a user would see the traceback
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def bench_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a new process, as a user does, without a timeout."""
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    environment = {**os.environ, **USUAL, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
