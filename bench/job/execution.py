"""How training steps are computed, whatever they compute: precision, and torch's compiler where it is faster.

Which is faster depends on network, device and versions, so it is measured; on one CPU compiling made a network
train 1.9 times faster, on another 2.5 times slower. A change of this kind moves results by rounding only, which is
checked on the first steps before it is chosen.
"""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.contract.jobs import Execution, JobSpec
from bench.contract.records import Rate
from bench.errors import RunFailed
from bench.job.accounting import TrainingState
from bench.job.graphing import EAGER_STEPS
from bench.job.loading import AnySubmission

WORTH_SECONDS = 1200.0  # of training ahead: compiling takes some ten to sixty, twice over
COMPARED_STEPS = 3
# Over so few steps float32 losses agree to some 1e-5 of themselves; what differs more is computed otherwise.
SAME_LOSS = {"fp32": 1e-3, "tf32": 5e-3, "bf16": 2e-2}
COMPILED = "compiled"  # folder in a phase's own, where the compiler keeps what it made, if no other is given

Step = Callable[[], dict[str, Tensor]]


def precision_of(execution: Execution, device: torch.device) -> AbstractContextManager[object]:
    """Around a training step: autocast for bf16; the others are set for the whole process (``numerics``)."""
    if execution.precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def compile_modules(submission: AnySubmission, model: nn.Module, spec: JobSpec) -> None:
    """Have torch compile the network and whatever else is trained, in place, when first called.

    On a GPU launches are put into CUDA graphs. Random numbers are drawn as without the compiler.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(spec.compiled or spec.work / COMPILED)
    from torch._inductor import config

    config.fallback_random = True
    config.compile_threads = 1  # threads are the plan's to give out
    mode = "reduce-overhead" if spec.device.startswith("cuda") else None
    for module in TrainingState(submission, model).modules.values():
        if any(parameter.requires_grad for parameter in module.parameters()):
            module.compile(mode=mode)


@dataclass(frozen=True)
class Choice:
    """The fastest of what was tried."""

    execution: Execution
    rate: Rate  # of training steps
    tried: dict[str, float]  # what -> steps a second
    refused: str | None = None  # what was asked for and cannot be had, and why


def choose_execution(
    spec: JobSpec,
    make_step: Callable[[Execution], Step],
    measure: Callable[[Step], Rate],
    graph_problem: Callable[[], str | None] = lambda: None,
) -> Choice:
    """Measure training steps as they are and, where so much training is ahead that it may pay, compiled.

    Args:
        spec: Says whether to compile: "on", "off", or "auto", and what is ahead.
        make_step: Makes what takes one step of a training of its own.
        measure: Its speed, after a call that is not timed.
        graph_problem: Why a step cannot be a CUDA graph; asked where that is wanted.

    Raises:
        RunFailed: If compiling was demanded and does not work.
    """
    step = make_step(spec.execution)
    losses = _first_losses(step)
    rate = measure(step)
    eager = Choice(spec.execution, rate, {"eager": rate.median_per_s})
    if spec.compile == "graph":
        return _graphed(eager, make_step, measure, graph_problem())
    ahead = spec.steps * spec.runs_ahead / rate.median_per_s
    if spec.compile == "off" or (spec.compile == "auto" and ahead < WORTH_SECONDS):
        return eager
    try:
        compiled = _compiled(spec, make_step, measure, losses)
    except Exception as error:  # the compiler's own kinds are many
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        if spec.compile == "on":
            raise RunFailed(f"--compile on: torch.compile does not work here ({reason})") from None
        print(f"not compiled: {reason}")
        return eager
    tried = {**eager.tried, **compiled.tried}
    compiled_ahead = spec.steps * spec.runs_ahead / compiled.rate.median_per_s
    began = spec.runs_ahead * compiled.seconds
    if spec.compile == "auto" and compiled_ahead + began >= ahead:
        return Choice(eager.execution, eager.rate, tried)
    return Choice(compiled.execution, compiled.rate, tried)


def _graphed(
    eager: Choice, make_step: Callable[[Execution], Step], measure: Callable[[Step], Rate], problem: str | None
) -> Choice:
    """The step as a CUDA graph, if it can be one and that is faster."""
    if problem is not None:
        return replace(eager, refused=f"a CUDA graph: {problem}")
    execution = eager.execution.model_copy(update={"graphed": True})
    step = make_step(execution)
    for _ in range(EAGER_STEPS + 1):
        step()
    rate = measure(step)
    tried = {**eager.tried, "graph": rate.median_per_s}
    if rate.median_per_s <= eager.rate.median_per_s:
        return replace(eager, tried=tried)
    return Choice(execution, rate, tried)


@dataclass(frozen=True)
class _Compiled(Choice):
    seconds: float = 0.0  # that a process takes to compile


def _compiled(
    spec: JobSpec,
    make_step: Callable[[Execution], Step],
    measure: Callable[[Step], Rate],
    losses: Tensor,
) -> _Compiled:
    execution = spec.execution.model_copy(update={"compiled": True})
    started = time.perf_counter()
    step = make_step(execution)
    found = _first_losses(step)
    seconds = time.perf_counter() - started
    apart = ((found - losses).abs() / losses.abs().clamp_min(1e-6)).max().item()
    if not apart <= SAME_LOSS[execution.precision]:
        raise RunFailed(f"the losses of the first {COMPARED_STEPS} steps differ by {apart:.2g} of themselves")
    rate = measure(step)
    return _Compiled(execution, rate, {"compiled": rate.median_per_s}, seconds=seconds)


def _first_losses(step: Step) -> Tensor:
    return torch.stack([step()["loss"].detach().double() for _ in range(COMPARED_STEPS)])
