"""``bench status`` and ``bench show``: the state of runs, the reason of failures, and the command to continue."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contract.invocation import CommandPaths, Invocation, read_invocation, rerun_command
from bench.contract.jobs.files import WORK
from bench.contract.manifest import REAL_IMAGES, label_of
from bench.contract.records.advice import over_advice
from bench.contract.records.files import NewerRecord, read_record, record_paths
from bench.contract.records.record import Record
from bench.contract.tracks import choose_tracks, track_name
from bench.errors import ExitCode, NothingToDo, ResultsError
from bench.locks import is_held
from bench.report.records.current_code import CurrentCode
from bench.report.tables.text import MISSING, grid
from bench.text import beginning

OUTDATED = "outdated"  # unfinished, and cannot be resumed: the code or the settings have changed
LONGEST_NAME, LONGEST_REASON = 40, 300  # characters; `bench show` prints all of a reason
CHANGED = "the code or the settings have changed since"


@dataclass(frozen=True)
class Run:
    """The state of one run in the results folder."""

    path: Path  # of its record, which may not exist yet
    name: str  # submission, with the variant unless it is the base
    profile: str
    seed: int | None  # None if not known
    state: str  # "ok", "running", "interrupted", "outdated", "not measured", "unreadable", or the kind of failure
    reason: str
    repair: str  # the command to continue or clean up; empty if there is none


@dataclass(frozen=True)
class StatusOptions:
    """The options of `bench status` and `bench show`."""

    results: Path = Path("results")
    submissions: Path = Path("submissions")
    track: Path | None = None  # name of a track, or path of a track file


class ResultsFolder:
    """A read-only view of a results folder."""

    def __init__(self, options: StatusOptions) -> None:
        only = track_name(options.track)  # may be a track that occurs only in records
        chosen = choose_tracks(options.track if only != str(options.track) else None)
        self.results, self._file, self._only = options.results, chosen.file, only
        names = {path.name for path in (options.results / "runs").glob("*/*")}
        folders = {name: options.submissions / name for name in names}
        self._folders = {name: folder for name, folder in folders.items() if folder.is_dir()}
        self._current = CurrentCode(self._folders, chosen.tracks)

    def runs(self) -> Iterator[Run]:
        """Yield every run that has a record or a work folder, sorted by path."""
        paths = set(record_paths(self.results))
        paths |= {work.parent.with_suffix(".json") for work in (self.results / "runs").glob(f"*/*/*/seed*/{WORK}")}
        for path in sorted(paths):
            if self._only is None or path.parents[2].name == self._only:
                yield self._run(path)

    def _run(self, path: Path) -> Run:
        try:
            record = read_record(path) if path.exists() else None
        except ResultsError as error:
            name = label_of(path.parent.parent.name, path.parent.name)
            repair = "" if isinstance(error, NewerRecord) else shlex.join(["mv", str(path), f"{path}.away"])
            return Run(path, name, MISSING, None, "unreadable", str(error), repair)
        return self.of_record(path, record) if record is not None else self._of_work(path)

    def of_record(self, path: Path, record: Record) -> Run:
        """Return the state of a run with a record."""
        identity = record.identity
        name, profile = label_of(identity.submission, identity.variant), record.protocol.profile
        seed = identity.seed
        if is_held(path.with_suffix(".lock")):
            return Run(path, name, profile, seed, "running", "", "")
        if record.status == "ok" and not record.not_measured:
            return Run(path, name, profile, seed, "ok", ", ".join(over_advice(record)), "")
        invocation = read_invocation(path.with_suffix(""))
        paths = CommandPaths.from_record(record, self.results) if invocation is None else self._paths(invocation)
        paths = replace(paths, submission=paths.submission or self._folders.get(identity.submission))
        paths = replace(paths, track_file=self._file or paths.track_file)
        folder = None if invocation is None else invocation.folder
        changed = self._current.would_run(identity, record.protocol.track, profile, folder) is False
        if changed and record.status == "ok":  # valid, but its missing metrics cannot be measured any more
            return Run(path, name, profile, seed, "ok", "", "")
        if changed:
            reason = f"{record.reason or record.status}; {CHANGED}"
            return Run(path, name, profile, seed, OUTDATED, reason, shlex.join(["rm", str(path)]))

        def command(more: str = "") -> str:
            return rerun_command(identity, record.protocol.track, profile, paths, more)

        if record.status != "ok":
            retry = "" if identity.submission == REAL_IMAGES else "--retry failed"
            return Run(path, name, profile, seed, record.status, record.reason or "", command(retry))
        reason = next(iter(record.not_measured.values()))
        return Run(path, name, profile, seed, "not measured", reason, f"bench fetch all; {command()}")

    def _paths(self, invocation: Invocation) -> CommandPaths:
        return CommandPaths(
            invocation.folder,
            self.results,
            self._file or invocation.track_file,
            invocation.embedded,
            invocation.data_root,
        )

    def _of_work(self, path: Path) -> Run:
        """Return the state of a run without a record; its work folder contains the command that started it."""
        folder = path.with_suffix("")
        name, invocation = label_of(path.parent.parent.name, path.parent.name), read_invocation(folder)
        if is_held(path.with_suffix(".lock")):
            if invocation is None:
                return Run(path, name, MISSING, None, "running", "", "")
            return Run(path, name, invocation.profile, invocation.identity.seed, "running", "", "")
        if invocation is None:  # killed before it was written, or started by an earlier version
            return Run(path, name, MISSING, None, "interrupted", "", "")
        identity, track, profile = invocation.identity, invocation.track, invocation.profile
        if self._current.would_run(identity, track, profile, invocation.folder) is not True:
            clean_up = shlex.join(["rm", "-r", str(folder)])
            return Run(path, name, profile, identity.seed, OUTDATED, f"interrupted; {CHANGED}", clean_up)
        resume = rerun_command(identity, track, profile, self._paths(invocation))
        return Run(path, name, profile, identity.seed, "interrupted", "", resume)


def status_text(runs: Sequence[Run]) -> str:
    """Return the number of runs per state, and the reason and command of every run that needs attention."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.name, run.profile), []).append(run)
    rows = []
    for (name, profile), members in groups.items():
        states = [run.state for run in members]
        counts = {state: states.count(state) for state in states if state not in ("ok", "running")}
        other = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        rows.append(
            (
                beginning(name, LONGEST_NAME),
                profile,
                str(states.count("ok")),
                str(states.count("running")),
                other or MISSING,
            )
        )
    headers = ["submission", "profile", "ok", "running", "other"]
    lines = [grid(headers, rows, "simple")]
    for run in runs:
        if run.state in ("ok", "running"):
            continue
        title = f"{run.name} {run.profile}" + ("" if run.seed is None else f" seed {run.seed}")
        sign, action = ("·", "clean up") if run.state == OUTDATED else ("✗", "continue")
        lines.append(
            f"\n{sign} {title}: {run.state}{': ' if run.reason else ''}{beginning(run.reason, LONGEST_REASON)}"
        )
        lines.append(
            f"  {action}: {run.repair or f'repeat the command that started it; the folder is {run.path.parent}'}"
        )
    return "\n".join(lines)


def status_command(options: StatusOptions) -> ExitCode:
    """Print the status; exit code 3 if a run of the current code failed or was interrupted.

    Raises:
        NothingToDo: If there is no run.
        UsageError: If there is no such track.
    """
    runs = list(ResultsFolder(options).runs())
    if not runs:
        suffix = "" if options.track is None else f" of {options.track}"
        raise NothingToDo(f"{options.results}: no runs{suffix}; start them with `bench run`")
    print(status_text(runs))
    unfinished = [run for run in runs if run.state not in ("ok", "running", "not measured", OUTDATED)]
    return ExitCode.RUN_FAILED if unfinished else ExitCode.OK
