"""Choose how training steps are executed: precision, and eager, compiled or as a CUDA graph, whichever is faster.

The fastest choice depends on network, device and versions, so it is measured: compiling made a network train 1.9
times faster on one CPU, and 2.5 times slower on another. Compiling may change results by rounding only; the losses
of the first steps are compared before it is chosen.
"""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.contract.jobs.spec import Execution, JobSpec
from bench.contract.records.record import Throughput
from bench.errors import RunFailed
from bench.job.checks.counted_parameters import ParameterCounter
from bench.job.loading import AnySubmission
from bench.job.steps.cuda_graph import EAGER_STEPS

WORTH_SECONDS = 1200.0  # shortest remaining training for which compiling, about 10 to 60 s twice, is tried
COMPARED_STEPS = 3
# Relative tolerance of losses. Over so few steps rounding changes float32 losses by about 1e-5.
SAME_LOSS = {"fp32": 1e-3, "tf32": 5e-3, "bf16": 2e-2}
COMPILED = "compiled"  # default folder of the compiler's cache, in the folder of the phase

Step = Callable[[], dict[str, Tensor]]


def precision_of(execution: Execution, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of a training step: autocast for bf16, else none.

    The other precisions are set for the whole process, see ``numerics``.
    """
    if execution.precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def compile_modules(submission: AnySubmission, model: nn.Module, spec: JobSpec) -> None:
    """Compile every module with trainable parameters in place; compilation happens at the first call.

    On a GPU kernel launches are recorded as CUDA graphs. Random numbers are the same as in eager mode.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(spec.compile_cache or spec.work / COMPILED)
    from torch._inductor import config

    config.fallback_random = True
    config.compile_threads = 1  # the scheduler assigns threads to jobs
    mode = "reduce-overhead" if spec.device.startswith("cuda") else None
    for module in ParameterCounter(submission, model).modules.values():
        if any(parameter.requires_grad for parameter in module.parameters()):
            module.compile(mode=mode)


@dataclass(frozen=True)
class ExecutionChoice:
    """The fastest execution that was tried."""

    execution: Execution
    rate: Throughput  # training steps per second
    tried: dict[str, float]  # "eager", "compiled" or "graph" -> steps per second
    refused: str | None = None  # requested execution that is impossible, and the reason


def choose_execution(
    spec: JobSpec,
    make_step: Callable[[Execution], Step],
    measure: Callable[[Step], Throughput],
    graph_problem: Callable[[], str | None] = lambda: None,
) -> ExecutionChoice:
    """Measure eager training steps and, if requested, compiled ones or a CUDA graph; return the faster execution.

    Args:
        spec: The job. ``spec.compile`` is "on", "off", "graph" or "auto"; "auto" tries compiling if the remaining
            training is long enough.
        make_step: Starts a separate training with an execution; returns a function that takes its next step.
        measure: Measures the speed of such a function, after one untimed call.
        graph_problem: Returns the reason why a step cannot be a CUDA graph, or None; called for "graph" only.

    Raises:
        RunFailed: If ``spec.compile`` is "on" and compiling fails.
    """
    step = make_step(spec.execution)
    losses = _first_losses(step)
    rate = measure(step)
    eager = ExecutionChoice(spec.execution, rate, {"eager": rate.median_per_s})
    if spec.compile == "graph":
        return _graphed(eager, make_step, measure, graph_problem())
    eager_seconds = spec.steps * spec.runs_ahead / rate.median_per_s
    if spec.compile == "off" or (spec.compile == "auto" and eager_seconds < WORTH_SECONDS):
        return eager
    try:
        compiled = _compiled(spec, make_step, measure, losses)
    except Exception as error:  # the compiler raises many types
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        if spec.compile == "on":
            raise RunFailed(
                f"--compile on: torch.compile does not work here ({reason}); use --compile auto or off"
            ) from None
        print(f"not compiled: {reason}")
        return eager
    tried = {**eager.tried, **compiled.tried}
    compiled_seconds = spec.steps * spec.runs_ahead / compiled.rate.median_per_s
    compilation_seconds = spec.runs_ahead * compiled.seconds
    if spec.compile == "auto" and compiled_seconds + compilation_seconds >= eager_seconds:
        return ExecutionChoice(eager.execution, eager.rate, tried)
    return ExecutionChoice(compiled.execution, compiled.rate, tried)


def _graphed(
    eager: ExecutionChoice,
    make_step: Callable[[Execution], Step],
    measure: Callable[[Step], Throughput],
    problem: str | None,
) -> ExecutionChoice:
    """Choose the CUDA graph of the step if it is possible and faster than eager steps."""
    if problem is not None:
        return replace(eager, refused=f"recorded as a CUDA graph: {problem}")
    execution = eager.execution.model_copy(update={"graphed": True})
    step = make_step(execution)
    for _ in range(EAGER_STEPS + 1):
        step()
    rate = measure(step)
    tried = {**eager.tried, "graph": rate.median_per_s}
    if rate.median_per_s <= eager.rate.median_per_s:
        return replace(eager, tried=tried)
    return ExecutionChoice(execution, rate, tried)


@dataclass(frozen=True)
class _Compiled(ExecutionChoice):
    """Compiled execution, its speed and its compilation time."""

    seconds: float = 0.0  # compilation time per process


def _compiled(
    spec: JobSpec,
    make_step: Callable[[Execution], Step],
    measure: Callable[[Step], Throughput],
    losses: Tensor,
) -> _Compiled:
    """Compile and measure a step.

    Args:
        losses: Losses of the first eager steps, float64.

    Raises:
        RunFailed: If the losses of the compiled steps differ by more than rounding.
    """
    execution = spec.execution.model_copy(update={"compiled": True})
    started = time.perf_counter()
    step = make_step(execution)
    compiled_losses = _first_losses(step)
    seconds = time.perf_counter() - started
    difference = ((compiled_losses - losses).abs() / losses.abs().clamp_min(1e-6)).max().item()
    if not difference <= SAME_LOSS[execution.precision]:
        raise RunFailed(
            f"the losses of the first {COMPARED_STEPS} steps differ by {difference:.2g} relative to eager steps, "
            f"{SAME_LOSS[execution.precision]:g} is allowed"
        )
    rate = measure(step)
    return _Compiled(execution, rate, {"compiled": rate.median_per_s}, seconds=seconds)


def _first_losses(step: Step) -> Tensor:
    """Take the first steps; return their losses, (COMPARED_STEPS,) float64."""
    return torch.stack([step()["loss"].detach().double() for _ in range(COMPARED_STEPS)])
