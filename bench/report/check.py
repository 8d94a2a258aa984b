"""``bench check``: is anything worse than it was? Counts exactly, quality by seeds, speed beyond its noise.

Nothing passes for want of a measurement: a run that is missing or failed, and a drop that its spread does not let
one judge, are outcomes of their own (exit code 5).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.contract.records import REAL_IMAGES, Record
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.baseline import reference_records
from bench.report.summary import Row, read_all, summarize
from bench.report.tables import NOTHING, grid
from bench.stats import paired_difference

DEFAULT_LIMITS = "accuracy:-1pp,fid:+5%,throughput:-10%,params:0"
PASS, FAIL, OPEN, SKIPPED = "pass", "FAIL", "open", "not compared"


@dataclass(frozen=True)
class Limit:
    """How much worse a figure may be: in its own unit, or as a share of what it was."""

    amount: float  # at least 0
    relative: bool

    def allowed(self, before: float) -> float:
        """In the figure's unit."""
        return abs(before) * self.amount if self.relative else self.amount


@dataclass(frozen=True)
class Finding:
    """One figure of one submission, before and now."""

    name: str
    figure: str
    before: str
    now: str
    change: str
    outcome: str
    why: str = ""


def parse_limits(text: str) -> dict[str, Limit]:
    """``accuracy:-1pp,fid:+5%,throughput:-10%,params:0`` as limits; a figure that is not named is not checked.

    Raises:
        UsageError: If it is none of that.
    """
    limits = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(accuracy|fid|throughput|params)\s*:\s*[+-]?([0-9.]+)(pp|%)?", part)
        try:
            if match is None:
                raise ValueError
            name, number, unit = match[1], float(match[2]), match[3]
        except ValueError:
            raise UsageError(
                f"--fail-on {part!r}: give parts such as accuracy:-1pp, fid:+5%, throughput:-10% or params:0"
            ) from None
        limits[name] = Limit(number / 100 if unit else number, relative=unit == "%")
    if not limits:
        raise UsageError("--fail-on: names no figure")
    return limits


def findings(before: list[Row], now: list[Row], limits: dict[str, Limit]) -> Iterator[Finding]:
    """Each figure of each row of ``before``, beside the row of the same submission, variant and protocol."""
    current = {row.key: row for row in now}
    for old in before:
        if old.first.identity.submission == REAL_IMAGES or not old.finished:
            continue
        name = f"{old.label} ({old.first.protocol.profile})"
        new = current.get(old.key)
        if new is None or not new.finished:
            why = "has no record now" if new is None else f"every run failed: {new.status}"
            yield Finding(name, "all", f"{len(old.finished)} runs", NOTHING, NOTHING, OPEN, why)
            continue
        if "params" in limits:
            yield from _counts(name, old, new, limits["params"])
        quality = "accuracy" if old.first.task == "classification" else "fid"
        if quality in limits:
            yield _quality(name, quality, old, new, limits[quality])
        if "throughput" in limits:
            yield _speed(name, old, new, limits["throughput"])


def _counts(name: str, old: Row, new: Row, limit: Limit) -> Iterator[Finding]:
    """Parameters and multiply-accumulates, exactly."""
    for figure in ("params", "macs_per_image"):
        before, now = (getattr(row.first.cost, figure, None) for row in (old, new))
        if before is None or now is None:
            yield Finding(name, figure, NOTHING, NOTHING, NOTHING, OPEN, "not counted")
            continue
        worse = now - before > limit.allowed(before)
        yield Finding(name, figure, f"{before:,}", f"{now:,}", f"{now - before:+,}", FAIL if worse else PASS)


def _quality(name: str, figure: str, old: Row, new: Row, limit: Limit) -> Finding:
    """Seed by seed: worse by more than allowed, and not by chance, fails; by chance perhaps, stays open."""
    before, now = (row.by_seed(row.score_name) for row in (old, new))
    seeds = sorted(before.keys() & now.keys())
    failed = len(new.records) - len(new.finished)
    if not seeds or failed:
        why = f"{failed} of {len(new.records)} runs failed" if failed else "no seed that both have"
        return Finding(name, figure, NOTHING, NOTHING, NOTHING, OPEN, why)
    scale, digits = (100, 2) if figure == "accuracy" else (1, 2)
    difference = paired_difference([now[seed] for seed in seeds], [before[seed] for seed in seeds])
    assert difference is not None
    means = [sum(values[seed] for seed in seeds) / len(seeds) for values in (before, now)]
    sign = 1 if figure == "accuracy" else -1
    drop = -sign * difference.mean
    interval = "" if difference.low is None else f" [{scale * difference.low:+.{digits}f}, "
    interval += "" if difference.high is None else f"{scale * difference.high:+.{digits}f}]"
    outcome, why = PASS, ""
    if drop > limit.allowed(means[0]):
        by_chance = (
            difference.low is not None and difference.high is not None and difference.low <= 0 <= difference.high
        )
        outcome, why = (OPEN, "worse, but perhaps by chance: more seeds") if by_chance else (FAIL, "")
        if difference.low is None:
            why = "one seed: its spread is not known"
    return Finding(
        name,
        figure,
        f"{scale * means[0]:.{digits}f}",
        f"{scale * means[1]:.{digits}f} (n={len(seeds)})",
        f"{scale * difference.mean:+.{digits}f}{interval}",
        outcome,
        why,
    )


def _speed(name: str, old: Row, new: Row, limit: Limit) -> Finding:
    """On one device only; slower by more than allowed and by more than the measurements scatter."""
    devices = [(row.first.environment.get("device"), row.first.environment.get("threads")) for row in (old, new)]
    if devices[0] != devices[1]:
        return Finding(
            name, "throughput", NOTHING, NOTHING, NOTHING, SKIPPED, f"{devices[0]} then, {devices[1]} now"
        )
    before, now = old.images_per_s, new.images_per_s
    if before is None or now is None:
        return Finding(name, "throughput", NOTHING, NOTHING, NOTHING, OPEN, "not measured")
    noise = max(_scatter(row.finished) for row in (old, new))
    slower = before - now
    worse = slower > limit.allowed(before) and slower > noise
    why = f"within its scatter of {noise:,.0f}" if slower > limit.allowed(before) and not worse else ""
    return Finding(
        name,
        "throughput",
        f"{before:,.0f}/s",
        f"{now:,.0f}/s",
        f"{100 * (now / before - 1):+.1f} %",
        FAIL if worse else OPEN if why else PASS,
        why,
    )


def _scatter(records: list[Record]) -> float:
    """The larger of the spread among runs' medians and of that within one measurement."""
    rates = [r.timing.inference_images_per_s for r in records if r.timing.inference_images_per_s]
    if not rates:
        return 0.0
    medians = [rate.median_per_s for rate in rates]
    return max(max(medians) - min(medians), *(rate.iqr_per_s for rate in rates))


def check_command(results: Path, baseline: str, fail_on: str) -> ExitCode:
    """Print the findings; 1 if something is worse, 5 if something could not be judged, 0 otherwise.

    Raises:
        NothingToDo: If the baseline has no finished run.
        UsageError: If an option is wrong.
    """
    limits = parse_limits(fail_on)
    old, problems = reference_records(baseline, results, option="--baseline")
    new, more = read_all(results)
    for problem in (*problems, *more):
        print(f"✗ {problem}")
    found = list(findings(summarize(old), summarize(new), limits))
    if not found:
        raise NothingToDo(f"--baseline {baseline}: has no finished run to compare with")
    headers = ["submission", "figure", "before", "now", "change", "outcome", "why"]
    cells = [list(vars(item).values()) for item in found]
    print(grid(headers, cells, "simple"))
    outcomes = [item.outcome for item in found]
    print(f"\n{', '.join(f'{outcomes.count(kind)} {kind}' for kind in (PASS, FAIL, OPEN, SKIPPED))}")
    if FAIL in outcomes:
        return ExitCode.REGRESSION
    unjudged = OPEN in outcomes or bool(problems or more) or PASS not in outcomes
    return ExitCode.NOTHING if unjudged else ExitCode.OK
