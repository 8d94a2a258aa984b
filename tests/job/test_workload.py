"""What is timed of a submission: steps without an end, and one evaluation of a sampler that takes many."""

from pathlib import Path

import pytest

from bench.contract.jobs import Execution
from bench.job.workload import Workload
from bench.measure.throughput import Throughput
from tests.job.making_jobs import make_generator_spec, make_spec


def test_training_steps_go_on_beyond_a_schedule_that_ends(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    assert spec.steps == 12
    step = Workload(spec).training_step(Execution())  # the OneCycle schedule would refuse a thirteenth step
    losses = [float(step()["loss"]) for _ in range(20)]
    assert len(set(losses)) == 20  # it trains


def test_the_speed_of_a_long_sampler_is_made_of_one_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Throughput(1000.0, 100.0, 10, 3, 16, 0.25)
    monkeypatch.setattr("bench.job.workload.measure_throughput", lambda *args, **named: measured)
    work = Workload(make_generator_spec(tmp_path, overrides={"evaluations": 500}))
    model = work.start()
    model.eval()
    assert work.inference_call(model, 500).one_evaluation and not work.inference_call(model, 8).one_evaluation
    long, short = work.inference_speed(model, 500), work.inference_speed(model, 8)
    assert (long.median_per_s, long.iqr_per_s, long.neighbours) == (2.0, 0.2, 0.25)
    assert (short.median_per_s, short.iqr_per_s) == (1000.0, 100.0)
