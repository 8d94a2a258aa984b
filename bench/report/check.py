"""``bench check``: is anything worse than it was? Counts exactly, quality by seeds, speed beyond its noise.

Nothing passes that is not shown to stay within its limit, and nothing fails that is not shown to go beyond: a run
that is missing or failed, and a change that its spread does not let one judge, are outcomes of their own (exit
code 5).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.records import REAL_IMAGES, Rate
from bench.contract.speeds import SpeedRatio
from bench.errors import ExitCode, UsageError
from bench.report.baseline import reference_records
from bench.report.benchmarks import benchmark_findings
from bench.report.claims import with_current_claims
from bench.report.findings import (
    FAIL,
    OPEN,
    OUTCOMES,
    PASS,
    SKIPPED,
    Finding,
    Limit,
    parse_limits,
    report_findings,
    slower_within,
)
from bench.report.reading import read_all
from bench.report.summary import Row, summarize
from bench.report.tables import NOTHING
from bench.stats.changes import change_within, worsening_within
from bench.stats.pairs import paired_by_seed
from bench.stats.spreads import LEVEL

DISTURBED = "other programs kept the machine busy"


def findings(before: list[Row], now: list[Row], limits: dict[str, Limit]) -> Iterator[Finding]:
    """Each figure of each row of ``before``, beside the row of the same submission, variant and protocol."""
    current = {row.key: row for row in now}
    whatever_data = {row.key._replace(data=()): row for row in now}
    for old in before:
        if old.first.identity.submission == REAL_IMAGES or not old.finished:
            continue
        name = f"{old.label} ({old.first.protocol.profile})"
        new = current.get(old.key)
        if new is None or not new.finished:
            elsewhere = old.key._replace(data=()) in whatever_data
            missing = "was run on other data now" if elsewhere else "has no record now"
            why = missing if new is None else f"every run failed: {new.status}"
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
    """Seed by seed: shown to be worse by no more than allowed, shown to be worse by more, or left open."""
    before, now = (row.by_seed(row.score_name) for row in (old, new))
    seeds = sorted(before.keys() & now.keys())
    failed, missing = len(new.records) - len(new.finished), sorted(before.keys() - now.keys())
    if not seeds or failed:
        why = f"{failed} of {len(new.records)} runs failed" if failed else "no seed that both have"
        return Finding(name, figure, NOTHING, NOTHING, NOTHING, OPEN, why)
    scale = 100 if figure == "accuracy" else 1
    difference = paired_by_seed(now, before, level=1 - 2 * LEVEL)
    assert difference is not None
    interval = ""
    if difference.low is not None and difference.high is not None:
        interval = f" [{scale * difference.low:+z.2f}, {scale * difference.high:+z.2f}]"
    outcome, why = _quality_outcome(old, new, seeds, limit)
    if missing and outcome == PASS:
        outcome, why = OPEN, f"no run now of seed {', '.join(map(str, missing))}"
    means = [sum(values[seed] for seed in seeds) / len(seeds) for values in (before, now)]
    return Finding(
        name,
        figure,
        f"{scale * means[0]:.2f}",
        f"{scale * means[1]:.2f} (n={len(seeds)})",
        f"{scale * difference.mean:+z.2f}{interval}",
        outcome,
        why,
    )


def _quality_outcome(old: Row, new: Row, seeds: Sequence[int], limit: Limit) -> tuple[str, str]:
    before, now = (row.by_seed(row.score_name) for row in (old, new))
    if _weights(old, seeds) == _weights(new, seeds) and all(before[seed] == now[seed] for seed in seeds):
        return PASS, "the same weights"
    if len(seeds) < 2:
        return OPEN, "one seed: its spread is not known"
    sign = 1 if old.first.task == "classification" else -1
    worse = {seed: sign * (before[seed] - now[seed]) for seed in seeds}
    outcome = OUTCOMES[worsening_within(worse, {seed: limit.allowed(before[seed]) for seed in seeds})]
    return outcome, f"{len(seeds)} seeds do not show that it is within the limit" if outcome == OPEN else ""


def _weights(row: Row, seeds: Sequence[int]) -> list[str | None]:
    """Hashes of the trained weights, by seed."""
    trained = {record.identity.seed: record.training for record in row.finished}
    return [None if (training := trained[seed]) is None else training.weights_sha256 for seed in seeds]


def _speed(name: str, old: Row, new: Row, limit: Limit) -> Finding:
    """On one device only, and beyond what the measurements scatter by."""
    devices = [(row.first.environment.get("device"), row.first.environment.get("threads")) for row in (old, new)]
    if devices[0] != devices[1]:
        return Finding(
            name, "throughput", NOTHING, NOTHING, NOTHING, SKIPPED, f"{devices[0]} then, {devices[1]} now"
        )
    before, now = old.images_per_s, new.images_per_s
    if before is None or now is None:
        return Finding(name, "throughput", NOTHING, NOTHING, NOTHING, OPEN, "not measured")
    scatters = _scatter(old.speeds), _scatter(new.speeds)
    outcome, why = slower_within(before - now, limit.allowed(before), scatters), ""
    if outcome == OPEN:
        why = f"it scatters by {scatters[0]:,.0f} and {scatters[1]:,.0f}; compare with --measure"
    elif outcome == FAIL and new.disturbed:
        outcome, why = OPEN, f"{DISTURBED} now; compare with --measure"
    elif outcome == PASS and old.disturbed and not new.disturbed:
        outcome, why = OPEN, f"{DISTURBED} then, so it may have been faster; compare with --measure"
    return Finding(
        name,
        "throughput",
        f"{before:,.0f}/s",
        f"{now:,.0f}/s",
        f"{100 * (now / before - 1):+z.1f} %" if before else NOTHING,
        outcome,
        why,
    )


def _scatter(rates: list[Rate]) -> float:
    """The larger of the spread among measurements' medians and of that within one."""
    medians = [rate.median_per_s for rate in rates]
    return max(max(medians) - min(medians), *(rate.iqr_per_s for rate in rates))


def measured_findings(measured: Sequence[SpeedRatio], limit: Limit) -> Iterator[Finding]:
    """Of speeds measured by turns, by the 95 % interval of their ratio."""
    for item in measured:
        name, figure = item.name, item.what
        if item.ratio is None or item.low is None or item.high is None:
            yield Finding(name, figure, NOTHING, NOTHING, NOTHING, OPEN, item.why)
            continue
        outcome = OUTCOMES[change_within(1 - item.high, 1 - item.low, limit.amount)]
        yield Finding(
            name,
            figure,
            f"{item.before_per_s:,.4g}/s",
            f"{item.now_per_s:,.4g}/s",
            f"{100 * (item.ratio - 1):+z.1f} % [{100 * (item.low - 1):+z.1f}, {100 * (item.high - 1):+z.1f}]",
            outcome,
            "its interval reaches beyond the limit: measure again" if outcome == OPEN else "",
        )


@dataclass(frozen=True)
class Judged:
    """Which records are judged: of one track, or of all; and of a changed submission those of its code now."""

    submissions: Path = Path("submissions")  # may be absent
    track: str | None = None  # its name


def check_command(
    results: Path,
    baseline: str,
    fail_on: str,
    *,
    benchmarks: Path | None = None,
    measured: Sequence[SpeedRatio] = (),
    judged: Judged = Judged(),
) -> ExitCode:
    """Print the findings; 1 if something is worse, 5 if something could not be judged, 0 otherwise.

    Args:
        results: The results folder to judge.
        baseline: A results folder, a git revision, or a file of pytest-benchmark.
        fail_on: How much worse is too much.
        benchmarks: What pytest-benchmark measured now, where the baseline is such a file.
        measured: Speeds that were measured for this, by turns.
        judged: Which records are judged.

    Raises:
        NothingToDo: If the baseline has no finished run.
        UsageError: If an option is wrong.
    """
    limits = parse_limits(fail_on)
    if baseline.endswith(".json"):
        return report_findings(list(benchmark_findings(Path(baseline), benchmarks, limits)), baseline)
    if benchmarks is not None:
        raise UsageError(f"--benchmarks: --baseline {baseline!r} is no file of pytest-benchmark (*.json)")
    old, problems = reference_records(baseline, results, option="--baseline")
    new, more = read_all(results)
    new, unread = with_current_claims(new, judged.submissions)
    more += unread
    if judged.track is not None:
        old, new = ([r for r in records if r.protocol.track == judged.track] for records in (old, new))
    for problem in (*problems, *more):
        print(f"✗ {problem}")
    found = list(findings(summarize(old), summarize(new), limits))
    if "throughput" in limits:
        found += measured_findings(measured, limits["throughput"])
    code = report_findings(found, baseline)
    return ExitCode.NOTHING if code == ExitCode.OK and (problems or more) else code
