"""Verification of one (submission, variant) in a process of its own."""

import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contract.jobs.files import REPORT
from bench.contract.jobs.reports import Problem, Verification, read_report
from bench.contract.jobs.spec import JobSpec
from bench.contract.manifest import label_of
from bench.harness.executors.executor import Executor, JobRequest, JobResult
from bench.harness.executors.limits import Limits
from bench.harness.executors.local import PhaseEnvironment, read_log
from bench.harness.executors.sandbox import Sandbox
from bench.harness.executors.turns import Turns

VERIFY_SECONDS = 900.0  # default timeout: a verification takes seconds, with a slow sampler some minutes
LEAST_SECONDS = 180.0  # a shorter `--timeout` is meant for runs; beside others a verification can take a minute


@dataclass(frozen=True)
class VerificationResult:
    """The outcome of a verification."""

    verification: Verification
    result: JobResult
    log: str  # the submission's output, and the traceback if it raised


def verify_in_process(
    executor: Executor,
    spec: JobSpec,
    stop: threading.Event,
    sandbox: Sandbox,
    *,
    turns: Turns | None = None,
    timeout_seconds: float | None = None,
) -> VerificationResult:
    """Verify one (submission, variant) in a separate process.

    If the process fails, the verification has no cost and one problem.

    Args:
        executor: Runs the process.
        spec: Of a job of this (submission, variant).
        stop: Event that stops the process.
        sandbox: Of the process.
        turns: Of the verifications of this command on this machine, to measure speeds alone; None to measure them
            without waiting.
        timeout_seconds: Limit of the verification, without waiting for its turn; at least ``LEAST_SECONDS`` is
            used, and ``VERIFY_SECONDS`` for None.

    Raises:
        Stopped: If ``stop`` was set during the verification.
    """
    with tempfile.TemporaryDirectory(prefix="capbench-verify-") as folder:
        spec = spec.model_copy(update={"work": Path(folder), "speeds_in_turn": turns is not None})
        seconds = VERIFY_SECONDS if timeout_seconds is None else max(timeout_seconds, LEAST_SECONDS)
        limits = Limits(seconds, spec.memory_bytes)
        if turns is None:
            request = JobRequest(spec, ("verify",), PhaseEnvironment(limits, sandbox))
            result = executor.run(request, lambda event: None, stop)
        else:
            with turns.turn(label_of(spec.submission, spec.variant), spec.work / "verify") as turn:
                limits = replace(limits, waited=turn.waited)
                request = JobRequest(spec, ("verify",), PhaseEnvironment(limits, sandbox))
                result = executor.run(request, lambda event: turns.on_event(turn, event), stop)
            result = replace(result, concurrent_phases=turn.concurrent)
        log = read_log(spec.work)
        if result.failure is None:
            verification = read_report(spec.work / "verify" / REPORT["verify"], Verification)
            return VerificationResult(_with_concurrency(verification, result.concurrent_phases), result, log)
    problem = Problem(status=result.failure.status, message=result.failure.reason)
    verification = Verification(config={}, cost=None, problems=[problem], environment=result.environment)
    return VerificationResult(verification, result, log)


def _with_concurrency(verification: Verification, concurrent: int) -> Verification:
    """Store in each measured speed how many other phases shared the machine during the measurement."""
    rates = {name: getattr(verification, name) for name in ("training_steps_per_s", "inference_images_per_s")}
    measured = {name: rate for name, rate in rates.items() if rate is not None}
    return verification.model_copy(
        update={name: rate.model_copy(update={"concurrent_runs": concurrent}) for name, rate in measured.items()}
    )
