"""Training techniques of the field, as they are usually written. Each class is a variation of ``Plain``."""

import copy
import random
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim import SGD, AdamW, Optimizer
from torch.utils.checkpoint import checkpoint

from bench import Batch, Budget, Classifier, DataSpec
from tests.zoo.convolutional import Pooled, Residual, stem


@dataclass(frozen=True, kw_only=True)
class Config:
    """The fields that every submission has."""

    batch_size: int = 8


class Plain(Classifier[Config]):
    """SGD with momentum and a cosine schedule."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return Pooled(stem(), nn.BatchNorm2d(8), nn.ReLU(), Residual(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU()))

    def init_training(self, model: nn.Module, budget: Budget) -> None:
        self.model = model
        self.optimizer: Any = self.make_optimizer(model)
        self.begin(budget)

    def make_optimizer(self, model: nn.Module) -> Any:
        return SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)

    def begin(self, budget: Budget) -> None:
        self.schedule: Any = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, budget.steps)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        loss = self.loss(batch.images / 255, batch.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.update(loss, step)
        return {"loss": loss.detach()}

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.model(images), labels)

    def update(self, loss: Tensor, step: int) -> None:
        self.optimizer.step()
        if hasattr(self, "schedule"):
            self.schedule.step()

    @staticmethod
    def predict(model: nn.Module, images: Tensor) -> Tensor:
        out: Tensor = model(images / 255)
        return out


class OneCycle(Plain):
    def make_optimizer(self, model: nn.Module) -> Any:
        return AdamW(model.parameters(), 1e-3, amsgrad=True, foreach=True)

    def begin(self, budget: Budget) -> None:
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 0.01, budget.steps)


class Plateau(Plain):
    """A scheduler that follows the loss, and one with milestones, whose state is a Counter."""

    def begin(self, budget: Budget) -> None:
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=0)
        self.milestones = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, [1, 2])
        self.scale = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 1 / (1 + step))

    def update(self, loss: Tensor, step: int) -> None:
        self.optimizer.step()
        self.milestones.step()
        self.plateau.step(loss.item())


class DecayGroups(Plain):
    """No weight decay for biases; the submission keeps lists of the model's parameters."""

    def make_optimizer(self, model: nn.Module) -> Any:
        self.decayed = [p for p in model.parameters() if p.dim() > 1]
        self.not_decayed = {name: p for name, p in model.named_parameters() if p.dim() <= 1}
        groups = [{"params": self.decayed, "weight_decay": 0.1}, {"params": list(self.not_decayed.values())}]
        return AdamW(groups, 1e-3, weight_decay=0.0)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return super().loss(images, labels) + 1e-3 * torch.stack([p.square().sum() for p in self.decayed]).sum()


class SAMOptimizer(Optimizer):
    """Foret et al. 2021, as in the best-known port to torch."""

    def __init__(self, parameters: Any, base: Any, rho: float, **options: Any) -> None:
        super().__init__(parameters, {"rho": rho, **options})
        self.base_optimizer = base(self.param_groups, **options)
        self.param_groups = self.base_optimizer.param_groups
        self.defaults.update(self.base_optimizer.defaults)

    @torch.no_grad()
    def first_step(self) -> None:
        parameters = [p for group in self.param_groups for p in group["params"]]
        norm = torch.stack([p.grad.norm() for p in parameters]).norm()
        for p in parameters:
            self.state[p]["old_p"] = p.data.clone()
            p.add_(p.grad * (self.param_groups[0]["rho"] / (norm + 1e-12)))

    @torch.no_grad()
    def second_step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        self.first_step()
        with torch.enable_grad():
            loss = closure()
        self.second_step()
        return loss


class SAM(Plain):
    """SAM around SGD with momentum, whose buffers are missing from SAM's state dict."""

    def make_optimizer(self, model: nn.Module) -> Any:
        return SAMOptimizer(model.parameters(), SGD, 0.05, lr=0.1, momentum=0.9)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        def closure() -> Tensor:
            self.optimizer.zero_grad()
            loss = self.loss(batch.images / 255, batch.labels)
            loss.backward()
            return loss.detach()

        closure()
        loss = self.optimizer.step(closure)
        self.schedule.step()
        return {"loss": loss}


class Lookahead:
    """Zhang et al. 2019, around an optimizer; slow weights are in a dict by parameter, without a state dict."""

    def __init__(self, optimizer: Optimizer, every: int = 2) -> None:
        self.optimizer, self.every, self.count = optimizer, every, 0
        self.slow: dict[Tensor, Tensor] = {
            p: p.detach().clone() for group in optimizer.param_groups for p in group["params"]
        }

    @torch.no_grad()
    def __call__(self) -> None:
        self.optimizer.step()
        self.count += 1
        if self.count % self.every == 0:
            for p, slow in self.slow.items():
                p.copy_(slow.lerp_(p, 0.5))


class LookaheadAround(Plain):
    def begin(self, budget: Budget) -> None:
        self.lookahead = Lookahead(self.optimizer)

    def update(self, loss: Tensor, step: int) -> None:
        self.lookahead()


class MuonOptimizer(Optimizer):
    """Orthogonalised momentum (Jordan et al. 2024), as usually written, with view."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(p.grad)
                g = state["momentum_buffer"].mul_(group["momentum"]).add_(p.grad)
                if g.dim() > 1:
                    g = self._orthogonal(g.view(g.size(0), -1)).view_as(p)
                p.add_(g, alpha=-group["lr"])

    @staticmethod
    def _orthogonal(g: Tensor) -> Tensor:
        x = g / (g.norm() + 1e-7)
        x = x.T if g.size(0) > g.size(1) else x
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x.T if g.size(0) > g.size(1) else x


class Muon(Plain):
    memory_format = torch.contiguous_format

    def make_optimizer(self, model: nn.Module) -> Any:
        return MuonOptimizer(model.parameters(), 0.01)


class LBFGS(Plain):
    """Several evaluations per step; torch's LBFGS flattens gradients with view."""

    memory_format = torch.contiguous_format

    def make_optimizer(self, model: nn.Module) -> Any:
        return torch.optim.LBFGS(model.parameters(), 0.1, max_iter=3)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        def closure() -> Tensor:
            self.optimizer.zero_grad()
            loss = self.loss(batch.images / 255, batch.labels)
            loss.backward()
            return loss

        return {"loss": self.optimizer.step(closure).detach()}


class Evolution(Plain):
    """No gradient: the better of two random changes of the parameter vector."""

    memory_format = torch.contiguous_format

    @torch.no_grad()
    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        vector = parameters_to_vector(self.model.parameters())
        noise, losses = torch.randn_like(vector) * 1e-2, []
        for sign in (1, -1):
            vector_to_parameters(vector + sign * noise, self.model.parameters())
            losses.append(self.loss(batch.images / 255, batch.labels))
        sign = 1 if losses[0] < losses[1] else -1
        vector_to_parameters(vector + sign * noise, self.model.parameters())
        return {"loss": min(losses)}


class ScheduleFreeSGD(Optimizer):
    """Defazio et al. 2024: weights in training differ from those for inference."""

    def __init__(self, parameters: Any, lr: float, beta: float = 0.9) -> None:
        super().__init__(parameters, {"lr": lr, "beta": beta, "k": 0, "train_mode": False})

    @torch.no_grad()
    def _move(self, to_train: bool) -> None:
        for group in self.param_groups:
            if group["train_mode"] == to_train:
                continue
            for p in group["params"]:
                if "z" in self.state[p]:
                    p.lerp_(self.state[p]["z"], 1 - group["beta"] if to_train else 1 - 1 / group["beta"])
            group["train_mode"] = to_train

    def train(self) -> None:
        self._move(True)

    def eval(self) -> None:
        self._move(False)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            if not group["train_mode"]:
                raise RuntimeError("Optimizer was not in train mode when step is called")
            group["k"] += 1
            for p in group["params"]:
                z = self.state[p].setdefault("z", p.detach().clone())
                p.lerp_(z, 1 / group["k"])
                p.add_(p.grad, alpha=group["lr"] * (group["beta"] * (1 - 1 / group["k"]) - 1))
                z.sub_(p.grad, alpha=group["lr"])


class ScheduleFree(Plain):
    """``final_weights`` leaves the optimizer in eval mode."""

    def make_optimizer(self, model: nn.Module) -> Any:
        return ScheduleFreeSGD(model.parameters(), 0.1)

    def begin(self, budget: Budget) -> None:
        self.optimizer.train()

    def final_weights(self, model: nn.Module) -> Any:
        self.optimizer.eval()
        return model.state_dict()


class EMA:
    """Moving averages of all floating-point state, in an object with a state dict."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.averages = {name: t.detach().clone() for name, t in model.state_dict().items()}

    @torch.no_grad()
    def update(self, decay: float) -> None:
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.averages[name].lerp_(tensor, 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        return self.averages

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, tensor in state.items():
            self.averages[name].copy_(tensor)


class Averaged(Plain):
    def begin(self, budget: Budget) -> None:
        self.ema = EMA(self.model)
        self.swa = torch.optim.swa_utils.AveragedModel(self.model)

    def update(self, loss: Tensor, step: int) -> None:
        self.optimizer.step()
        self.ema.update(0.9)
        self.swa.update_parameters(self.model)

    def final_weights(self, model: nn.Module) -> Any:
        return self.ema.state_dict()


class SelfDistilled(Plain):
    """Mean teacher: the teacher is a moving average of the model."""

    def begin(self, budget: Budget) -> None:
        self.teacher = copy.deepcopy(self.model).requires_grad_(False)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        logits = self.model(images)
        with torch.no_grad():
            soft = self.teacher(images).softmax(1)
        return functional.cross_entropy(logits, labels) + functional.cross_entropy(logits, soft)

    @torch.no_grad()
    def update(self, loss: Tensor, step: int) -> None:
        self.optimizer.step()
        for average, current in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
            average.lerp_(current, 0.01)


class Mixed(Plain):
    """Mixup and CutMix with random numbers of numpy and Python, and label smoothing."""

    def begin(self, budget: Budget) -> None:
        self.numpy_rng, self.python_rng = np.random.default_rng(0), random.Random(0)
        self.generator = torch.Generator().manual_seed(0)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        share = float(self.numpy_rng.beta(0.2, 0.2)) * np.random.rand()
        order = torch.randperm(len(images), generator=self.generator)
        if self.python_rng.random() < 0.5:
            images = share * images + (1 - share) * images[order]
        else:
            images = images.clone()
            images[:, :, :8, :8] = images[order][:, :, :8, :8]
        logits = self.model(images)
        first = functional.cross_entropy(logits, labels, label_smoothing=0.1)
        return share * first + (1 - share) * functional.cross_entropy(logits, labels[order])


class Accumulated(Plain):
    """Gradient accumulation: the optimizer steps in every second call."""

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        loss = self.loss(batch.images / 255, batch.labels)
        (loss / 2).backward()
        if step % 2 == 1:
            self.optimizer.step()
            self.optimizer.zero_grad()
        return {"loss": loss.detach()}


class MixedPrecision(Plain):
    """bfloat16, a scaler, and clipped gradients."""

    def begin(self, budget: Budget) -> None:
        self.scaler = torch.amp.GradScaler("cpu", growth_interval=1)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.loss(batch.images / 255, batch.labels)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return {"loss": loss.detach().float()}


class Seen(NamedTuple):
    """The numbers of images and losses so far."""

    images: int
    losses: Tensor


@dataclass
class Memory:
    """State in a dataclass."""

    best: float = float("inf")
    hits: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class Keeper(Plain):
    """Keeps numpy's scalars, a tensor that grows, a named tuple, a defaultdict, a queue, and the budget."""

    def begin(self, budget: Budget) -> None:
        self.budget, self.memory = budget, Memory()
        self.mean, self.history = np.float32(0), torch.zeros(0)
        self.seen, self.queue = Seen(0, torch.zeros(1)), deque([torch.zeros(2)], maxlen=3)
        self.array, self.kinds, self.late = np.zeros(3), {"a"}, None

    def update(self, loss: Tensor, step: int) -> None:
        value = loss.detach()
        self.mean = np.float32(0.9) * self.mean + np.float32(0.1) * np.float32(value.item())
        self.history = torch.cat([self.history, value[None]])
        self.seen = Seen(self.seen.images + 8, self.seen.losses + value)
        self.queue.append(value.expand(2).clone())
        self.memory.best = min(self.memory.best, value.item())
        self.memory.hits[step % 2] += 1
        self.array[step % 3] += 1
        self.kinds.add(f"step {step}")
        self.late = self.queue[-1]
        for group in self.optimizer.param_groups:  # so that all state affects the weights
            statistics = float(self.mean) + float(self.history.mean()) + float(self.late.sum()) + self.array.sum()
            group["lr"] = 0.01 / (1 + statistics + self.seen.images + len(self.queue) + self.memory.hits[0])
        self.optimizer.step()


class Recomputed(Plain):
    """Gradient checkpointing: activations are recomputed in the backward pass."""

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        features = checkpoint(self.model.body, images, use_reentrant=False)
        return functional.cross_entropy(self.model.head(features.mean((2, 3))), labels)


class Private(Plain):
    """Clipped per-image gradients (DP-SGD), by vmap."""

    def build_model(self, data: DataSpec) -> nn.Module:
        return Pooled(stem(), nn.ReLU())

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        weights = {name: p.detach() for name, p in self.model.named_parameters()}

        def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            logits = torch.func.functional_call(self.model, weights, (image[None],))
            return functional.cross_entropy(logits, label[None])

        gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, batch.images / 255, batch.labels)
        for name, p in self.model.named_parameters():
            norms = gradients[name].flatten(1).norm(dim=1).clamp_min(1.0)
            p.grad = (gradients[name] / norms.view(-1, *[1] * p.dim())).mean(0)
        self.optimizer.step()
        return {"loss": loss(weights, batch.images[0] / 255, batch.labels[0])}


class Adversarial(Plain):
    """Adversarial training: a gradient with respect to the images comes first."""

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        images = images.requires_grad_()
        (gradient,) = torch.autograd.grad(super().loss(images, labels), images)
        return super().loss(images.detach() + 0.01 * gradient.sign(), labels)


class PenalisedGradient(Plain):
    """The norm of a gradient in the loss, which needs a second-order gradient."""

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        images = images.requires_grad_()
        loss = super().loss(images, labels)
        (gradient,) = torch.autograd.grad(loss, images, create_graph=True)
        return loss + gradient.square().sum()


class Shampoo(Plain):
    """Matrix roots by eigendecomposition, which is not counted."""

    def begin(self, budget: Budget) -> None:
        self.factor = torch.zeros(8, 8)

    @torch.no_grad()
    def update(self, loss: Tensor, step: int) -> None:
        gradient = self.model.body[0].weight.grad.reshape(8, -1)
        self.factor += gradient @ gradient.T
        values, vectors = torch.linalg.eigh(self.factor + 1e-3 * torch.eye(8))
        root = vectors @ torch.diag(values.pow(-0.25)) @ vectors.T
        self.model.body[0].weight.grad = (root @ gradient).reshape(self.model.body[0].weight.shape)
        self.optimizer.step()


TECHNIQUES: tuple[type[Plain], ...] = (
    Plain, OneCycle, Plateau, DecayGroups, SAM, LookaheadAround, Muon, LBFGS, Evolution, ScheduleFree, Averaged,
    SelfDistilled, Mixed, Accumulated, MixedPrecision, Keeper, Recomputed, Private, Adversarial, PenalisedGradient,
    Shampoo,
)  # fmt: skip
