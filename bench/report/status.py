"""``bench status`` and ``bench show``: what is done, running or failed, why, and the command that goes on."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.contract.asked import Asked, Place, command_of, read_asked
from bench.contract.jobs import WORK
from bench.contract.manifest import label_of
from bench.contract.origins import unpacked, with_origin
from bench.contract.records import REAL_IMAGES, NewerRecord, Rate, Record, Timing, read_record, record_paths
from bench.contract.tracks import choose_tracks, track_name
from bench.errors import ExitCode, NothingToDo, ResultsError, UsageError
from bench.locks import is_held
from bench.report.present import PresentCode
from bench.report.tables import NOTHING, grid

OUTDATED = "outdated"  # did not finish, and would not be run again: the code or the settings have changed


@dataclass(frozen=True)
class Run:
    """One run as the results folder shows it."""

    path: Path  # of its record, there or not
    name: str  # submission, with the variant's name if it is not the base
    profile: str
    seed: int | None  # None where it cannot be told
    state: str  # "ok", "running", "interrupted", "outdated", "not measured", "unreadable", or why it failed
    reason: str
    repair: str  # the command that would go on; empty where nothing is to be done


@dataclass(frozen=True)
class Looking:
    """Where the commands of `bench status` and `bench show` look, as their options say."""

    results: Path = Path("results")
    submissions: Path = Path("submissions")
    track: Path | None = None  # a track's name, or the file of one's own


class Folder:
    """A results folder, looked at without changing anything in it."""

    def __init__(self, looking: Looking) -> None:
        only = track_name(looking.track)  # which may be one that only records know
        chosen = choose_tracks(looking.track if only != str(looking.track) else None)
        self.results, self._file, self._only = looking.results, chosen.file, only
        names = {path.name for path in (looking.results / "runs").glob("*/*")}
        folders = {name: looking.submissions / name for name in names}
        self._folders = {name: folder for name, folder in folders.items() if folder.is_dir()}
        self._present = PresentCode(self._folders, chosen.tracks)

    def runs(self) -> Iterator[Run]:
        """Every run that has a record or a work folder, by name and seed."""
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
            return Run(path, name, NOTHING, None, "unreadable", str(error), repair)
        return self.of_record(path, record) if record is not None else self._of_work(path)

    def of_record(self, path: Path, record: Record) -> Run:
        """One that has a record."""
        identity = record.identity
        name, profile = label_of(identity.submission, identity.variant), record.protocol.profile
        seed = identity.seed
        if is_held(path.with_suffix(".lock")):
            return Run(path, name, profile, seed, "running", "", "")
        if record.status == "ok" and not record.not_measured:
            return Run(path, name, profile, seed, "ok", "", "")
        asked = read_asked(path.with_suffix(""))
        place = Place.of(record, self.results) if asked is None else self._place(asked)
        place = replace(place, submission=place.submission or self._folders.get(identity.submission))
        place = replace(place, track_file=self._file or place.track_file)
        folder = None if asked is None else asked.folder
        changed = self._present.would_run(identity, record.protocol.track, profile, folder) is False
        if changed and record.status == "ok":  # what it has stays as good as it was, and cannot be added to
            return Run(path, name, profile, seed, "ok", "", "")
        if changed:
            reason = f"{record.reason or record.status}; of other code or settings than there are now"
            return Run(path, name, profile, seed, OUTDATED, reason, shlex.join(["rm", str(path)]))

        def command(more: str = "") -> str:
            return command_of(identity, record.protocol.track, profile, place, more)

        if record.status != "ok":
            again = "" if identity.submission == REAL_IMAGES else "--retry failed"
            return Run(path, name, profile, seed, record.status, record.reason or "", command(again))
        reason = next(iter(record.not_measured.values()))
        return Run(path, name, profile, seed, "not measured", reason, f"bench fetch all; {command()}")

    def _place(self, asked: Asked) -> Place:
        return Place(asked.folder, self.results, self._file or asked.track_file, asked.embedded, asked.data_root)

    def _of_work(self, path: Path) -> Run:
        """A run without a record: what its command left beside it says which."""
        folder = path.with_suffix("")
        name, asked = label_of(path.parent.parent.name, path.parent.name), read_asked(folder)
        if is_held(path.with_suffix(".lock")):
            profile, seed = (NOTHING, None) if asked is None else (asked.profile, asked.identity.seed)
            return Run(path, name, profile, seed, "running", "", "")
        if asked is None:  # killed before it was written, or begun by an earlier version
            return Run(path, name, NOTHING, None, "interrupted", "", "")
        identity = asked.identity
        if self._present.would_run(identity, asked.track, asked.profile, asked.folder) is not True:
            reason = "interrupted; of other code or settings than there are now"
            clear = shlex.join(["rm", "-r", str(folder)])
            return Run(path, name, asked.profile, identity.seed, OUTDATED, reason, clear)
        repair = command_of(identity, asked.track, asked.profile, self._place(asked))
        return Run(path, name, asked.profile, identity.seed, "interrupted", "", repair)


def status_text(found: Sequence[Run]) -> str:
    """What needs attention, in full; what is done, counted."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in found:
        groups.setdefault((run.name, run.profile), []).append(run)
    rows = []
    for (name, profile), own in groups.items():
        states = [run.state for run in own]
        rest = {state: states.count(state) for state in states if state not in ("ok", "running")}
        others = ", ".join(f"{count} {state}" for state, count in sorted(rest.items()))
        rows.append((name, profile, str(states.count("ok")), str(states.count("running")), others or NOTHING))
    headers = ["submission", "profile", "ok", "running", "other"]
    lines = [grid(headers, rows, "simple")]
    for run in found:
        if run.state in ("ok", "running"):
            continue
        which = f"{run.name} {run.profile}" + ("" if run.seed is None else f" seed {run.seed}")
        sign, so = ("·", "to clear up") if run.state == OUTDATED else ("✗", "to go on")
        lines.append(f"\n{sign} {which}: {run.state}{': ' if run.reason else ''}{run.reason}")
        lines.append(f"  {so}: {run.repair or f'repeat the command; its folder is {run.path.parent}'}")
    return "\n".join(lines)


def show_text(looking: Looking, wanted: str) -> str:
    """All of one run's record, for a person.

    Args:
        looking: Where to look.
        wanted: The record's path, or a part of it that no other record has (a name, a hash).

    Raises:
        UsageError: If no record, or more than one, is meant.
    """
    path = find_record(looking.results, wanted)
    record = read_record(path)
    # Of the folder that the record lies in, which need not be the one that was named.
    marks = {mark.resolve(): checksum for mark, checksum in unpacked(path.resolve().parents[4]).items()}
    run = Folder(looking).of_record(path, record)
    return "\n".join(_sections(run, with_origin(record, path.resolve(), marks)))


def find_record(results: Path, wanted: str) -> Path:
    """The record at a path, or the only one with ``wanted`` in its path.

    Raises:
        UsageError: If no record, or more than one, is meant.
    """
    path = Path(wanted)
    if not path.is_file():
        matching = [path for path in record_paths(results) if wanted in str(path.relative_to(results))]
        if len(matching) != 1:
            some = ", ".join(str(path.relative_to(results / "runs")) for path in matching[:5])
            found = f"{len(matching)} records: {some}" if matching else "no record"
            raise UsageError(
                f"{wanted!r}: is in the path of {found}; give a path, or a part of one that no other has"
            )
        path = matching[0]
    return path


def _sections(run: Run, record: Record) -> Iterator[str]:
    identity, protocol, path = record.identity, record.protocol, run.path
    yield f"{run.name}, {protocol.track}, {protocol.profile}, seed {run.seed}: {run.state}"
    if run.reason:
        yield f"  {run.reason}"
    if run.repair:
        yield f"  to go on: {run.repair}"
    if not record.made_here:
        yield "  not made here: it came by `bench unpack`"
    yield f"  unranked: {', '.join(record.unranked_because)}" if record.unranked_because else "  ranked"
    yield f"  {path}"
    yield from _table("config", record.config)
    if record.evaluation is not None:
        metrics = record.evaluation.metrics
        intervals = {
            name: f" [{low:.4g}, {high:.4g}]" for name, (low, high) in record.evaluation.intervals.items()
        }
        yield from _table("metrics", {name: f"{metrics[name]:.5g}{intervals.get(name, '')}" for name in metrics})
        yield from _table("as published", {k: f"{v:.5g}" for k, v in record.evaluation.as_published.items()})
    yield from _table("not measured", record.not_measured)
    if record.cost is not None:
        cost = record.cost
        yield from _table(
            "cost",
            {
                "params": f"{cost.params:,}",
                "stored scalars": f"{cost.stored_scalars:,}",
                "MACs per image": f"{cost.bound}{cost.macs_per_image:,}",
                "training FLOPs per step": f"{cost.training_flops_per_step:,}",
                "counted by neither": ", ".join(cost.uncounted_operators) or "nothing",
                "counters": "not recorded" if cost.warnings is None else "; ".join(cost.warnings) or "agree",
            },
        )
    yield from _table("timing", _timing(record.timing))
    environment = record.environment
    shown = {name: environment.get(name) for name in ("device", "threads", "python", "packages", "repository")}
    earlier = dict(map(_part, environment.get("earlier_parts", [])))
    yield from _table("environment", shown | earlier)
    yield from _table(
        "hashes", {"identity": identity.hash, "protocol": protocol.hash, "source": identity.source_hash}
    )
    beside = sorted(path.with_suffix("").rglob("*")) if path.with_suffix("").is_dir() else []
    yield from _table("beside it", {str(item.relative_to(path.parent)): "" for item in beside if item.is_file()})
    if record.log_tail:
        yield "\nlast lines that it printed"
        yield from (f"  {line}" for line in record.log_tail)


def _part(part: dict[str, Any]) -> tuple[str, str]:
    """Which steps of a training ran under other conditions than the last, and what was otherwise."""
    otherwise = [f"{name} {value}" for name, value in part.items() if name not in ("from_step", "to_step")]
    return f"steps {part['from_step']:,} to {part['to_step']:,}", ", ".join(otherwise)


def _timing(timing: Timing) -> dict[str, object]:
    """All that was taken; of rates also how far blocks scatter, and what other programs had of the machine."""
    shown: dict[str, object] = {}
    for name in Timing.model_fields:
        value = getattr(timing, name)
        if isinstance(value, Rate):
            others = ""
            if value.neighbours is not None:
                others = f"; other programs had {value.neighbours:.0%} of the processors"
            if value.beside:
                others += f"; beside {value.beside} other runs"
            shown[name] = f"{value.median_per_s:,.5g} (interquartile range {value.iqr_per_s:.3g}{others})"
        elif value is not None:
            shown[name] = f"{value:.5g}" if isinstance(value, float) else value
    return shown


def _table(title: str, values: dict[str, object] | dict[str, str]) -> Iterator[str]:
    if values:
        yield f"\n{title}"
        yield from (f"  {name:28} {value}".rstrip() for name, value in values.items())


def status_command(looking: Looking) -> ExitCode:
    """Print the status; the exit code is 3 if a run of the present code failed or was interrupted.

    Raises:
        NothingToDo: If there is no run.
        UsageError: If there is no such track.
    """
    found = list(Folder(looking).runs())
    if not found:
        of = "" if looking.track is None else f" of {looking.track}"
        raise NothingToDo(f"{looking.results}: no runs{of}; `bench run` makes them")
    print(status_text(found))
    bad = [run for run in found if run.state not in ("ok", "running", "not measured", OUTDATED)]
    return ExitCode.RUN_FAILED if bad else ExitCode.OK
