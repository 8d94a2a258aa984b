"""Execute a training step as one CUDA graph: recorded once, then replayed with a single launch by the host.

A replay repeats the recorded kernels with new values in the same memory. Python code of the step runs only while
recording. A step that keeps a counter, draws a random number or reads its step number on the host is therefore
refused, with the attribute. Learning rates may change: they become tensors, and torch's schedulers, which a replay
skips, are stepped after it.
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
from bench.job.checkpoints.state import capture_state, first_difference, readable_path
from bench.job.checks.counted_parameters import ParameterCounter
from bench.job.loading import AnySubmission
from bench.job.steps.host_constants import HostConstants

EAGER_STEPS = 3  # warm-up before recording: allocators, cuDNN's algorithms, and moments of optimizers
COMPARED_STEPS = 3  # consecutive replayed steps that must equal eager ones
SPREAD_STEPS = 6  # about so many more compared steps, spread over the training

Values = dict[str, Tensor]
TakeStep = Callable[[int], Values]  # takes the step with the given number
PrecisionContext = Callable[[], AbstractContextManager[object]]


class Recorder(Protocol):
    """A recorder of GPU work: recording does not execute it, replaying does."""

    def record(self, work: Callable[[], Values]) -> Values:
        """Record ``work``; return its values, whose memory each replay fills."""

    def replay(self) -> None:
        """Execute the recorded work."""


class CudaRecorder:
    """A recorder that uses torch's CUDA graphs."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def record(self, work: Callable[[], Values]) -> Values:
        """Record ``work``; return its values, whose memory each replay fills."""
        torch.cuda.synchronize()
        with torch.cuda.graph(self.graph):
            return work()

    def replay(self) -> None:
        """Execute the recorded work."""
        self.graph.replay()


class StepNumber(int):
    """A step number that records every operation that reads it."""

    reads: list[str]

    def __new__(cls, value: int) -> "StepNumber":
        """Create the number of step ``value``."""
        number = super().__new__(cls, value)
        number.reads = []
        return number


def _recorded(name: str) -> Callable[..., Any]:
    """Return the method ``name`` of int that also records the read."""

    def read(self: StepNumber, *arguments: Any) -> Any:
        self.reads.append(name)
        return getattr(int, name)(int.__add__(self, 0), *arguments)

    return read


for _name in (
    "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod",
    "divmod", "rdivmod", "pow", "rpow", "and", "or", "xor", "lshift", "rshift", "neg", "abs", "bool", "eq", "ne",
    "lt", "le", "gt", "ge", "hash", "index", "int", "float", "str", "repr", "format", "round", "trunc",
):  # fmt: skip
    setattr(StepNumber, f"__{_name}__", _recorded(f"__{_name}__"))


class StepGraph:
    """A training whose first steps are eager, and whose later steps replay a recorded one."""

    def __init__(
        self,
        submission: AnySubmission,
        model: nn.Module,
        batches: BatchStream,
        updates: dict[str, int],
        recorder: Recorder | None,
    ) -> None:
        """Convert learning rates to tensors.

        Args:
            submission: The submission after ``init_training`` or a resume.
            model: Its network.
            batches: The training data.
            updates: Optimizer -> steps taken; replayed steps are added to it.
            recorder: The recorder; None makes all steps eager.

        Raises:
            RunFailed: If an optimizer cannot be recorded.
        """
        self.submission, self.model, self.batches, self.updates = submission, model, batches, updates
        self.recorder = recorder
        self.schedules = list(_schedules(vars(submission)))
        self.steps_taken = 0
        self.constants = HostConstants()
        self.images: Tensor | None = None  # memory of the batch that replays read
        self.labels: Tensor | None = None
        self.values: Values = {}
        for name, optimizer in ParameterCounter(submission, model).optimizers.items():
            _make_recordable(optimizer, name, batches.device)

    def take(self, step: int, precision: PrecisionContext) -> Values:
        """Take step ``step``, for which the caller has seeded the generators.

        Args:
            step: The step number, counted from 0.
            precision: Creates the context that sets the step's precision.

        Raises:
            RunFailed: If the step does work on the host that a replay would skip.
        """
        images, labels = self.batches.batch(step)
        self.steps_taken += 1
        if self.recorder is None or self.steps_taken <= EAGER_STEPS:
            return self._checked_step(images, labels, step, precision)
        if self.images is None or self.labels is None:
            self.images, self.labels = images.clone(), labels.clone()
            self._record(self.recorder, step, precision)
        else:
            self.images.copy_(images)
            self.labels.copy_(labels)
        self.recorder.replay()
        self._update_host()
        return {name: value.clone() for name, value in self.values.items()}

    def _step(self, images: Tensor, labels: Tensor, step: int, precision: PrecisionContext) -> Values:
        with precision(), self.constants:
            return self.submission.train_step(Batch(images, labels), step)

    def _checked_step(self, images: Tensor, labels: Tensor, step: int, precision: PrecisionContext) -> Values:
        """Take an eager step, and check that it changes nothing on the host that a replay would skip."""
        number, host_state = StepNumber(step), self._host_state()
        epochs, rng_state = [schedule.last_epoch for schedule in self.schedules], torch.get_rng_state()
        values = self._step(images, labels, number, precision)
        self.schedule_steps = [
            schedule.last_epoch - epoch for schedule, epoch in zip(self.schedules, epochs, strict=True)
        ]
        if number.reads:
            raise RunFailed("train_step reads the step number, which a CUDA graph would repeat in every step")
        if self.batches.device.type != "cpu" and not torch.equal(rng_state, torch.get_rng_state()):
            raise RunFailed(
                "train_step draws random numbers on the CPU, which a CUDA graph would repeat in every step"
            )
        difference = first_difference(host_state, self._host_state())
        if difference is not None and self.steps_taken > 1:  # the first step creates state, such as moments
            path = readable_path(difference)
            raise RunFailed(f"train_step changes {path} on the host, which replaying a CUDA graph would skip")
        return values

    def _host_state(self) -> Any:
        """Return a snapshot of the state on the host that a step may change, without schedules."""
        state = capture_state(self.submission, self.model)
        for name, value in vars(self.submission).items():
            if value is not None and list(_schedules(value)):
                state["attributes"].pop(name, None)
        return _on_host(state, self.batches.device)

    def _record(self, recorder: Recorder, step: int, precision: PrecisionContext) -> None:
        """Record a step, and how many steps each optimizer takes in it."""
        images, labels, before = self.images, self.labels, dict(self.updates)
        assert images is not None and labels is not None
        with ExitStack() as stack:
            for schedule in self.schedules:  # otherwise each replay would set the learning rate of this step
                stack.enter_context(mock.patch.object(schedule, "step", lambda *_: None))
            self.constants.recording = True
            try:
                self.values = recorder.record(lambda: self._step(images, labels, step, precision))
            except RuntimeError as error:
                raise RunFailed(f"the step cannot be recorded: {' '.join(str(error).split())[:300]}") from None
        self.updates_per_step = {name: count - before[name] for name, count in self.updates.items()}
        self.updates.update(before)  # replays are counted, not the recording

    def _update_host(self) -> None:
        """Do the host's work of a replayed step: step the schedules and count the optimizers' steps."""
        for schedule, steps in zip(self.schedules, self.schedule_steps, strict=True):
            for _ in range(steps):
                with warnings.catch_warnings():  # torch does not see the optimizer's step in a replay, and warns
                    warnings.simplefilter("ignore", UserWarning)
                    schedule.step()
        for name, count in self.updates_per_step.items():
            self.updates[name] += count


def _schedules(value: object) -> Iterator[LRScheduler]:
    """Yield the learning-rate schedules in a submission's attributes, also in lists and dicts."""
    if isinstance(value, LRScheduler):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _schedules(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _schedules(item)


def _make_recordable(optimizer: Optimizer, name: str, device: torch.device) -> None:
    """Move learning rate and step counter to the device, where a graph reads them; use fused kernels if possible.

    Raises:
        RunFailed: If the optimizer has neither the option ``fused`` nor ``capturable``.
    """
    if not {"fused", "capturable"} & optimizer.defaults.keys():
        raise RunFailed(
            f"optimizer self.{name} ({type(optimizer).__name__}) cannot be recorded: it has neither a fused nor a "
            "capturable option"
        )
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
    """Return a snapshot without the device's tensors, and with copies of the host's."""
    if isinstance(value, Tensor):
        return None if value.device.type == device.type else value.clone()
    if isinstance(value, dict):
        return {key: _on_host(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_on_host(item, device) for item in value]
    return value


def differs_from_eager(begin: Callable[[bool], tuple[StepGraph, TakeStep]], steps: int) -> str | None:
    """Return the reason why a step cannot be replayed; None if replayed steps are bit-identical to eager ones.

    Args:
        begin: Starts a training with replays (True) or without; returns its graph, and its step function.
        steps: Steps of the full training; steps spread over it are compared, as some depend on their number.
    """
    numbers = sorted(
        {*range(EAGER_STEPS + COMPARED_STEPS), *range(0, steps, max(1, steps // SPREAD_STEPS)), steps - 1}
    )
    try:
        (replayed, values), (eager, expected) = (_take_all(*begin(replay), numbers) for replay in (True, False))
    except RunFailed as error:
        return str(error)
    for number, replayed_values, eager_values in zip(numbers, values, expected, strict=True):
        difference = first_difference(replayed_values, eager_values)
        if difference is not None:
            return f"in step {number + 1:,}, the replayed {difference} differs from that of an eager step"
    replayed_state, eager_state = (capture_state(graph.submission, graph.model) for graph in (replayed, eager))
    difference = first_difference(replayed_state, eager_state) or first_difference(
        replayed.updates, eager.updates, "updates"
    )
    if difference is None:
        return None
    return f"after replayed steps, {readable_path(difference)} differs from that after eager steps"


def _take_all(graph: StepGraph, take_step: TakeStep, numbers: list[int]) -> tuple[StepGraph, list[Values]]:
    """Take all steps of one training before those of another: both share the host's random generators."""
    return graph, [take_step(number) for number in numbers]
