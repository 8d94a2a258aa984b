"""``bench profile``: profiles of training steps, each measured in a separate process."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.contract.jobs.files import REPORT, TRACE
from bench.contract.jobs.reports import read_report
from bench.contract.jobs.spec import Execution, JobSpec, Precision
from bench.contract.jobs.timings import StepProfile
from bench.contract.manifest import label_of
from bench.errors import BenchError, ResultsError, RunFailed, UsageError
from bench.harness.commands.verify import verification_spec
from bench.harness.config import check_choice
from bench.harness.executors.limits import Limits
from bench.harness.executors.local import PhaseEnvironment, read_log, run_phase, tail_of
from bench.harness.executors.sandbox import Sandbox, choose_sandbox
from bench.harness.planning.devices import choose_device, usable_cores
from bench.harness.submissions.discovery import SubmissionSource, submissions_of, variants_of

TIMEOUT_SECONDS = 1800.0


@dataclass(frozen=True)
class ProfileOptions:
    """The options of ``bench profile``."""

    paths: list[Path]
    variants: str
    device: str
    threads: int | None  # None for all cores on a CPU, one thread on a GPU
    precision: Precision
    compile: bool
    track: Path | None
    sandbox: str
    trace: Path | None  # folder for one trace per submission and variant


def profile_steps(options: ProfileOptions) -> Iterator[tuple[str, StepProfile | BenchError]]:
    """Profile submissions one after another; yield each label with the profile or the error.

    Raises:
        BenchError: If an option or a path is invalid.
    """
    device = choose_device(options.device)
    sandbox = choose_sandbox(options.sandbox, device)
    check_choice(Precision, options.precision, "--precision", device)
    execution = Execution(precision=options.precision, compiled=options.compile)
    threads = options.threads or (usable_cores() if device == "cpu" else 1)
    if threads < 1:
        raise UsageError(f"--threads {threads}: give at least 1")
    submissions, broken = submissions_of(options.paths, options.track)
    for path, error in broken:
        yield path.name, error
    for submission, variant in _entries(submissions, options.variants):
        label = label_of(submission.name, variant)
        update = {"execution": execution, "threads": threads}
        spec = verification_spec(submission, variant, device).model_copy(update=update)
        trace = options.trace and options.trace / f"{label.replace(':', '-')}.json"
        try:
            yield label, _profile(spec, sandbox, trace)
        except BenchError as error:
            yield label, error


def _entries(submissions: list[SubmissionSource], variants: str) -> Iterator[tuple[SubmissionSource, str]]:
    for submission in submissions:
        for variant in variants_of(submission, variants):
            yield submission, variant


def _profile(spec: JobSpec, sandbox: Sandbox, trace: Path | None) -> StepProfile:
    with tempfile.TemporaryDirectory(prefix="capbench-profile-") as folder:
        spec = spec.model_copy(update={"work": Path(folder)})
        phase_environment = PhaseEnvironment(Limits(TIMEOUT_SECONDS, spec.memory_bytes), sandbox)
        failure = run_phase(spec, "profile", lambda event: None, threading.Event(), phase_environment)
        if failure is not None:
            last_lines = tail_of(read_log(spec.work), 1)
            raise RunFailed(failure.reason + (f" (last line printed: {last_lines[0]})" if last_lines else ""))
        if trace is not None:
            try:
                trace.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(spec.work / "profile" / TRACE, trace)
            except OSError as error:
                raise ResultsError(f"{trace}: cannot be written ({error.strerror})") from None
        return read_report(spec.work / "profile" / REPORT["profile"], StepProfile)
