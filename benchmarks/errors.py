"""``python -m benchmarks.errors``: simulate the error rates of all decision rules, for docs/statistics.md.

The product's own functions are applied to simulated experiments whose truth is known. Runs are normally
distributed; the unit is their standard deviation over seeds. The random seeds are fixed, so that the tables are
reproducible.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.files import REPOSITORY, write_bytes
from bench.stats.changes import worsening_within
from bench.stats.claims import PublishedValue, judge_claim
from bench.stats.first_places import first_place
from bench.stats.spreads import Spread, prediction_interval, spread
from bench.stats.student import holm, welch_p_value
from benchmarks.page import grid, with_sections

PAGE = REPOSITORY / "docs" / "statistics.md"
MEASURED = REPOSITORY / "benchmarks" / "errors.json"
SEEDS = (2, 3, 5, 10, 20)
TRIALS = 4000
MARGIN = 2.0
ALLOWED = 0.5

Trial = Callable[[np.random.Generator, int], str]  # random numbers and n -> outcome


@dataclass(frozen=True)
class Scenario:
    """A truth, the trial of a rule under it, and the outcomes whose rates are shown."""

    table: str
    truth: str
    trial: Trial
    outcomes: tuple[str, ...]


def main() -> None:
    """Simulate all scenarios, and rewrite the tables."""
    rates = [
        {"table": item.table, "truth": item.truth, "outcome": outcome, "rates": by_seeds}
        for item in scenarios()
        for outcome, by_seeds in simulate(item, TRIALS).items()
    ]
    write_bytes(MEASURED, (json.dumps(rates, indent=1) + "\n").encode())
    write_bytes(PAGE, with_sections(PAGE.read_text(), tables(rates)).encode())


def simulate(item: Scenario, trials: int) -> dict[str, list[float]]:
    """Return the rate of each outcome, per number of seeds in ``SEEDS``."""
    rates: dict[str, list[float]] = {outcome: [] for outcome in item.outcomes}
    for n in SEEDS:
        rng = np.random.default_rng(n)
        counts = Counter(item.trial(rng, n) for _ in range(trials))
        for outcome in item.outcomes:
            rates[outcome].append(counts[outcome] / trials)
    return rates


def tables(rates: list[dict[str, object]]) -> dict[str, str]:
    """Return each table as Markdown, by name."""
    markdown: dict[str, str] = {}
    for name in dict.fromkeys(str(item["table"]) for item in rates):
        in_table = [item for item in rates if item["table"] == name]
        markdown[name] = grid(("truth", "is called", *(f"n = {n}" for n in SEEDS)), _rows(in_table))
    return markdown


def _rows(rates: list[dict[str, object]]) -> Iterator[tuple[str, ...]]:
    previous = ""
    for item in rates:
        truth, values = str(item["truth"]), item["rates"]
        assert isinstance(values, list)
        yield truth if truth != previous else "", str(item["outcome"]), *(f"{value:.1%}" for value in values)
        previous = truth


def scenarios() -> Iterator[Scenario]:
    """Yield all scenarios."""
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
        _claim_without_prediction_interval,
        outcomes[2:3],
    )


def _runs(rng: np.random.Generator, n: int, mean: float = 0.0) -> Spread:
    result = spread(rng.normal(mean, 1, n).tolist())
    assert result is not None
    return result


def _claim(k: int, shift: float, *, margin: float = MARGIN) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> str:
        claim = PublishedValue(float(rng.normal(shift, 1, k).max()), best_of=k)
        return judge_claim(_runs(rng, n), claim, margin).outcome

    return trial


def _mean_claim(runs: int, margin: float) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> str:
        theirs = _runs(rng, runs)
        return judge_claim(_runs(rng, n), PublishedValue(theirs.mean, runs=runs, std=theirs.std), margin).outcome

    return trial


def _claim_without_prediction_interval(rng: np.random.Generator, n: int) -> str:
    judgement = judge_claim(_runs(rng, n), PublishedValue(float(rng.normal(0, 1, 50).max())), MARGIN)
    assert judgement.low is not None and judgement.high is not None
    return "not reproduced" if judgement.low > MARGIN or judgement.high < -MARGIN else "other"


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
        _first_against_leader,
        ("any is called worse",),
    )


def _first(rows: int, ahead: float) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> str:
        values = {str(row): dict(enumerate(rng.normal(ahead * (row == 0), 1, n))) for row in range(rows)}
        place = first_place(values, higher=True)
        if place.basis != "tests":
            return "not separated"
        if not ahead:
            return "any is called worse"
        best = place.names
        return "it alone is the best" if best == {"0"} else "other" if "0" in best else "it is called worse"

    return trial


def _first_of_counts(rows: int) -> Trial:
    """Return a trial of accuracies, which are counts: a few of them may be equal by chance."""

    def trial(rng: np.random.Generator, n: int) -> str:
        drawn = np.round(rng.normal(500, 15, (rows, n))) / 1000
        values = {str(row): dict(enumerate(scores)) for row, scores in enumerate(drawn.tolist())}
        place = first_place(values, higher=True, grain=1 / 1000)
        return "any is called worse" if place.basis == "tests" else "not separated"

    return trial


def _first_of_unequal(rng: np.random.Generator, n: int) -> str:
    values = {"few": dict(enumerate(rng.normal(0, 1, n))), "many": dict(enumerate(rng.normal(0, 1, 20), 100))}
    return "any is called worse" if first_place(values, higher=True).basis == "tests" else "not separated"


def _first_against_leader(rng: np.random.Generator, n: int) -> str:
    rows = [_runs(rng, n) for _ in range(5)]
    leader = max(rows, key=lambda row: row.mean)
    p_values = [welch_p_value(row, leader) or 0.0 for row in rows if row is not leader]
    return "any is called worse" if any(holm(p_values)) else "all are the best"


def _gates() -> Iterator[Scenario]:
    for drop in (-2.0, 0.0, 0.5, 1.0, 3.0):
        words = f"worse by {drop:g}" if drop > 0 else f"better by {-drop:g}" if drop else "no change"
        yield Scenario("gate", f"{words}, {ALLOWED:g} allowed", _gate(drop), ("pass", "FAIL", "open"))
    yield Scenario("gate", "worse by 1, by the means alone", _gate_by_means, ("pass",))


def _differences(rng: np.random.Generator, n: int, drop: float) -> list[float]:
    """Return the worsening per seed; runs are independent, because a change of code removes any correlation."""
    return (rng.normal(0, 1, n) - rng.normal(-drop, 1, n)).tolist()


def _gate(drop: float) -> Trial:
    names = {"within": "pass", "beyond": "FAIL", "open": "open"}

    def trial(rng: np.random.Generator, n: int) -> str:
        worse = dict(enumerate(_differences(rng, n, drop)))
        return names[worsening_within(worse, dict.fromkeys(worse, ALLOWED))]

    return trial


def _gate_by_means(rng: np.random.Generator, n: int) -> str:
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
