"""``bench check``: the regression gate. Counts are compared exactly, quality over seeds, speed beyond its noise.

A metric passes only if it is shown to be within its limit, and fails only if it is shown to be beyond it. Missing
and failed runs, and changes that cannot be decided because of noise, are ``open`` (exit code 5).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.jobs.timings import SpeedRatio
from bench.contract.manifest import REAL_IMAGES
from bench.contract.metrics import TOP1
from bench.contract.records.record import Throughput
from bench.errors import ExitCode, UsageError
from bench.report.records.aggregate import Row, summarize
from bench.report.records.current_claims import with_current_claims
from bench.report.records.load import read_all
from bench.report.records.reference import reference_records
from bench.report.regression.benchmarks import benchmark_findings
from bench.report.regression.findings import (
    FAIL,
    OPEN,
    OUTCOMES,
    PASS,
    SKIPPED,
    Finding,
    RegressionCheck,
    parse_limits,
    report_findings,
    slower_within,
)
from bench.report.tables.text import MISSING, difference_text, value_text
from bench.stats.changes import change_within, worsening_within
from bench.stats.pairs import paired_by_seed
from bench.stats.spreads import LEVEL

NOISY = "measured under background load"


def findings(before: list[Row], now: list[Row], limits: dict[str, RegressionCheck]) -> Iterator[Finding]:
    """Yield the comparison of each row of ``before`` with the row of the same submission, variant and protocol."""
    current = {row.key: row for row in now}
    ignoring_data = {row.key._replace(data=()) for row in now}
    for old in before:
        if old.representative.identity.submission == REAL_IMAGES or not old.finished:
            continue
        name = f"{old.label} ({old.representative.protocol.profile})"
        new = current.get(old.key)
        if new is None or not new.finished:
            on_other_data = old.key._replace(data=()) in ignoring_data
            missing = "run on other data now" if on_other_data else "no record now"
            reason = missing if new is None else f"every run failed: {new.status}"
            yield Finding(name, "all", f"{len(old.finished)} runs", MISSING, MISSING, OPEN, reason)
            continue
        if "params" in limits:
            yield from _counts(name, old, new, limits["params"])
        quality = "accuracy" if old.ranking_metric == TOP1 else old.ranking_metric.key
        if quality in limits:
            yield _quality(name, quality, old, new, limits[quality])
        if "throughput" in limits:
            yield _speed(name, old, new, limits["throughput"])


def _counts(name: str, old: Row, new: Row, limit: RegressionCheck) -> Iterator[Finding]:
    """Compare the counts of parameters and multiply-accumulates exactly."""
    for metric in ("params", "macs_per_image"):
        before, now = (getattr(row.representative.cost, metric, None) for row in (old, new))
        if before is None or now is None:
            yield Finding(name, metric, MISSING, MISSING, MISSING, OPEN, "not counted")
            continue
        worse = now - before > limit.allowed(before)
        yield Finding(name, metric, f"{before:,}", f"{now:,}", f"{now - before:+,}", FAIL if worse else PASS)


def _quality(name: str, metric: str, old: Row, new: Row, limit: RegressionCheck) -> Finding:
    """Compare the score, paired by seed: shown to be within the limit, shown to be beyond it, or open."""
    before, now = (row.by_seed(row.ranking_metric.name) for row in (old, new))
    seeds = sorted(before.keys() & now.keys())
    failed, missing = len(new.records) - len(new.finished), sorted(before.keys() - now.keys())
    if not seeds or failed:
        reason = f"{failed} of {len(new.records)} runs failed" if failed else "no common seed"
        return Finding(name, metric, MISSING, MISSING, MISSING, OPEN, reason)
    difference = paired_by_seed(now, before, level=1 - 2 * LEVEL)
    assert difference is not None
    outcome, reason = _quality_outcome(old, new, seeds, limit)
    if missing and outcome == PASS:
        outcome, reason = OPEN, f"no run of seed {', '.join(map(str, missing))} now"
    means = [sum(values[seed] for seed in seeds) / len(seeds) for values in (before, now)]
    return Finding(
        name,
        metric,
        value_text(means[0], old.ranking_metric),
        f"{value_text(means[1], old.ranking_metric)} (n={len(seeds)})",
        difference_text(difference, old.ranking_metric, with_n=False),
        outcome,
        reason,
    )


def _quality_outcome(old: Row, new: Row, seeds: Sequence[int], limit: RegressionCheck) -> tuple[str, str]:
    before, now = (row.by_seed(row.ranking_metric.name) for row in (old, new))
    if _weights(old, seeds) == _weights(new, seeds) and all(before[seed] == now[seed] for seed in seeds):
        return PASS, "identical weights"
    if len(seeds) < 2:
        return OPEN, "one seed has no standard deviation"
    worse = {seed: old.ranking_metric.sign * (before[seed] - now[seed]) for seed in seeds}
    outcome = OUTCOMES[worsening_within(worse, {seed: limit.allowed(before[seed]) for seed in seeds})]
    return outcome, f"{len(seeds)} seeds are too few to decide" if outcome == OPEN else ""


def _weights(row: Row, seeds: Sequence[int]) -> list[str | None]:
    """Return the hash of the trained weights of each seed."""
    trained = {record.identity.seed: record.training for record in row.finished}
    return [None if (training := trained[seed]) is None else training.weights_sha256 for seed in seeds]


def _speed(name: str, old: Row, new: Row, limit: RegressionCheck) -> Finding:
    """Compare inference throughputs, on the same device only; within their noise the outcome is open."""
    devices = [
        (row.representative.environment.get("device"), row.representative.environment.get("threads"))
        for row in (old, new)
    ]
    if devices[0] != devices[1]:
        reason = f"measured on {devices[0]} before, on {devices[1]} now"
        return Finding(name, "throughput", MISSING, MISSING, MISSING, SKIPPED, reason)
    before, now = old.images_per_s, new.images_per_s
    if before is None or now is None:
        return Finding(name, "throughput", MISSING, MISSING, MISSING, OPEN, "not measured")
    noise = _noise(old.speeds), _noise(new.speeds)
    outcome, reason = slower_within(before - now, limit.allowed(before), noise), ""
    if outcome == OPEN:
        reason = f"too noisy: ±{noise[0]:,.0f}/s and ±{noise[1]:,.0f}/s; compare with --measure"
    elif outcome == FAIL and new.noisy:
        outcome, reason = OPEN, f"{NOISY} now; compare with --measure"
    elif outcome == PASS and old.noisy and not new.noisy:
        outcome, reason = OPEN, f"{NOISY} before, so the old speed may be too low; compare with --measure"
    return Finding(
        name,
        "throughput",
        f"{before:,.0f}/s",
        f"{now:,.0f}/s",
        f"{100 * (now / before - 1):+z.1f} %" if before else MISSING,
        outcome,
        reason,
    )


def _noise(rates: list[Throughput]) -> float:
    """Return the larger of the range of the medians and the largest interquartile range, in images per second."""
    medians = [rate.median_per_s for rate in rates]
    return max(max(medians) - min(medians), *(rate.iqr_per_s for rate in rates))


def measured_findings(measured: Sequence[SpeedRatio], limit: RegressionCheck) -> Iterator[Finding]:
    """Yield the outcome of speeds measured in alternation, by the 95 % interval of their ratio."""
    for item in measured:
        name, metric = item.name, item.what
        if item.ratio is None or item.low is None or item.high is None:
            yield Finding(name, metric, MISSING, MISSING, MISSING, OPEN, item.why)
            continue
        outcome = OUTCOMES[change_within(1 - item.high, 1 - item.low, limit.amount)]
        yield Finding(
            name,
            metric,
            f"{item.before_per_s:,.4g}/s",
            f"{item.now_per_s:,.4g}/s",
            f"{100 * (item.ratio - 1):+z.1f} % [{100 * (item.low - 1):+z.1f}, {100 * (item.high - 1):+z.1f}]",
            outcome,
            "the interval contains the limit; measure again" if outcome == OPEN else "",
        )


@dataclass(frozen=True)
class GateScope:
    """The records to compare: of one track or all; of a changed submission those of its current code."""

    submissions: Path = Path("submissions")  # may be missing
    track: str | None = None  # name; None for all


def check_command(
    results: Path,
    baseline: str,
    fail_on: str,
    *,
    benchmarks: Path | None = None,
    measured: Sequence[SpeedRatio] = (),
    scope: GateScope = GateScope(),
) -> ExitCode:
    """Print the findings. Exit code 1 if anything is worse, 5 if anything is open, 0 otherwise.

    Args:
        results: The results folder to check.
        baseline: A results folder, a git revision, or a pytest-benchmark file.
        fail_on: The limits, see ``parse_limits``.
        benchmarks: The pytest-benchmark file to check if the baseline is one; None for the latest.
        measured: Speeds of both revisions, measured in alternation for this check.
        scope: The records to compare.

    Raises:
        NothingToDo: If the baseline has no finished run.
        UsageError: If an option is wrong.
    """
    limits = parse_limits(fail_on)
    if baseline.endswith(".json"):
        return report_findings(list(benchmark_findings(Path(baseline), benchmarks, limits)), baseline)
    if benchmarks is not None:
        raise UsageError(f"--benchmarks: --baseline {baseline!r} is not a pytest-benchmark file (*.json)")
    old, problems = reference_records(baseline, results, option="--baseline")
    new, more = read_all(results)
    new, unread = with_current_claims(new, scope.submissions)
    more += unread
    if scope.track is not None:
        old, new = ([r for r in records if r.protocol.track == scope.track] for records in (old, new))
    for problem in (*problems, *more):
        print(f"✗ {problem}")
    all_findings = list(findings(summarize(old), summarize(new), limits))
    if "throughput" in limits:
        all_findings += measured_findings(measured, limits["throughput"])
    code = report_findings(all_findings, baseline)
    return ExitCode.NOTHING if code == ExitCode.OK and (problems or more) else code
