"""``bench check``: is anything worse than it was? Counts exactly, quality by seeds, speed beyond its noise.

Nothing passes for want of a measurement: a run that is missing or failed, and a drop that its spread does not let
one judge, are outcomes of their own (exit code 5).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.contract.records import REAL_IMAGES, Rate
from bench.contract.speeds import SpeedRatio
from bench.errors import ExitCode, UsageError
from bench.report.baseline import reference_records
from bench.report.benchmarks import benchmark_findings
from bench.report.findings import FAIL, OPEN, PASS, SKIPPED, Finding, Limit, parse_limits, report_findings
from bench.report.summary import Row, read_all, summarize
from bench.report.tables import NOTHING
from bench.stats import paired_by_seed

DISTURBED = "other programs kept the machine busy"


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
    difference = paired_by_seed(now, before)
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
    noise = max(_scatter(row.speeds) for row in (old, new))
    slower = before - now
    too_slow = slower > limit.allowed(before)
    why = ""
    if too_slow and slower <= noise:
        why = f"within its scatter of {noise:,.0f}"
    elif too_slow and new.disturbed:
        why = f"{DISTURBED} now; compare with --measure"
    elif not too_slow and old.disturbed and not new.disturbed:
        why = f"{DISTURBED} then, so it may have been faster; compare with --measure"
    return Finding(
        name,
        "throughput",
        f"{before:,.0f}/s",
        f"{now:,.0f}/s",
        f"{100 * (now / before - 1):+.1f} %",
        OPEN if why else FAIL if too_slow else PASS,
        why,
    )


def _scatter(rates: list[Rate]) -> float:
    """The larger of the spread among runs' medians and of that within one measurement."""
    medians = [rate.median_per_s for rate in rates]
    return max(max(medians) - min(medians), *(rate.iqr_per_s for rate in rates))


def measured_findings(measured: Sequence[SpeedRatio], limit: Limit) -> Iterator[Finding]:
    """Of speeds measured by turns: slower by more than allowed, and not by chance, fails; else it stays open."""
    for item in measured:
        name, figure = item.name, item.what
        if item.ratio is None or item.high is None:
            yield Finding(name, figure, NOTHING, NOTHING, NOTHING, OPEN, item.why)
            continue
        worse = 1 - item.ratio > limit.amount
        outcome = PASS if not worse else FAIL if item.high < 1 else OPEN
        yield Finding(
            name,
            figure,
            f"{item.before_per_s:,.4g}/s",
            f"{item.now_per_s:,.4g}/s",
            f"{100 * (item.ratio - 1):+.1f} % [{100 * ((item.low or 0) - 1):+.1f}, {100 * (item.high - 1):+.1f}]",
            outcome,
            "slower, but perhaps by chance: measure again" if outcome == OPEN else "",
        )


def check_command(
    results: Path,
    baseline: str,
    fail_on: str,
    *,
    benchmarks: Path | None = None,
    measured: Sequence[SpeedRatio] = (),
) -> ExitCode:
    """Print the findings; 1 if something is worse, 5 if something could not be judged, 0 otherwise.

    Args:
        results: The results folder to judge.
        baseline: A results folder, a git revision, or a file of pytest-benchmark.
        fail_on: How much worse is too much.
        benchmarks: What pytest-benchmark measured now, where the baseline is such a file.
        measured: Speeds that were measured for this, by turns.

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
    for problem in (*problems, *more):
        print(f"✗ {problem}")
    found = list(findings(summarize(old), summarize(new), limits))
    if "throughput" in limits:
        found += measured_findings(measured, limits["throughput"])
    code = report_findings(found, baseline)
    return ExitCode.NOTHING if code == ExitCode.OK and (problems or more) else code
