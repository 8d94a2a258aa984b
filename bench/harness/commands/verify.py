"""``bench verify``: check submissions, and print counts as tables and problems as lines."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.jobs.reports import Verification
from bench.contract.jobs.spec import JobData, JobSpec
from bench.contract.tracks import OFFICIAL, protocol_of
from bench.data.store import describe
from bench.errors import ExitCode
from bench.harness.commands.verify_text import (
    Verified,
    count_text,
    debug_text,
    line_text,
    report_text,
    summary_text,
)
from bench.harness.executors.concurrency import side_by_side
from bench.harness.executors.executor import LocalExecutor
from bench.harness.executors.local import Stopped
from bench.harness.executors.sandbox import Sandbox, choose_sandbox
from bench.harness.planning.devices import choose_device, usable_cores
from bench.harness.runner import exit_code_of
from bench.harness.submissions.discovery import SubmissionSource, submissions_of, variants_of
from bench.harness.verification import VerificationResult, verify_in_process


@dataclass(frozen=True)
class VerifyOptions:
    """The options of ``bench verify``."""

    paths: list[Path]  # submission folders, or folders of such folders
    variants: str = "base"  # "base", "all", or names separated by commas
    device: str = "auto"  # "auto", "cpu", "cuda" or "cuda:N"
    track: Path | None = None  # a track's name, or the file of a custom track; None for all
    sandbox: str = "auto"  # "auto", "bwrap" or "none"
    debug: bool = False  # whether to print the submissions' output and tracebacks
    details: bool | None = None  # print counts by module and all checks; None: of a single submission


def verify_command(options: VerifyOptions) -> ExitCode:
    """Verify submissions and print the results.

    Returns:
        0, or the most severe exit code of all submissions.

    Raises:
        BenchError: If a path or an option is invalid.
        KeyboardInterrupt: After Ctrl-C, once all processes have ended.
    """
    submissions, broken = submissions_of(options.paths, options.track)
    device = choose_device(options.device)
    sandbox = choose_sandbox(options.sandbox, device)
    entries = [
        (submission, variant)
        for submission in submissions
        for variant in variants_of(submission, options.variants)
    ]
    details = len(entries) == 1 if options.details is None else options.details
    results = verify_entries(entries, device, sandbox, debug=options.debug, details=details)
    for _, error in broken:
        print(f"✗ {error}")
    if len(results) > 1:
        print(("" if details else "\n") + summary_text(results), end="\n\n")
    print(count_text([result for *_, result in results], unreadable=len(broken), debug=options.debug))
    codes = [exit_code_of_verification(result) for *_, result in results]
    return max(codes + [error.exit_code for _, error in broken], default=ExitCode.OK)


def verify_entries(
    entries: Sequence[tuple[SubmissionSource, str]],
    device: str,
    sandbox: Sandbox,
    *,
    debug: bool = False,
    details: bool = False,
) -> list[Verified]:
    """Verify (submission, variant) pairs side by side, and print each report in their order.

    Args:
        entries: The submissions, with the name of a variant.
        device: The resolved device.
        sandbox: Of the processes that run the submissions' code.
        debug: Whether to print the submissions' output and tracebacks.
        details: Whether to print counts by module, and all checks, instead of a line per submission.

    Raises:
        KeyboardInterrupt: After Ctrl-C, once all processes have ended.
    """
    stop, executor = threading.Event(), LocalExecutor(device, usable_cores())
    verified: dict[int, VerificationResult] = {}  # by index into ``entries``
    printed: list[int] = []

    def verify(index: int) -> None:
        with contextlib.suppress(Stopped):
            spec = verification_spec(*entries[index], device)
            verified[index] = verify_in_process(executor, spec, stop, sandbox)

    def print_reports() -> None:
        """Print the reports that are ready, in the order of the submissions."""
        while len(printed) in verified:
            index = len(printed)
            text = (report_text if details else line_text)(*entries[index], verified[index].verification)
            log = debug_text(verified[index].log) if debug else ""
            print(text + log, end="\n\n" if details or debug else "\n", flush=True)
            printed.append(index)

    indices, cores = range(len(entries)), usable_cores()
    side_by_side(verify, indices, lambda unfinished: cores, tick=print_reports, stop=stop.set)
    print_reports()
    return [(*entry, verified[index].verification) for index, entry in enumerate(entries)]


def exit_code_of_verification(verification: Verification) -> ExitCode:
    """Return 0, or the exit code of the first problem."""
    if not verification.problems:
        return ExitCode.OK
    return exit_code_of(verification.problems[0].status)


def verification_spec(submission: SubmissionSource, variant: str, device: str) -> JobSpec:
    """Return the specification of a verification: official budget and the data set's shape, but no data."""
    info = describe(submission.track.data)
    channels = info.image_shape[0]
    return JobSpec(
        submission=submission.name,
        folder=submission.folder,
        variant=variant,
        overrides=submission.manifest.overrides(variant, OFFICIAL),
        seed=0,
        protocol=protocol_of(submission.track, OFFICIAL, info.name),
        steps=submission.track.steps(OFFICIAL, submission.manifest.official_steps(variant)),
        data=JobData(
            name=info.name,
            root=Path(),
            image_shape=info.image_shape,
            num_classes=info.num_classes,
            channel_mean=(0.5,) * channels,
            channel_std=(0.25,) * channels,
        ),
        as_published=submission.manifest.as_published,
        device=device,
        threads=1,
        work=Path(),  # replaced by a temporary folder
        speed_seconds=0.0,
        declared=submission.manifest.declared(),
    )
