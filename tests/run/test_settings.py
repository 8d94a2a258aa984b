"""Seeds, and how many runs and verifications go on at once."""

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.run.executors.limits import default_memory
from bench.run.settings import Settings, parse_seeds


def settings(profile: str = "quick", jobs: int = 1, elsewhere: bool = False) -> Settings:
    nowhere = Path("nowhere")
    return Settings(profile, None, "base", "cpu", nowhere, nowhere, jobs=jobs, elsewhere=elsewhere)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        (None, [0, 1, 2]),
        ("5", [0, 1, 2, 3, 4]),
        ("0,3,7", [0, 3, 7]),
        ("4,", [4]),
        ("2-4", [2, 3, 4]),
        ("0-1,9", [0, 1, 9]),
    ],
)
def test_seeds(text: str | None, seeds: list[int]) -> None:
    assert parse_seeds(text, 3) == seeds


@pytest.mark.parametrize("text", ["", "0", "a", "1,1", "3-", "-3", "4-2", "1.5", "99999"])
def test_bad_seeds(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text, 3)


def test_the_last_runs_share_the_cores_instead_of_leaving_one_idle() -> None:
    shared, fixed = (settings().with_jobs(2, 1, crowded=crowded) for crowded in (True, False))
    assert [shared.jobs_at_once(left) for left in (7, 4, 3, 2, 1)] == [2, 2, 3, 2, 1]
    assert [fixed.jobs_at_once(left) for left in (7, 4, 3, 2, 1)] == [2, 2, 2, 2, 2]
    assert shared.memory_per_run == default_memory(3)
    assert fixed.memory_per_run == default_memory(2)


def test_speeds_that_are_reported_take_longer_and_are_measured_one_at_a_time() -> None:
    official, quick = settings("official", jobs=8), settings("quick", jobs=8)
    assert official.verified_at_once == 1 and quick.verified_at_once == 8
    assert settings("official", jobs=8, elsewhere=True).verified_at_once == 8  # each on a machine of its own
    assert official.speed > quick.speed
