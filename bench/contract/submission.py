"""The interface that a submission implements: its network, training step, and prediction or sampling.

A submission is one ``model.py`` with a frozen, keyword-only dataclass ``Config`` and exactly one subclass of
``Classifier`` or ``Generator``. A table in docs/architecture.md lists the tasks of harness and submission.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contract import defaults


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The properties of the data that are available when the network is built.

    The harness computes ``channel_mean`` and ``channel_std`` from the training images scaled to [0, 1]. The
    network receives raw bytes and has to normalise them itself.
    """

    image_shape: tuple[int, int, int]  # (C, H, W)
    num_classes: int
    channel_mean: tuple[float, ...]  # C values in [0, 1]
    channel_std: tuple[float, ...]  # C values in (0, 0.5]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The length of training: exactly ``steps`` calls of ``train_step``."""

    steps: int
    batch_size: int  # images per step
    train_images: int  # images per epoch

    @property
    def epochs(self) -> float:
        """Number of passes over the training set within the budget."""
        return self.steps * self.batch_size / self.train_images


@dataclass(frozen=True)
class Batch:
    """The training data of one step, on the device, as raw bytes in the harness's batch order."""

    images: Tensor  # (B, C, H, W) uint8
    labels: Tensor  # (B,) int64


class HasBatchSize(Protocol):
    """The field that every ``Config`` must have: images per training step."""

    @property
    def batch_size(self) -> int: ...


ConfigT = TypeVar("ConfigT", bound=HasBatchSize)


class Submission(ABC, Generic[ConfigT]):
    """The common base class of ``Classifier`` and ``Generator``; subclass one of these, not this class.

    All state that training changes must be stored in attributes of ``self``: modules, optimizers and schedules
    (anything with ``state_dict`` and ``load_state_dict``), tensors, arrays, numbers, strings, random generators,
    and lists, dicts or objects of these. The harness saves them in checkpoints and restores them, so that a
    resumed run equals an uninterrupted one; verification tests this (docs/submit.md).
    """

    memory_format: ClassVar[torch.memory_format] = torch.channels_last
    """Memory format of convolution weights and activations; it does not change shapes. ``channels_last`` is faster
    for most networks and devices. Code that calls ``view`` on the output or weight of a convolution needs
    ``torch.contiguous_format``, or must call ``reshape`` instead."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    @abstractmethod
    def build_model(self, data: DataSpec) -> nn.Module:
        """Build the inference network, freshly initialised.

        The harness seeds torch's generators and calls this before training, and again in the evaluation process,
        where it loads the final weights with ``strict=True``. The network must therefore depend only on
        ``self.config`` and ``data``.
        """

    @abstractmethod
    def init_training(self, model: nn.Module, budget: Budget) -> None:
        """Create optimizer, schedule, EMA, discriminator etc. and store them as attributes of ``self``.

        ``model`` is already on the device. Trained parameters that are created here count towards the cap.
        """

    @abstractmethod
    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Do exactly one training step and return the values to log.

        The harness seeds the global torch generators before each step from (seed, step), so augmentation and
        dropout may draw from them freely.

        Args:
            batch: The step's images and labels.
            step: Number of the step, from 0.

        Returns:
            Name -> 0-dimensional detached tensor. ``loss`` is required and must be finite. Keep the tensors on the
            device: ``.item()`` would synchronise every step with the GPU.
        """

    def final_weights(self, model: nn.Module) -> Mapping[str, Tensor]:
        """Return the state dict to evaluate: the model's, unless overridden, for example with an EMA's."""
        state: Mapping[str, Tensor] = model.state_dict()
        return state


class Classifier(Submission[ConfigT]):
    """A network that maps images to class scores.

    A plain classifier defines ``build_model`` and ``configure_optimizer``, and usually ``augment``. Each training
    step then augments the batch, computes the cross-entropy, and steps the optimizer. To train in another way,
    override ``loss``, or ``init_training`` and ``train_step``.
    """

    model: nn.Module  # set by ``init_training``
    optimizer: Optimizer  # set by the default ``init_training``
    schedule: LRScheduler | None  # set by the default ``init_training``; None without a schedule

    def configure_optimizer(self, model: nn.Module, budget: Budget) -> Optimizer | tuple[Optimizer, LRScheduler]:
        """Create the optimizer, alone or with a schedule that is stepped after every training step.

        Args:
            model: The network, on the device.
            budget: The length of training.
        """
        raise NotImplementedError

    def augment(self, images: Tensor) -> Tensor:
        """Augment a batch, (B, C, H, W) uint8 -> (B, C, H, W) of any dtype; by default, leave it as it is."""
        return images

    def augment_batch(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Augment images and labels together, as mixup and CutMix do; by default, ``augment`` the images.

        Returns:
            Images as from ``augment``, and targets for ``loss``: labels, or (B, num_classes) float32.
        """
        return self.augment(images), labels

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the 0-dimensional loss of (B, num_classes) logits; by default, the mean cross-entropy."""
        return defaults.cross_entropy(logits, targets)

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        """As ``Submission.init_training``; by default, set ``model``, ``optimizer`` and ``schedule``."""
        defaults.init_training(self, model, self.configure_optimizer(model, budget))

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """As ``Submission.train_step``; by default, augment, compute the loss, step optimizer and schedule."""
        return defaults.train_step(self, batch.images, batch.labels)

    def predict(self, model: nn.Module, images: Tensor) -> Tensor:
        """Compute class scores of ``images``.

        It is called on a fresh instance, which has ``config`` and no other attribute. It may be static.

        Args:
            model: A rebuilt network with the final weights, in eval mode.
            images: (B, C, H, W) uint8.

        Returns:
            Logits, (B, num_classes) float32. A prediction must not depend on the other images of the batch.
        """
        logits: Tensor = model(images)
        return logits


class Generator(Submission[ConfigT]):
    """A network that generates images from noise and, if it is conditional, from labels.

    Define ``latent`` and ``decode``, and the harness draws samples and interpolates between them; or define
    ``sample`` alone. If all three are defined, ``sample`` must equal ``latent`` followed by ``decode``.

    These methods are called on a fresh instance, which has ``config`` and no other attribute. They may be static.
    """

    def sample(self, model: nn.Module, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw one image per label; by default, ``decode`` of ``latent``.

        Args:
            model: A rebuilt network with the final weights, in eval mode.
            labels: (B,) int64; an unconditional generator only uses their number.
            rng: The only source of randomness, on the model's device.

        Returns:
            Images, (B, C, H, W) uint8.
        """
        return defaults.sample(self, model, labels, rng)

    def latent(self, model: nn.Module, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the latents from which ``sample`` starts, (B, ...) float32 from N(0, 1)."""
        raise NotImplementedError

    def decode(self, model: nn.Module, latents: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Generate images, (B, C, H, W) uint8, from latents; further noise comes from ``rng``."""
        raise NotImplementedError

    @classmethod
    def interpolates(cls) -> bool:
        """Return whether the class overrides both ``latent`` and ``decode``."""
        return cls.latent is not Generator.latent and cls.decode is not Generator.decode
