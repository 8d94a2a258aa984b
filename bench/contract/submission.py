"""The interface that a submission implements: a network, how it trains, how it predicts or samples.

What the harness owns and what the submission owns is tabulated in docs/architecture.md. A submission is one
``model.py`` with a frozen, keyword-only dataclass ``Config`` and exactly one subclass of ``Classifier`` or
``Generator``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What a network may know of the data when it is built.

    ``channel_mean`` and ``channel_std`` are those of the training images scaled to [0, 1], computed by the
    harness; the network normalises with them, since it receives raw bytes.
    """

    image_shape: tuple[int, int, int]  # (C, H, W)
    num_classes: int
    channel_mean: tuple[float, ...]  # C values in [0, 1]
    channel_std: tuple[float, ...]  # C values in (0, 0.5]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long training lasts: exactly ``steps`` calls of ``train_step``."""

    steps: int
    batch_size: int  # images a step
    train_images: int  # images an epoch

    @property
    def epochs(self) -> float:
        """Passes over the training set that the budget amounts to."""
        return self.steps * self.batch_size / self.train_images


@dataclass(frozen=True)
class Batch:
    """One step's training data, on the device: raw bytes, in the order that the harness drew."""

    images: Tensor  # (B, C, H, W) uint8
    labels: Tensor  # (B,) int64


class HasBatchSize(Protocol):
    """What every ``Config`` has: the number of images a training step."""

    @property
    def batch_size(self) -> int: ...


ConfigT = TypeVar("ConfigT", bound=HasBatchSize)


class Submission(ABC, Generic[ConfigT]):
    """What ``Classifier`` and ``Generator`` share. Subclass those, not this.

    Everything that training changes must hang on ``self``: modules, optimizers and schedules (anything with
    ``state_dict`` and ``load_state_dict``), tensors, arrays, numbers, strings, generators of random numbers, and
    lists, dicts or objects of these. The harness saves and restores all of it, so that a resumed run equals an
    uninterrupted one; verification tries it (docs/submit.md).
    """

    memory_format: ClassVar[torch.memory_format] = torch.channels_last
    """The order of convolutions' weights and activations in memory, which changes no shape. Channels last is the
    faster one on most networks and devices; code that calls ``view`` on what a convolution gives or trains needs
    ``torch.contiguous_format``, or ``reshape``."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    @abstractmethod
    def build_model(self, data: DataSpec) -> nn.Module:
        """The network used at inference, freshly initialised.

        Called once before training and again in the process that evaluates, where the final weights are
        loaded strictly; it must therefore depend on ``self.config`` and ``data`` alone. torch's generators
        are seeded by the harness beforehand.
        """

    @abstractmethod
    def init_training(self, model: nn.Module, budget: Budget) -> None:
        """Create what training needs and store it on ``self``: optimizer, schedule, EMA, discriminator.

        ``model`` is on the device already. What is created here and trained counts towards the cap.
        """

    @abstractmethod
    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Do exactly one budget step (``step`` counts from 0) and return what to log.

        Returned: 0-dimensional detached tensors, among them ``loss``, which has to stay finite. Leave them on
        the device: ``.item()`` would make every step wait. Global torch generators are seeded anew before
        each step from (seed, step), so augmentation and dropout may draw from them freely.
        """

    def final_weights(self, model: nn.Module) -> Mapping[str, Tensor]:
        """The state dict to evaluate: the model's own unless overridden, for example by an EMA's."""
        state: Mapping[str, Tensor] = model.state_dict()
        return state


class Classifier(Submission[ConfigT]):
    """A network that maps images to class scores."""

    @staticmethod
    def predict(model: nn.Module, images: Tensor) -> Tensor:
        """Class scores of ``images``.

        Args:
            model: A rebuilt network with the final weights, in eval mode.
            images: (B, C, H, W) uint8.

        Returns:
            Logits, (B, num_classes) float32. A prediction must not depend on the other images of the batch.
        """
        logits: Tensor = model(images)
        return logits


class Generator(Submission[ConfigT]):
    """A network that turns noise, and labels if it is conditional, into images.

    One that also says where sampling starts (``latent``) and how it goes on (``decode``) gets pictures of what
    lies between two samples; ``sample`` must then be the one followed by the other.
    """

    @staticmethod
    @abstractmethod
    def sample(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        """One image a label.

        Args:
            model: A rebuilt network with the final weights, in eval mode.
            labels: (B,) int64; an unconditional generator uses their number only.
            generator: The only source of randomness, on the model's device.

        Returns:
            Images, (B, C, H, W) uint8.
        """

    @staticmethod
    def latent(model: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Where ``sample`` starts, (B, ...) float32 from N(0, 1); optional, with ``decode``."""
        raise NotImplementedError

    @staticmethod
    def decode(model: nn.Module, latents: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Images, (B, C, H, W) uint8, from latents; ``generator`` is for noise that is drawn on the way."""
        raise NotImplementedError

    @classmethod
    def interpolates(cls) -> bool:
        """Whether ``latent`` and ``decode`` are there."""
        return cls.latent is not Generator.latent and cls.decode is not Generator.decode
