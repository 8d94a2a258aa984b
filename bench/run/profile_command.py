"""``bench profile``: the steps of submissions, watched in a process each."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.contract.jobs import REPORT, TRACE, Execution, JobSpec, Precision, read_report
from bench.contract.manifest import label_of
from bench.contract.profiles import StepProfile
from bench.errors import BenchError, ResultsError, RunFailed, UsageError
from bench.run.command import one_of
from bench.run.devices import choose_device, usable_cores
from bench.run.discovery import Found, submissions_of, variants_of
from bench.run.executors.limits import Limits
from bench.run.executors.local import Conditions, read_log, run_phase, tail_of
from bench.run.executors.sandbox import Walls, choose_walls
from bench.run.verify_command import verification_spec

LIMIT_SECONDS = 1800.0


@dataclass(frozen=True)
class ProfileOptions:
    """The command line of ``bench profile``."""

    paths: list[Path]
    variants: str
    device: str
    threads: int | None  # None for all cores
    precision: str
    compile: bool
    track_file: Path | None
    sandbox: str
    trace: Path | None  # folder for a trace of each submission


def profile_steps(options: ProfileOptions) -> Iterator[tuple[str, StepProfile | BenchError]]:
    """Each submission's label with its profile, or with why there is none; one after another.

    Raises:
        BenchError: If an option or a path is wrong.
    """
    device = choose_device(options.device)
    walls = choose_walls(options.sandbox, device)
    execution = Execution(
        precision=one_of(Precision, options.precision, "--precision", device), compiled=options.compile
    )
    threads = options.threads or (usable_cores() if device == "cpu" else 1)
    if threads < 1:
        raise UsageError(f"--threads {threads}: give at least 1")
    found, broken = submissions_of(options.paths, options.track_file)
    for path, error in broken:
        yield path.name, error
    for submission, variant in _entries(found, options.variants):
        label = label_of(submission.name, variant)
        update = {"execution": execution, "threads": threads}
        spec = verification_spec(submission, variant, device).model_copy(update=update)
        try:
            yield label, _profile(spec, walls, options.trace and options.trace / f"{label.replace(':', '-')}.json")
        except BenchError as error:
            yield label, error


def _entries(found: list[Found], variants: str) -> Iterator[tuple[Found, str]]:
    for submission in found:
        for variant in variants_of(submission, variants):
            yield submission, variant


def _profile(spec: JobSpec, walls: Walls, trace: Path | None) -> StepProfile:
    with tempfile.TemporaryDirectory(prefix="capbench-profile-") as folder:
        spec = spec.model_copy(update={"work": Path(folder)})
        conditions = Conditions(Limits(LIMIT_SECONDS, spec.memory_bytes), walls)
        failure = run_phase(spec, "profile", lambda event: None, threading.Event(), conditions)
        if failure is not None:
            last = tail_of(read_log(spec.work), 1)
            raise RunFailed(failure.reason + (f" (last line printed: {last[0]})" if last else ""))
        if trace is not None:
            try:
                trace.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(spec.work / "profile" / TRACE, trace)
            except OSError as error:
                raise ResultsError(f"{trace}: cannot be written ({error.strerror})") from None
        return read_report(spec.work / "profile" / REPORT["profile"], StepProfile)
