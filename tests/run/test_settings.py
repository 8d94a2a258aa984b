"""Seeds, and how many runs and verifications go on at once."""

from dataclasses import replace
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


def test_speeds_that_are_reported_take_longer_and_on_a_cpu_are_measured_alone() -> None:
    official, quick = settings("official", jobs=8), settings("quick", jobs=8)
    assert official.speeds_alone and not quick.speeds_alone
    assert not settings("official", jobs=8, elsewhere=True).speeds_alone  # each on a machine of its own
    assert not replace(official, device="cuda").speeds_alone  # which is lent by the minute
    assert replace(quick, device="cuda", speeds="alone").speeds_alone
    assert not replace(official, speeds="beside").speeds_alone
    assert official.speed > quick.speed


def test_memory_is_limited_where_it_is_known_what_a_run_takes() -> None:
    on_cpu, on_gpu = settings(jobs=2), replace(settings(jobs=2), device="cuda")
    assert on_cpu.memory_per_run == default_memory(2)
    assert on_gpu.memory_per_run is None  # CUDA reserves more than it uses
    beyond = 10 * default_memory(1)  # what is said wins, even over what the machine shows
    assert replace(on_gpu, memory_bytes=beyond).memory_per_run == beyond
    assert replace(on_cpu, memory_bytes=beyond).memory_per_run == beyond
