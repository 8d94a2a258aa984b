"""What a gate finds: figures before and now, how much worse is too much, and what all of it amounts to."""

import math
import re
from dataclasses import dataclass

from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.tables import grid
from bench.stats.changes import Change, change_within

DEFAULT_LIMITS = "accuracy:-1pp,fid:+5%,throughput:-10%,params:0"
PASS, FAIL, OPEN, SKIPPED = "pass", "FAIL", "open", "not compared"
OUTCOMES: dict[Change, str] = {"within": PASS, "beyond": FAIL, "open": OPEN}


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


def slower_within(slower: float, allowed: float, scatters: tuple[float, float]) -> str:
    """Whether a loss of speed, known but for the scatter of either side, stays within what is allowed."""
    noise = math.hypot(*scatters)
    return OUTCOMES[change_within(slower - noise, slower + noise, allowed)]


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
            if (name == "accuracy" and unit is None) or (name == "throughput" and unit != "%"):
                raise ValueError  # a limit of 1 would be a hundred points
        except ValueError:
            raise UsageError(
                f"--fail-on {part!r}: give parts such as accuracy:-1pp, fid:+5%, throughput:-10% or params:0"
            ) from None
        limits[name] = Limit(number / 100 if unit else number, relative=unit == "%")
    if not limits:
        raise UsageError("--fail-on: names no figure")
    return limits


def report_findings(found: list[Finding], baseline: str) -> ExitCode:
    """Print them, and what they amount to.

    Raises:
        NothingToDo: If there is none.
    """
    if not found:
        raise NothingToDo(f"--baseline {baseline}: has nothing to compare with")
    headers = ["submission", "figure", "before", "now", "change", "outcome", "why"]
    cells = [list(vars(item).values()) for item in found]
    print(grid(headers, cells, "simple"))
    outcomes = [item.outcome for item in found]
    print(f"\n{', '.join(f'{outcomes.count(kind)} {kind}' for kind in (PASS, FAIL, OPEN, SKIPPED))}")
    if FAIL in outcomes:
        return ExitCode.REGRESSION
    return ExitCode.NOTHING if OPEN in outcomes or PASS not in outcomes else ExitCode.OK
