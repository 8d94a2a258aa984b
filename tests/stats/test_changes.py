"""The rule of the regression gate: a pass is shown to be within the limit, a failure to be beyond it."""

import numpy as np
import pytest

from bench.stats.changes import change_within, worsening_within


def test_interval_against_the_limit_gives_three_outcomes() -> None:
    assert [change_within(*ends, 1.0) for ends in ((0.2, 1.0), (1.1, 2.0), (0.9, 1.1), (None, None))] == [
        "within",
        "beyond",
        "open",
        "open",
    ]
    assert worsening_within({0: -1.0}, {0: 0.0}) == "open" and worsening_within({}, {}) == "open"
    assert worsening_within({0: 0.0, 1: 0.0}, {0: 0.0, 1: 0.0}) == "within"  # no change, and none is allowed


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize(("drop", "wrong"), [(1.0, "within"), (0.49, "beyond")])
def test_error_rate_is_at_most_5_percent(n: int, drop: float, wrong: str) -> None:
    """With 0.5 allowed: a drop of 1.0 must not pass, a drop of 0.49 must not fail."""
    rng = np.random.default_rng(n)
    allowed = dict.fromkeys(range(n), 0.5)
    outcomes = [worsening_within(dict(enumerate(rng.normal(drop, 1.0, n))), allowed) for _ in range(3000)]
    assert outcomes.count(wrong) / 3000 <= 0.05 + 4 * (0.05 * 0.95 / 3000) ** 0.5


def test_change_equal_to_the_limit_is_within() -> None:
    """0.51 - 0.50 and 0.01 differ in the last bits."""
    worsening = {0: 0.51 - 0.50, 1: 0.52 - 0.51, 2: 0.6033 - 0.5933}
    assert worsening_within(worsening, dict.fromkeys(worsening, 0.01)) == "within"
