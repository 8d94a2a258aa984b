"""A whole training step as one CUDA graph: recorded once, then launched as one, which the host hardly notices.

A graph repeats what was recorded, with other numbers in the same memory. What Python decides in a step is decided
once and for all: a step that keeps a count, draws a random number or looks at its own number on the host is
refused, with the place. Learning rates may change: they become tensors, and torch's schedulers, which a replay
leaves out, are stepped beside it.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol
from unittest import mock

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contract.submission import Batch
from bench.data.batches import BatchStream
from bench.errors import RunFailed
from bench.job.accounting import TrainingState
from bench.job.loading import AnySubmission
from bench.job.state import capture_state, first_difference, readable_place

EAGER_STEPS = 3  # before one is recorded: allocators, cuDNN's choices, and moments of optimizers
COMPARED = 3  # replayed steps that have to equal eager ones
FAR_APART = 6  # and some more, all over the training

Values = dict[str, Tensor]
Take = Callable[[int], Values]  # of a step, by its number
Around = Callable[[], AbstractContextManager[object]]  # a step: its precision


class Recorder(Protocol):
    """Records work on a device, which it does not do meanwhile, and repeats it."""

    def record(self, work: Callable[[], Values]) -> Values:
        """What ``work`` gives: memory that each replay fills."""

    def replay(self) -> None:
        """Do what was recorded."""


class CudaRecorder:
    """By torch's CUDA graphs."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def record(self, work: Callable[[], Values]) -> Values:
        """As ``Recorder.record``."""
        torch.cuda.synchronize()
        with torch.cuda.graph(self.graph):
            return work()

    def replay(self) -> None:
        """As ``Recorder.replay``."""
        self.graph.replay()


class StepNumber(int):
    """The number of a step, that notices if anybody looks at it."""

    seen: list[str]

    def __new__(cls, value: int) -> "StepNumber":
        """Of step ``value``."""
        number = super().__new__(cls, value)
        number.seen = []
        return number


def _watched(name: str) -> Callable[..., Any]:
    def look(self: StepNumber, *others: Any) -> Any:
        self.seen.append(name)
        return getattr(int, name)(int.__add__(self, 0), *others)

    return look


for _name in (
    "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod",
    "divmod", "rdivmod", "pow", "rpow", "and", "or", "xor", "lshift", "rshift", "neg", "abs", "bool", "eq", "ne",
    "lt", "le", "gt", "ge", "hash", "index", "int", "float", "str", "repr", "format", "round", "trunc",
):  # fmt: skip
    setattr(StepNumber, f"__{_name}__", _watched(f"__{_name}__"))


class StepGraph:
    """Takes training steps one after another: some as they are, then by replaying one."""

    def __init__(
        self,
        submission: AnySubmission,
        model: nn.Module,
        batches: BatchStream,
        updates: dict[str, int],
        recorder: Recorder | None,
    ) -> None:
        """Make rates tensors; ``updates`` counts the steps of optimizers, and is counted on.

        Without a recorder all steps are taken as they are.

        Raises:
            RunFailed: If an optimizer cannot be recorded.
        """
        self.submission, self.model, self.batches, self.updates = submission, model, batches, updates
        self.recorder = recorder
        self.schedules = list(_schedules(vars(submission)))
        self.taken = 0
        self.images: Tensor | None = None  # the batch that is replayed on
        self.labels: Tensor | None = None
        self.values: Values = {}
        for name, optimizer in TrainingState(submission, model).optimizers.items():
            _make_recordable(optimizer, name, batches.device)

    def take(self, step: int, around: Around) -> Values:
        """Step ``step``, whose generators are seeded; ``around`` is its precision.

        Raises:
            RunFailed: If the host has a part in the step that a replay would leave out.
        """
        images, labels = self.batches.batch(step)
        self.taken += 1
        if self.recorder is None or self.taken <= EAGER_STEPS:
            return self._watched_step(images, labels, step, around)
        if self.images is None or self.labels is None:
            self.images, self.labels = images.clone(), labels.clone()
            self._record(self.recorder, step, around)
        else:
            self.images.copy_(images)
            self.labels.copy_(labels)
        self.recorder.replay()
        self._step_beside()
        return {name: value.clone() for name, value in self.values.items()}

    def _step(self, images: Tensor, labels: Tensor, step: int, around: Around) -> Values:
        with around():
            return self.submission.train_step(Batch(images, labels), step)

    def _watched_step(self, images: Tensor, labels: Tensor, step: int, around: Around) -> Values:
        """A step as it is, in which nothing may happen that only the host knows of."""
        number, host = StepNumber(step), self._host()
        epochs, drawn = [schedule.last_epoch for schedule in self.schedules], torch.get_rng_state()
        values = self._step(images, labels, number, around)
        self.stepped = [
            schedule.last_epoch - epoch for schedule, epoch in zip(self.schedules, epochs, strict=True)
        ]
        if number.seen:
            raise RunFailed("train_step looks at the number of its step, which a graph would repeat")
        if self.batches.device.type != "cpu" and not torch.equal(drawn, torch.get_rng_state()):
            raise RunFailed("train_step draws random numbers on the CPU, which a graph would repeat")
        difference = first_difference(host, self._host())
        if difference is not None and self.taken > 1:  # the first makes what was not there
            place = readable_place(difference)
            raise RunFailed(f"train_step changes {place} on the host, which a graph would leave out")
        return values

    def _host(self) -> Any:
        """All that is not on the device and that a step may change, but for schedules."""
        state = capture_state(self.submission, self.model)
        for name, value in vars(self.submission).items():
            if value is not None and list(_schedules(value)):
                state["attributes"].pop(name, None)
        return _on_host(state, self.batches.device)

    def _record(self, recorder: Recorder, step: int, around: Around) -> None:
        images, labels, before = self.images, self.labels, dict(self.updates)
        assert images is not None and labels is not None
        with ExitStack() as stack:
            for schedule in self.schedules:  # or each replay would set the rate of this step
                stack.enter_context(mock.patch.object(schedule, "step", lambda *_: None))
            try:
                self.values = recorder.record(lambda: self._step(images, labels, step, around))
            except RuntimeError as error:
                raise RunFailed(f"the step cannot be recorded: {' '.join(str(error).split())[:300]}") from None
        self.each = {name: count - before[name] for name, count in self.updates.items()}
        self.updates.update(before)  # counted when it is replayed

    def _step_beside(self) -> None:
        """What of the recorded step is the host's to do."""
        for schedule, times in zip(self.schedules, self.stepped, strict=True):
            for _ in range(times):
                with warnings.catch_warnings():  # that no optimizer went before it, which a replay does unseen
                    warnings.simplefilter("ignore", UserWarning)
                    schedule.step()
        for name, count in self.each.items():
            self.updates[name] += count


def _schedules(value: object) -> Iterator[LRScheduler]:
    """Learning-rate schedules that hang on a submission, themselves or in lists and dicts."""
    if isinstance(value, LRScheduler):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _schedules(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _schedules(item)


def _make_recordable(optimizer: Optimizer, name: str, device: torch.device) -> None:
    """Keep rate and step counter where the graph reads them, and update all in one launch if possible."""
    if not {"fused", "capturable"} & optimizer.defaults.keys():
        raise RunFailed(f"optimizer self.{name} ({type(optimizer).__name__}) cannot be recorded")
    for group in optimizer.param_groups:
        if "fused" in optimizer.defaults:
            group["fused"], group["foreach"] = True, False
        if "capturable" in optimizer.defaults and device.type != "cpu":
            group["capturable"] = True
        if not isinstance(group["lr"], Tensor):
            group["lr"] = torch.tensor(float(group["lr"]), device=device)
    for state in optimizer.state.values():
        if isinstance(state.get("step"), Tensor):
            state["step"] = state["step"].to(device)


def _on_host(value: Any, device: torch.device) -> Any:
    """The same without tensors of the device, and with copies of the host's."""
    if isinstance(value, Tensor):
        return None if value.device.type == device.type else value.clone()
    if isinstance(value, dict):
        return {key: _on_host(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_on_host(item, device) for item in value]
    return value


def differs_from_eager(begin: Callable[[bool], tuple[StepGraph, Take]], steps: int) -> str | None:
    """Why a training's step cannot be replayed; None if replayed steps leave the bits of eager ones.

    Args:
        begin: Begins the training anew, to be replayed or not: its graph, and what takes a step of it.
        steps: Of the whole training: also steps far apart are compared, for some look at their number.
    """
    numbers = sorted({*range(EAGER_STEPS + COMPARED), *range(0, steps, max(1, steps // FAR_APART)), steps - 1})
    try:
        (replayed, values), (eager, expected) = (_taken(*begin(replay), numbers) for replay in (True, False))
    except RunFailed as error:
        return str(error)
    for number, one, other in zip(numbers, values, expected, strict=True):
        difference = first_difference(one, other)
        if difference is not None:
            return f"replayed as step {number + 1:,}, {difference} is not what it is in an eager one"
    one, other = (capture_state(graph.submission, graph.model) for graph in (replayed, eager))
    difference = first_difference(one, other) or first_difference(replayed.updates, eager.updates, "updates")
    if difference is None:
        return None
    return f"after replayed steps {readable_place(difference)} is not what it is after eager ones"


def _taken(graph: StepGraph, take: Take, numbers: list[int]) -> tuple[StepGraph, list[Values]]:
    """All of a training's steps before the next one's begin: they share the host's random numbers."""
    return graph, [take(number) for number in numbers]
