"""``bench ci``: examine what a pull request changes in a contest's repository, and report.

Nothing in a repository ends it without a report: what is wrong with one submission, with the contest's own files
or with a record is an entry of the report, and the rest is examined.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ci.before import costs_before
from bench.ci.changes import Changes, Folders, changes_since
from bench.ci.examination import Examination
from bench.ci.junit import junit_text
from bench.ci.report import markdown_text
from bench.contract.contest import Contest, find_contest
from bench.contract.manifest import BASE_VARIANT
from bench.contract.tracks import Track, choose_tracks, track_files
from bench.errors import BenchError, ExitCode, ManifestError, NothingToDo, ResultsError
from bench.files import write_bytes
from bench.harness.commands.run import run_command
from bench.harness.commands.verify import verify_entries
from bench.harness.config import RunConfig
from bench.harness.executors.sandbox import NO_SANDBOX, Sandbox, choose_sandbox
from bench.harness.submissions.discovery import MANIFEST, MODEL, SubmissionSource, discover
from bench.report.records.load import read_all
from bench.report.regression.check import GateScope, compared_with
from bench.report.regression.findings import RegressionCheck, count_findings, parse_limits
from bench.text import one_line

SMOKE = "smoke"  # the profile of the runs of a few steps
DEVICE = "cpu"
SKIPPED = ("_", ".")  # first characters of folders that no command takes for a submission


@dataclass(frozen=True)
class CiOptions:
    """The options of ``bench ci``."""

    base: str | None = None  # git revision to compare with
    everything: bool = False  # examine also the submissions that have not changed since
    smoke: bool = True  # run each submission for a few steps
    fail_on: str = ""  # limits as of ``bench check``; empty for none
    sandbox: str = "auto"
    report: Path | None = None  # Markdown file to write
    junit: Path | None = None  # JUnit file to write


def ci_command(options: CiOptions) -> ExitCode:
    """Verify submissions, run them for a few steps, compare them with the base, and write the reports.

    Returns:
        0, or the most severe exit code of all parts.

    Raises:
        UsageError: If an option is invalid, or a file cannot be written.
        KeyboardInterrupt: After Ctrl-C.
    """
    limits = parse_limits(options.fail_on) if options.fail_on.strip() else {}
    sandbox = choose_sandbox(options.sandbox, DEVICE)
    found = Examination(base=options.base, sandboxed=sandbox != NO_SANDBOX)
    with _kept(found):
        _examine(found, options, limits, sandbox)
    text = markdown_text(found)
    if options.report is not None:
        write_bytes(options.report, text.encode())
    if options.junit is not None:
        write_bytes(options.junit, junit_text(found).encode())
    print(text)
    return found.exit_code


@contextmanager
def _kept(found: Examination) -> Iterator[None]:
    """Keep an error of the block for the report, and go on after it."""
    try:
        yield
    except NothingToDo as nothing:
        found.notes.append(str(nothing))
    except BenchError as error:
        found.errors.append(error)


def _examine(found: Examination, options: CiOptions, limits: dict[str, RegressionCheck], sandbox: Sandbox) -> None:
    contest = find_contest()
    folders = Folders(Path("submissions"), Path("results"))
    if contest is not None:
        found.title, folders = contest.content.title, Folders(contest.submissions, contest.results)
    tracks = choose_tracks(None).tracks
    if options.base is not None:
        found.changes = changes_since(options.base, folders, _rules(contest))
    with _kept(found):
        sources = _sources(found, folders, tracks, everything=options.everything)
        found.verified = verify_entries([(source, BASE_VARIANT) for source in sources], DEVICE, sandbox)
        if options.smoke:
            _run(found, options.sandbox)
    if found.changes is not None:
        with _kept(found):
            _compare_counts(found, found.changes, tracks, limits, sandbox)
        with _kept(found):
            _compare_records(found, found.changes, folders, limits)


def _rules(contest: Contest | None) -> list[Path]:
    """Return the files that define the contest."""
    return track_files(contest) if contest is None else [contest.file, *track_files(contest)]


def _sources(
    found: Examination, folders: Folders, tracks: dict[str, Track], *, everything: bool
) -> list[SubmissionSource]:
    """Return the submissions to verify: those in changed folders, or all if a rule has changed.

    Folders that cannot be read as submissions are added to ``found.unreadable``.
    """
    changed = [] if found.changes is None else found.changes.submissions
    chosen = [path for path in changed if _is_candidate(path, found)]
    if everything or found.changes is None or found.changes.rules:
        present = sorted(path for path in folders.submissions.glob("*/") if not path.is_symlink())
        chosen += [path for path in present if path not in changed]
    if not chosen:
        return []
    sources, broken = discover(chosen, tracks)
    here = f"{Path.cwd()}/"  # a path below it says the same on every machine
    found.unreadable += [(folder.name, type(error)(str(error).replace(here, ""))) for folder, error in broken]
    return sources


def _is_candidate(folder: Path, found: Examination) -> bool:
    """Return whether a changed folder has a submission, in it or below it; keep the reason if it has none."""
    if folder.name.startswith(SKIPPED):
        found.notes.append(f"{folder}: skipped, because its name starts with {folder.name[0]!r}")
        return False
    reason = None
    if folder.is_symlink():
        reason = "is a link; a submission is a folder with its own files"
    elif not any([(folder / MANIFEST).exists(), (folder / MODEL).exists(), *folder.glob(f"*/{MANIFEST}")]):
        reason = f"has no {MANIFEST}; a submission consists of {MANIFEST} and {MODEL}"
    if reason is not None:
        found.unreadable.append((folder.name, ManifestError(f"{folder}: {reason}")))
    return reason is None


def _run(found: Examination, sandbox: str) -> None:
    """Run what was verified for a few steps on drawn images, and keep the records in ``found``."""
    verified = [source for source, _, result in found.verified if not result.problems]
    chosen = [source for source in verified if SMOKE in source.track.profiles]
    tracks = sorted({source.track.name for source in verified if source not in chosen})
    found.notes += [f"track {name}: no runs of a few steps, as it has no profile {SMOKE!r}" for name in tracks]
    if not chosen:
        return
    with tempfile.TemporaryDirectory(prefix="capbench-ci-") as folder:
        config = RunConfig(
            paths=[source.folder for source in chosen],
            profile=SMOKE,
            embedded=True,
            results=Path(folder),
            device=DEVICE,
            sandbox=sandbox,
            log_format="lines",
        )
        summary = run_command(config)
        records, problems = read_all(Path(folder))
    found.runs = [record for record in records if record.identity.hash in summary.labels]
    found.errors += [ResultsError(problem) for problem in (*summary.problems, *problems)]


def _compare_counts(
    found: Examination,
    changes: Changes,
    tracks: dict[str, Track],
    limits: dict[str, RegressionCheck],
    sandbox: Sandbox,
) -> None:
    """Verify the base's version of each changed submission, and compare its counts if they have a limit."""
    folders = {path.resolve() for path in changes.submissions}
    now = {
        source.name: (source, result.cost)
        for source, _, result in found.verified
        if result.cost is not None and not folders.isdisjoint((source.folder, *source.folder.parents))
    }
    found.before = costs_before(changes.commit, [source for source, _ in now.values()], tracks, sandbox)
    if "params" in limits:
        for name, cost in found.before.items():
            found.findings += count_findings(name, cost, now[name][1], limits["params"])


def _compare_records(
    found: Examination, changes: Changes, folders: Folders, limits: dict[str, RegressionCheck]
) -> None:
    """Compare changed records with those of the base, as ``bench check`` does."""
    if not changes.records or not limits:
        return
    findings, problems = compared_with(changes.commit, folders.results, limits, GateScope(folders.submissions))
    found.findings += findings
    found.errors += [ResultsError(one_line(problem)) for problem in problems]
    if not findings:
        found.notes.append("the base has no record of a finished run to compare the records with")
