"""``bench check``: the regression gate. Counts are compared exactly, quality over seeds, speed beyond its noise.

A metric passes only if it is shown to be within its limit, and fails only if it is shown to be beyond it. Missing
and failed runs, and changes that cannot be decided because of noise, are ``open`` (exit code 5).
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.jobs.timings import SpeedRatio
from bench.contract.manifest import REAL_IMAGES
from bench.contract.metrics import Metric
from bench.contract.records.record import Throughput
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.records.aggregate import Row, summarize
from bench.report.records.current_claims import with_current_claims
from bench.report.records.load import read_all
from bench.report.records.reference import reference_records
from bench.report.regression.benchmarks import benchmark_findings
from bench.report.regression.figures import FIGURES, applies, by_seed
from bench.report.regression.findings import (
    FAIL,
    OPEN,
    OUTCOMES,
    PASS,
    SKIPPED,
    Finding,
    RegressionCheck,
    count_findings,
    exit_code_of,
    limit_name,
    parse_limits,
    slower_within,
)
from bench.report.regression.formats import check_gate_format, gate_text
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
            yield from count_findings(name, old.representative.cost, new.representative.cost, limits["params"])
        quality = limit_name(old.ranking_metric)
        if quality in limits:
            yield _figure(name, quality, _Values.of_ranking(old, new), limits[quality])
        for metric, limit in limits.items():
            figure = FIGURES.get(metric)
            named = not limit.implied and metric not in (quality, *STAND_INS)
            if figure is not None and named and applies(old, figure):
                values = _Values(old, new, figure, by_seed(old, figure), by_seed(new, figure))
                yield _figure(name, metric, values, limit)
        if "throughput" in limits:
            yield _speed(name, old, new, limits["throughput"])


STAND_INS = ("accuracy", "fid")  # limits of whatever ranks, see ``parse_limits``


@dataclass(frozen=True)
class _Values:
    """A figure of two rows."""

    old: Row
    new: Row
    metric: Metric
    before: dict[int, float]  # seed -> value
    now: dict[int, float]  # likewise

    @classmethod
    def of_ranking(cls, old: Row, new: Row) -> "_Values":
        """Return the metric that ranks."""
        metric = old.ranking_metric
        return cls(old, new, metric, *(row.by_seed(metric.name) for row in (old, new)))


def _figure(name: str, metric: str, values: _Values, limit: RegressionCheck) -> Finding:
    """Compare a figure, paired by seed: shown to be within the limit, shown to be beyond it, or open."""
    before, now, new = values.before, values.now, values.new
    seeds = sorted(before.keys() & now.keys())
    failed, missing = len(new.records) - len(new.finished), sorted(before.keys() - now.keys())
    if not seeds or failed:
        reason = f"{failed} of {len(new.records)} runs failed" if failed else "no common seed"
        return Finding(name, metric, MISSING, MISSING, MISSING, OPEN, reason)
    difference = paired_by_seed(now, before, level=1 - 2 * LEVEL)
    assert difference is not None
    outcome, reason = _outcome(values, seeds, limit)
    if missing and outcome == PASS:
        outcome, reason = OPEN, f"no run of seed {', '.join(map(str, missing))} now"
    means = [sum(side[seed] for seed in seeds) / len(seeds) for side in (before, now)]
    return Finding(
        name,
        metric,
        value_text(means[0], values.metric),
        f"{value_text(means[1], values.metric)} (n={len(seeds)})",
        difference_text(difference, values.metric, with_n=False),
        outcome,
        reason,
    )


def _outcome(values: _Values, seeds: Sequence[int], limit: RegressionCheck) -> tuple[str, str]:
    before, now = values.before, values.now
    same_weights = _weights(values.old, seeds) == _weights(values.new, seeds)
    if same_weights and all(before[seed] == now[seed] for seed in seeds):
        return PASS, "identical weights"
    if len(seeds) < 2:
        return OPEN, "one seed has no standard deviation"
    worse = {seed: values.metric.sign * (before[seed] - now[seed]) for seed in seeds}
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


def check_command(  # noqa: PLR0913 - the options of the command
    results: Path,
    baseline: str,
    fail_on: str,
    *,
    benchmarks: Path | None = None,
    measured: Sequence[SpeedRatio] = (),
    scope: GateScope = GateScope(),
    table: str = "simple",
) -> ExitCode:
    """Print the findings. Exit code 1 if anything is worse, 5 if anything is open, 0 otherwise.

    Args:
        results: The results folder to check.
        baseline: A results folder, a git revision, or a pytest-benchmark file.
        fail_on: The limits, see ``parse_limits``.
        benchmarks: The pytest-benchmark file to check if the baseline is one; None for the latest.
        measured: Speeds of both revisions, measured in alternation for this check.
        scope: The records to compare.
        table: One of ``formats.FORMATS``.

    Raises:
        NothingToDo: If the baseline has no finished run.
        UsageError: If an option is wrong.
    """
    limits = parse_limits(fail_on)
    check_gate_format(table)
    if baseline.endswith(".json"):
        return _report(list(benchmark_findings(Path(baseline), benchmarks, limits)), baseline, table)
    if benchmarks is not None:
        raise UsageError(f"--benchmarks: --baseline {baseline!r} is not a pytest-benchmark file (*.json)")
    all_findings, problems = compared_with(baseline, results, limits, scope)
    for problem in problems:
        print(f"✗ {problem}", file=sys.stdout if table == "simple" else sys.stderr)
    if "throughput" in limits:
        all_findings += measured_findings(measured, limits["throughput"])
    code = _report(all_findings, baseline, table)
    return ExitCode.NOTHING if code == ExitCode.OK and problems else code


def compared_with(
    baseline: str, results: Path, limits: dict[str, RegressionCheck], scope: GateScope
) -> tuple[list[Finding], list[str]]:
    """Compare the records of a results folder with those of another one, or at a git revision.

    Returns:
        The findings, none if the baseline has no finished run, and a message per record or manifest that cannot
        be read.

    Raises:
        UsageError: If the baseline is neither a results folder nor a git revision.
    """
    old, problems = reference_records(baseline, results, option="--baseline")
    new, more = read_all(results)
    new, unread = with_current_claims(new, scope.submissions)
    if scope.track is not None:
        old, new = ([r for r in records if r.protocol.track == scope.track] for records in (old, new))
    return list(findings(summarize(old), summarize(new), limits)), [*problems, *more, *unread]


def _report(all_findings: list[Finding], baseline: str, table: str) -> ExitCode:
    """Print the findings and return the exit code.

    Raises:
        NothingToDo: If there is no finding.
    """
    if not all_findings:
        raise NothingToDo(f"--baseline {baseline}: contains nothing to compare with")
    print(gate_text(all_findings, baseline, table))
    return exit_code_of(all_findings)
