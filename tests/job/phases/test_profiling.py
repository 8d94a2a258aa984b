"""A step's time is attributed to the part that took it."""

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

SLOW = 0.05  # seconds, far above anything that a tiny network does in a part of a step


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "PROFILE_STEPS", 3)
    monkeypatch.setattr(profiling, "TRAIN_IMAGES", 500)


def test_parts_within_one_another_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Iterator[float] = iter([0.0, 1.0, 3.0, 3.5, 7.0, 10.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    watch = Stopwatch(torch.device("cpu"))
    with watch.part("outer"):  # from 0
        with watch.part("inner"):  # 1 to 3
            pass
        with watch.part("inner"):  # 3.5 to 7
            pass
    assert watch.seconds == {"outer": 1 + 0.5 + 3, "inner": 2 + 3.5}


def test_what_is_wrapped_runs_unwatched_until_the_watch_runs() -> None:
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
        ("loss and the rest", {"step": SLEEP}),
    ],
)
def test_a_slow_part_is_found(tmp_path: Path, part: str, changes: dict[str, str]) -> None:
    found = profiled(tmp_path, changes)
    assert max(found.parts, key=lambda name: found.parts[name]) == part
    assert SLOW * 1e3 <= found.parts[part] < found.watched
    assert found.unwatched >= SLOW * 1e3
    assert found.waits == []


def test_an_augmentation_and_a_wait_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(images: torch.Tensor) -> torch.Tensor:
        time.sleep(SLOW)
        return images

    monkeypatch.setattr(bench.augment, "random_flip", slow)
    changes = {
        "module": "from bench.augment import random_flip",
        "loss": "random_flip(batch.images)",
        "step": "batch.labels.sum().item()",
    }
    found = profiled(tmp_path, changes)
    assert found.parts["augmentation"] >= SLOW * 1e3
    assert found.parts["loss and the rest"] < SLOW * 1e3
    (wait,) = found.waits
    assert wait.startswith("model.py, line ") and wait.endswith(": _local_scalar_dense")


def test_the_report_has_all_parts_operators_and_a_trace(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    found = Profiler(spec).run()
    assert tuple(found.parts) == PARTS
    assert all(found.parts[name] > 0 for name in PARTS if name != "augmentation")
    assert any(operator.name.startswith("aten::") and operator.calls >= 1 for operator in found.operators)
    assert (spec.work / TRACE).stat().st_size > 1000


def test_a_generator_is_profiled_too(tmp_path: Path) -> None:
    found = Profiler(make_generator_spec(tmp_path)).run()
    assert found.parts["backward"] > 0


def profiled(folder: Path, changes: dict[str, str]) -> StepProfile:
    return Profiler(make_spec(folder, changes=changes)).run()
