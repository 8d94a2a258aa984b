"""Findings of the regression gate: metrics before and now, their limits, and the exit code."""

import math
import re
from dataclasses import dataclass

from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.tables.text import grid
from bench.stats.changes import Change, change_within

DEFAULT_LIMITS = "accuracy:-1pp,fid:+5%,throughput:-10%,params:0"
PASS, FAIL, OPEN, SKIPPED = "pass", "FAIL", "open", "not compared"
OUTCOMES: dict[Change, str] = {"within": PASS, "beyond": FAIL, "open": OPEN}


@dataclass(frozen=True)
class RegressionCheck:
    """The limit of a metric's worsening: absolute, or relative to the value before."""

    amount: float  # at least 0
    relative: bool

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


def slower_within(slower: float, allowed: float, noise: tuple[float, float]) -> str:
    """Return the outcome of a loss of speed, given the noise of both measurements."""
    combined = math.hypot(*noise)
    return OUTCOMES[change_within(slower - combined, slower + combined, allowed)]


def parse_limits(text: str) -> dict[str, RegressionCheck]:
    """Parse ``accuracy:-1pp,fid:+5%,throughput:-10%,params:0``; metrics that are not named are not checked.

    Raises:
        UsageError: If the text is malformed or names no metric.
    """
    limits = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(accuracy|fid|throughput|params)\s*:\s*[+-]?([0-9.]+)(pp|%)?", part)
        try:
            if match is None:
                raise ValueError
            name, number, unit = match[1], float(match[2]), match[3]
            if (name == "accuracy" and unit is None) or (name == "throughput" and unit != "%"):
                raise ValueError  # without a unit, 1 would mean 100 percentage points
        except ValueError:
            raise UsageError(
                f"--fail-on {part!r}: give parts such as accuracy:-1pp, fid:+5%, throughput:-10% or params:0"
            ) from None
        limits[name] = RegressionCheck(number / 100 if unit else number, relative=unit == "%")
    if not limits:
        raise UsageError("--fail-on: names no metric; give parts such as accuracy:-1pp or params:0")
    return limits


def report_findings(findings: list[Finding], baseline: str) -> ExitCode:
    """Print the findings and the number per outcome, and return the exit code.

    Raises:
        NothingToDo: If there is no finding.
    """
    if not findings:
        raise NothingToDo(f"--baseline {baseline}: contains nothing to compare with")
    headers = ["submission", "metric", "before", "now", "change", "outcome", "reason"]
    cells = [list(vars(item).values()) for item in findings]
    print(grid(headers, cells, "simple"))
    outcomes = [item.outcome for item in findings]
    print(f"\n{', '.join(f'{outcomes.count(kind)} {kind}' for kind in (PASS, FAIL, OPEN, SKIPPED))}")
    if FAIL in outcomes:
        return ExitCode.REGRESSION
    return ExitCode.NOTHING if OPEN in outcomes or PASS not in outcomes else ExitCode.OK
