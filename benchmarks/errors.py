"""``python -m benchmarks.errors``: how often each rule of the judge is wrong, into docs/statistics.md.

Every rule is applied, as the product applies it, to drawn experiments of which the truth is known. Runs are
normal; the unit is their standard deviation, as it is over seeds. The same seeds give the same tables.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.files import REPOSITORY, write_bytes
from bench.stats.changes import worsening_within
from bench.stats.claims import Claimed, judge_claim
from bench.stats.firsts import not_shown_to_be_worse
from bench.stats.spreads import Spread, prediction_interval, spread
from bench.stats.student import holm, welch_p_value
from benchmarks.page import grid, with_sections

PAGE = REPOSITORY / "docs" / "statistics.md"
MEASURED = REPOSITORY / "benchmarks" / "errors.json"
SEEDS = (2, 3, 5, 10, 20)
TRIALS = 4000
MARGIN = 2.0
ALLOWED = 0.5

Trial = Callable[[np.random.Generator, int], str]  # numbers and n -> how it ended


@dataclass(frozen=True)
class Scenario:
    """A truth, a rule, and the outcomes whose rates are shown."""

    table: str
    truth: str
    trial: Trial
    outcomes: tuple[str, ...]


def main() -> None:
    """Simulate everything, and rewrite the tables."""
    rates = [
        {"table": item.table, "truth": item.truth, "outcome": outcome, "rates": found}
        for item in scenarios()
        for outcome, found in simulate(item, TRIALS).items()
    ]
    write_bytes(MEASURED, (json.dumps(rates, indent=1) + "\n").encode())
    write_bytes(PAGE, with_sections(PAGE.read_text(), tables(rates)).encode())


def simulate(item: Scenario, trials: int) -> dict[str, list[float]]:
    """How often each outcome comes, by number of seeds."""
    found: dict[str, list[float]] = {outcome: [] for outcome in item.outcomes}
    for n in SEEDS:
        rng = np.random.default_rng(n)
        counts = Counter(item.trial(rng, n) for _ in range(trials))
        for outcome in item.outcomes:
            found[outcome].append(counts[outcome] / trials)
    return found


def tables(rates: list[dict[str, object]]) -> dict[str, str]:
    """Each table as Markdown, by name."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(str(item["table"]) for item in rates):
        own = [item for item in rates if item["table"] == name]
        found[name] = grid(("truth", "is called", *(f"n = {n}" for n in SEEDS)), _rows(own))
    return found


def _rows(rates: list[dict[str, object]]) -> Iterator[tuple[str, ...]]:
    before = ""
    for item in rates:
        truth, values = str(item["truth"]), item["rates"]
        assert isinstance(values, list)
        yield truth if truth != before else "", str(item["outcome"]), *(f"{value:.1%}" for value in values)
        before = truth


def scenarios() -> Iterator[Scenario]:
    """All that is simulated."""
    yield from _claims()
    yield from _firsts()
    yield from _gates()
    yield from _certificates()


def _claims() -> Iterator[Scenario]:
    outcomes = ("reproduced", "consistent", "not reproduced", "inconclusive")
    for k, kind in ((1, "one run"), (19, "the best of 19"), (50, "the best of 50")):
        yield Scenario("claims", f"{kind} of the same procedure", _claim(k, 0.0), outcomes)
    yield Scenario("claims", "the mean of 5 runs of the same, with their std", _mean_claim(5, MARGIN), outcomes)
    for shift in (1.0, 4.0, 8.0):
        words = f"one run of a procedure that is better by {shift:g}"
        yield Scenario("claims", words, _claim(1, shift), outcomes)
    yield Scenario("claims", "the best of 50 of one that is better by 4", _claim(50, 4.0), outcomes)
    yield Scenario("narrow", "one run of the same, margin 0.1", _claim(1, 0.0, margin=0.1), outcomes[2:3])
    yield Scenario("narrow", "the best of 50 of the same, margin 0.1", _claim(50, 0.0, margin=0.1), outcomes[2:3])
    for runs in (2, 20):
        words = f"the mean of {runs} runs of the same, with their std, margin 0.1"
        yield Scenario("narrow", words, _mean_claim(runs, 0.1), outcomes[2:3])
    yield Scenario(
        "narrow",
        "the best of 50 of the same, set against our mean as if it were one run, without a prediction interval",
        _claim_as_it_was,
        outcomes[2:3],
    )


def _runs(rng: np.random.Generator, n: int, mean: float = 0.0) -> Spread:
    found = spread(rng.normal(mean, 1, n).tolist())
    assert found is not None
    return found


def _claim(k: int, shift: float, *, margin: float = MARGIN) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> str:
        claim = Claimed(float(rng.normal(shift, 1, k).max()), best_of=k)
        return judge_claim(_runs(rng, n), claim, margin).outcome

    return trial


def _mean_claim(runs: int, margin: float) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> str:
        theirs = _runs(rng, runs)
        return judge_claim(_runs(rng, n), Claimed(theirs.mean, runs=runs, std=theirs.std), margin).outcome

    return trial


def _claim_as_it_was(rng: np.random.Generator, n: int) -> str:
    found = judge_claim(_runs(rng, n), Claimed(float(rng.normal(0, 1, 50).max())), MARGIN)
    assert found.low is not None and found.high is not None
    return "not reproduced" if found.low > MARGIN or found.high < -MARGIN else "other"


def _firsts() -> Iterator[Scenario]:
    for rows in (2, 5, 12):
        yield Scenario("bold", f"{rows} equal submissions", _first(rows, 0.0), ("any is called worse",))
    for rows in (5, 12):
        words = f"{rows} equal, right on some of 1,000 images each (spread 1.5 points)"
        yield Scenario("bold", words, _first_of_counts(rows), ("any is called worse",))
    yield Scenario("bold", "2 equal, n seeds and 20 other ones", _first_of_unequal, ("any is called worse",))
    for rows, ahead in ((2, 3.0), (5, 3.0), (12, 3.0), (12, 6.0)):
        truth = f"one of {rows} is better by {ahead:g}"
        yield Scenario("bold", truth, _first(rows, ahead), ("it alone is the best", "it is called worse"))
    yield Scenario(
        "bold",
        "5 equal, tested against the leader alone (Welch, Holm)",
        _first_as_it_was,
        ("any is called worse",),
    )


def _first(rows: int, ahead: float) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> str:
        values = {str(row): dict(enumerate(rng.normal(ahead * (row == 0), 1, n))) for row in range(rows)}
        best = not_shown_to_be_worse(values, higher=True)
        if not ahead:
            return "any is called worse" if len(best) < rows else "all are the best"
        return "it alone is the best" if best == {"0"} else "other" if "0" in best else "it is called worse"

    return trial


def _first_of_counts(rows: int) -> Trial:
    """Accuracies are counts, of which a few may happen to be equal."""

    def trial(rng: np.random.Generator, n: int) -> str:
        drawn = np.round(rng.normal(500, 15, (rows, n))) / 1000
        values = {str(row): dict(enumerate(own)) for row, own in enumerate(drawn.tolist())}
        best = not_shown_to_be_worse(values, higher=True, grain=1 / 1000)
        return "any is called worse" if len(best) < rows else "all are the best"

    return trial


def _first_of_unequal(rng: np.random.Generator, n: int) -> str:
    values = {"few": dict(enumerate(rng.normal(0, 1, n))), "many": dict(enumerate(rng.normal(0, 1, 20), 100))}
    return "any is called worse" if len(not_shown_to_be_worse(values, higher=True)) < 2 else "all are the best"


def _first_as_it_was(rng: np.random.Generator, n: int) -> str:
    rows = [_runs(rng, n) for _ in range(5)]
    leader = max(rows, key=lambda row: row.mean)
    p_values = [welch_p_value(row, leader) or 0.0 for row in rows if row is not leader]
    return "any is called worse" if any(holm(p_values)) else "all are the best"


def _gates() -> Iterator[Scenario]:
    for drop in (-2.0, 0.0, 0.5, 1.0, 3.0):
        words = f"worse by {drop:g}" if drop > 0 else f"better by {-drop:g}" if drop else "no change"
        yield Scenario("gate", f"{words}, {ALLOWED:g} allowed", _gate(drop), ("pass", "FAIL", "open"))
    yield Scenario("gate", "worse by 1, by the means alone", _gate_as_it_was, ("pass",))


def _differences(rng: np.random.Generator, n: int, drop: float) -> list[float]:
    """Of runs before and now with the same seeds, between which code changed: what they share is lost."""
    return (rng.normal(0, 1, n) - rng.normal(-drop, 1, n)).tolist()


def _gate(drop: float) -> Trial:
    names = {"within": "pass", "beyond": "FAIL", "open": "open"}

    def trial(rng: np.random.Generator, n: int) -> str:
        worse = dict(enumerate(_differences(rng, n, drop)))
        return names[worsening_within(worse, dict.fromkeys(worse, ALLOWED))]

    return trial


def _gate_as_it_was(rng: np.random.Generator, n: int) -> str:
    return "pass" if np.mean(_differences(rng, n, 1.0)) <= ALLOWED else "other"


def _certificates() -> Iterator[Scenario]:
    yield Scenario("certificate", "an honest run, other bits", _certificate(0.0), ("it does not hold",))
    for shift in (3.0, 6.0, 10.0):
        yield Scenario("certificate", f"a score made up {shift:g} above", _certificate(shift), ("it holds",))


def _certificate(shift: float) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> str:
        certified = shift or float(rng.normal(0, 1))
        low, high = prediction_interval(_runs(rng, n))
        return "it holds" if low <= certified <= high else "it does not hold"

    return trial


if __name__ == "__main__":
    main()
