"""The profiler attributes the time of a training step to its parts."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import bench.augment
from bench.contract.jobs.files import TRACE
from bench.contract.jobs.timings import PARTS, StepProfile
from bench.job.phases import profiling
from bench.job.phases.profiling import Profiler
from bench.job.steps.stopwatch import Stopwatch
from tests.job.making_jobs import make_generator_spec, make_spec

SLOW = 0.05  # seconds, far above any part of a step of the tiny network


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "PROFILE_STEPS", 3)
    monkeypatch.setattr(profiling, "TRAIN_IMAGES", 500)


def test_nested_parts_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Iterator[float] = iter([0.0, 1.0, 3.0, 3.5, 7.0, 10.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    watch = Stopwatch(torch.device("cpu"))
    with watch.part("outer"):  # from 0
        with watch.part("inner"):  # 1 to 3
            pass
        with watch.part("inner"):  # 3.5 to 7
            pass
    assert watch.seconds == {"outer": 1 + 0.5 + 3, "inner": 2 + 3.5}


def test_wrapped_function_is_timed_only_while_the_stopwatch_runs() -> None:
    watch = Stopwatch(torch.device("cpu"))
    function = watch.wrap("part", lambda: 7)
    assert function() == 7 and not watch.seconds
    watch.running = True
    assert function() == 7 and watch.seconds["part"] > 0


SLEEP = f"import time; time.sleep({SLOW})"


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("forward", {"forward": SLEEP}),
        ("loss and other code", {"step": SLEEP}),
    ],
)
def test_slow_part_has_the_longest_time(tmp_path: Path, part: str, changes: dict[str, str]) -> None:
    profile = profiled(tmp_path, changes)
    assert max(profile.parts, key=lambda name: profile.parts[name]) == part
    assert SLOW * 1e3 <= profile.parts[part] < profile.watched
    assert profile.unwatched >= SLOW * 1e3
    assert profile.waits == []


def test_slow_augmentation_and_host_wait_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(images: torch.Tensor) -> torch.Tensor:
        time.sleep(SLOW)
        return images

    monkeypatch.setattr(bench.augment, "random_flip", slow)
    changes = {
        "module": "from bench.augment import random_flip",
        "loss": "random_flip(batch.images)",
        "step": "batch.labels.sum().item()",
    }
    profile = profiled(tmp_path, changes)
    assert profile.parts["augmentation"] >= SLOW * 1e3
    assert profile.parts["loss and other code"] < SLOW * 1e3
    (wait,) = profile.waits
    assert wait.startswith("model.py, line ") and wait.endswith(": _local_scalar_dense")


def test_profile_has_all_parts_operators_and_a_trace(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    profile = Profiler(spec).run()
    assert tuple(profile.parts) == PARTS
    assert all(profile.parts[name] > 0 for name in PARTS if name != "augmentation")
    assert any(operator.name.startswith("aten::") and operator.calls >= 1 for operator in profile.operators)
    assert (spec.work / TRACE).stat().st_size > 1000


def test_generator_is_profiled(tmp_path: Path) -> None:
    profile = Profiler(make_generator_spec(tmp_path)).run()
    assert profile.parts["backward"] > 0


def profiled(folder: Path, changes: dict[str, str]) -> StepProfile:
    return Profiler(make_spec(folder, changes=changes)).run()
