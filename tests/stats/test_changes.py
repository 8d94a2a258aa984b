"""The gate's rule: what passes is shown to be within the limit, what fails to be beyond it."""

import numpy as np
import pytest

from bench.stats.changes import change_within, worsening_within


def test_the_three_outcomes() -> None:
    assert [change_within(*ends, 1.0) for ends in ((0.2, 1.0), (1.1, 2.0), (0.9, 1.1), (None, None))] == [
        "within",
        "beyond",
        "open",
        "open",
    ]
    assert worsening_within({0: -1.0}, {0: 0.0}) == "open" and worsening_within({}, {}) == "open"
    assert worsening_within({0: 0.0, 1: 0.0}, {0: 0.0, 1: 0.0}) == "within"  # nothing changed, and nothing may


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize(("drop", "wrong"), [(1.0, "within"), (0.49, "beyond")])
def test_a_wrong_answer_is_given_at_most_one_time_in_twenty(n: int, drop: float, wrong: str) -> None:
    """A drop of 1.0 where 0.5 is allowed; a drop of just less than that."""
    rng = np.random.default_rng(n)
    allowed = dict.fromkeys(range(n), 0.5)
    found = [worsening_within(dict(enumerate(rng.normal(drop, 1.0, n))), allowed) for _ in range(3000)]
    assert found.count(wrong) / 3000 <= 0.05 + 4 * (0.05 * 0.95 / 3000) ** 0.5


def test_just_what_is_allowed_is_within() -> None:
    """0.51 - 0.50 and 0.01 differ in the last bits."""
    worse = {0: 0.51 - 0.50, 1: 0.52 - 0.51, 2: 0.6033 - 0.5933}
    assert worsening_within(worse, dict.fromkeys(worse, 0.01)) == "within"
