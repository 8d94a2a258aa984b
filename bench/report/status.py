"""``bench status`` and ``bench show``: what is done, running or failed, why, and the command that goes on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.contract.jobs import SPEC, WORK
from bench.contract.manifest import BASE_VARIANT, label_of
from bench.contract.origins import unpacked, with_origin
from bench.contract.records import REAL_IMAGES, Rate, Record, Timing, read_record, record_paths
from bench.errors import ExitCode, NothingToDo, ResultsError, UsageError
from bench.report.tables import NOTHING, grid


@dataclass(frozen=True)
class Run:
    """One run as the results folder shows it."""

    path: Path  # of its record, there or not
    name: str  # submission, with the variant's name if it is not the base
    profile: str
    seed: int | None  # None where it cannot be told
    state: str  # "ok", "running", "interrupted", "not measured", or why it failed
    reason: str
    repair: str  # the command that would go on; empty where nothing is to be done


def runs(results: Path) -> Iterator[Run]:
    """Every run that has a record or a work folder, by name and seed."""
    paths = set(record_paths(results))
    paths |= {work.parent.with_suffix(".json") for work in (results / "runs").glob(f"*/*/*/seed*/{WORK}")}
    for path in sorted(paths):
        try:
            record = read_record(path) if path.exists() else None
        except ResultsError as error:
            name = label_of(path.parent.parent.name, path.parent.name)
            yield Run(path, name, NOTHING, None, "unreadable", str(error), f"mv {path} {path}.away")
            continue
        yield _of_record(path, record) if record is not None else _of_work(path)


def _of_record(path: Path, record: Record) -> Run:
    identity = record.identity
    name, profile, seed = label_of(identity.submission, identity.variant), record.protocol.profile, identity.seed
    command = command_of(identity.submission, identity.variant, profile, seed)
    if _is_held(path):
        return Run(path, name, profile, seed, "running", "", "")
    if record.status != "ok":
        return Run(path, name, profile, seed, record.status, record.reason or "", f"{command} --retry failed")
    if record.not_measured:
        reason = next(iter(record.not_measured.values()))
        return Run(path, name, profile, seed, "not measured", reason, f"bench fetch all; {command}")
    return Run(path, name, profile, seed, "ok", "", "")


def _of_work(path: Path) -> Run:
    """A run without a record: its work folder's specification says which."""
    submission, variant = path.parent.parent.name, path.parent.name
    profile: str = NOTHING
    seed: int | None = None
    try:
        work = path.with_suffix("") / WORK
        spec = json.loads(next(iter(sorted(work.glob(f"*/{SPEC}"))), work / SPEC).read_text())
        profile, seed = str(spec["protocol"]["profile"]), int(spec["seed"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # killed before it was written
    state = "running" if _is_held(path) else "interrupted"
    repair = "" if state == "running" or seed is None else command_of(submission, variant, profile, seed)
    return Run(path, label_of(submission, variant), profile, seed, state, "", repair)


def _is_held(path: Path) -> bool:
    """Whether a command is at this run: it holds the lock beside the record."""
    lock = path.with_suffix(".lock")
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except (Timeout, OSError):
        return True


def command_of(submission: str, variant: str, profile: str, seed: int) -> str:
    """What makes just this run, where it is not made yet."""
    if submission == REAL_IMAGES:
        return f"bench floor --profile {profile}"
    variants = "" if variant == BASE_VARIANT else f" --variants {variant}"
    return f"bench run submissions/{submission}{variants} --profile {profile} --seeds {seed},"


def status_text(results: Path) -> str:
    """What needs attention, in full; what is done, counted.

    Raises:
        NothingToDo: If there is no run.
    """
    found = list(runs(results))
    if not found:
        raise NothingToDo(f"{results}: no runs; `bench run` makes them")
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
        lines.append(f"\n✗ {which}: {run.state}{': ' if run.reason else ''}{run.reason}")
        lines.append(f"  to go on: {run.repair or f'repeat the command; its folder is {run.path.parent}'}")
    return "\n".join(lines)


def show_text(results: Path, wanted: str) -> str:
    """All of one run's record, for a person.

    Args:
        results: The results folder.
        wanted: The record's path, or a part of it that no other record has (a name, a hash).

    Raises:
        UsageError: If no record, or more than one, is meant.
    """
    path = find_record(results, wanted)
    record = read_record(path)
    # Of the folder that the record lies in, which need not be the one that was named.
    marks = {mark.resolve(): checksum for mark, checksum in unpacked(path.resolve().parents[4]).items()}
    return "\n".join(_sections(path, with_origin(record, path.resolve(), marks)))


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


def _sections(path: Path, record: Record) -> Iterator[str]:
    identity, protocol = record.identity, record.protocol
    run = _of_record(path, record)
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


def status_command(results: Path) -> ExitCode:
    """Print the status; the exit code is 3 if a run failed or was interrupted."""
    print(status_text(results))
    bad = [run for run in runs(results) if run.state not in ("ok", "running", "not measured")]
    return ExitCode.RUN_FAILED if bad else ExitCode.OK
