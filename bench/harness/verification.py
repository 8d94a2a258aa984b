"""Verification of one (submission, variant) in a process of its own."""

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from bench.contract.jobs.files import REPORT
from bench.contract.jobs.reports import Problem, Verification, read_report
from bench.contract.jobs.spec import JobSpec
from bench.harness.executors.executor import Executor, JobRequest, JobResult
from bench.harness.executors.limits import Limits
from bench.harness.executors.local import PhaseEnvironment, read_log
from bench.harness.executors.sandbox import Sandbox

VERIFY_SECONDS = 1800.0  # timeout: a verification takes seconds, with a slow sampler some minutes


@dataclass(frozen=True)
class VerificationResult:
    """The outcome of a verification."""

    verification: Verification
    result: JobResult
    log: str  # the submission's output, and the traceback if it raised


def verify_in_process(
    executor: Executor, spec: JobSpec, stop: threading.Event, sandbox: Sandbox
) -> VerificationResult:
    """Verify one (submission, variant) in a separate process.

    If the process fails, the verification has no cost and one problem.

    Raises:
        Stopped: If ``stop`` was set during the verification.
    """
    with tempfile.TemporaryDirectory(prefix="capbench-verify-") as folder:
        spec = spec.model_copy(update={"work": Path(folder)})
        phase_environment = PhaseEnvironment(Limits(VERIFY_SECONDS, spec.memory_bytes), sandbox)
        result = executor.run(JobRequest(spec, ("verify",), phase_environment), lambda event: None, stop)
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
