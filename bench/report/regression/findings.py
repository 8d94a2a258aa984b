"""Findings of the regression gate: metrics before and now, their limits, and the exit code."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.contract.metrics import RANKING, TOP1, Metric
from bench.contract.records.record import Cost
from bench.errors import ExitCode, UsageError
from bench.report.regression.figures import FIGURES
from bench.report.tables.text import MISSING
from bench.stats.changes import Change, change_within

PASS, FAIL, OPEN, SKIPPED = "pass", "FAIL", "open", "not compared"
EXAMPLES = "accuracy:-1pp, fid:+5%, throughput:-10% or params:0"
OUTCOMES: dict[Change, str] = {"within": PASS, "beyond": FAIL, "open": OPEN}


@dataclass(frozen=True)
class RegressionCheck:
    """The limit of a metric's worsening: absolute, or relative to the value before."""

    amount: float  # at least 0
    relative: bool
    implied: bool = False  # whether it follows from the limit of another metric

    def allowed(self, before: float) -> float:
        """Return the allowed worsening in the metric's unit."""
        return abs(before) * self.amount if self.relative else self.amount


@dataclass(frozen=True)
class Finding:
    """The comparison of one metric of one submission, before and now."""

    name: str
    metric: str
    before: str
    now: str
    change: str
    outcome: str
    reason: str = ""


def count_findings(name: str, old: Cost | None, new: Cost | None, limit: RegressionCheck) -> Iterator[Finding]:
    """Yield the exact comparison of the counts of parameters and multiply-accumulates."""
    for metric in ("params", "macs_per_image"):
        before, now = (getattr(cost, metric, None) for cost in (old, new))
        if before is None or now is None:
            yield Finding(name, metric, MISSING, MISSING, MISSING, OPEN, "not counted")
            continue
        worse = now - before > limit.allowed(before)
        yield Finding(name, metric, f"{before:,}", f"{now:,}", f"{now - before:+,}", FAIL if worse else PASS)


def slower_within(slower: float, allowed: float, noise: tuple[float, float]) -> str:
    """Return the outcome of a loss of speed, given the noise of both measurements."""
    combined = math.hypot(*noise)
    return OUTCOMES[change_within(slower - combined, slower + combined, allowed)]


def limit_name(metric: Metric) -> str:
    """Return the name of a ranking metric in ``--fail-on``."""
    return "accuracy" if metric.key == TOP1.key else metric.key


# Name of a metric that may rank -> the name whose limit it has by default: `accuracy` stands for fractions.
QUALITY = {
    limit_name(metric): "fid" if metric.key in ("nll", "fid", "kid") else "accuracy"
    for metrics in RANKING.values()
    for metric in metrics
}
DEFAULT_LIMITS = "accuracy:-1pp,fid:+5%,throughput:-10%,params:0"


def parse_limits(text: str) -> dict[str, RegressionCheck]:
    """Parse ``accuracy:-1pp,fid:+5%,throughput:-10%,params:0``; metrics that are not named are not checked.

    The limit of ``accuracy`` is also that of every other fraction that ranks a track, and the limit of ``fid``
    that of NLL and KID, unless they have limits of their own. Other figures, such as ``ece`` or ``memory``, are
    checked if they are named.

    Raises:
        UsageError: If the text is malformed or names no metric.
    """
    limits: dict[str, RegressionCheck] = {}
    names = "|".join(dict.fromkeys((*QUALITY, "throughput", "params", *FIGURES)))
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(rf"({names})\s*:\s*[+-]?([0-9.]+)(pp|%)?", part)
        try:
            if match is None:
                raise ValueError
            name, number, unit = match[1], float(match[2]), match[3]
            is_fraction = QUALITY.get(name) == "accuracy" or (name in FIGURES and FIGURES[name].scale == 100)
            if (is_fraction and unit is None) or (name == "throughput" and unit != "%"):
                raise ValueError  # without a unit, 1 would mean 100 percentage points
        except ValueError:
            raise UsageError(
                f"--fail-on {part!r}: give parts such as {EXAMPLES}; names are {names.replace('|', ', ')}"
            ) from None
        limits[name] = RegressionCheck(number / 100 if unit else number, relative=unit == "%")
    if not limits:
        raise UsageError("--fail-on: names no metric; give parts such as accuracy:-1pp or params:0")
    for name, default in QUALITY.items():
        if default in limits:
            limits.setdefault(name, replace(limits[default], implied=True))
    return limits


def exit_code_of(findings: list[Finding]) -> ExitCode:
    """Return 1 if anything is worse, 5 if anything is open or nothing was compared, else 0."""
    outcomes = [item.outcome for item in findings]
    if FAIL in outcomes:
        return ExitCode.REGRESSION
    return ExitCode.NOTHING if OPEN in outcomes or PASS not in outcomes else ExitCode.OK
