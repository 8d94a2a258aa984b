"""The timed workload: any number of training steps, and one network evaluation of a long sampler."""

from pathlib import Path

import pytest

from bench.contract.jobs.spec import Execution
from bench.contract.records.record import Throughput
from bench.job.steps.workload import Workload
from tests.job.making_jobs import make_generator_spec, make_spec


def test_training_steps_continue_beyond_the_end_of_a_schedule(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    assert spec.steps == 12
    step = Workload(spec).training_step(Execution())  # OneCycle raises in a thirteenth step
    losses = [float(step()["loss"]) for _ in range(20)]
    assert len(set(losses)) == 20  # it trains


def test_speed_of_a_long_sampler_is_scaled_from_one_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Throughput(
        median_per_s=1000.0,
        iqr_per_s=100.0,
        blocks=10,
        calls_per_block=3,
        items_per_call=16,
        dtype="float32",
        background_load=0.25,
    )
    monkeypatch.setattr("bench.job.steps.workload.measure_throughput", lambda *args, **named: measured)
    workload = Workload(make_generator_spec(tmp_path, overrides={"evaluations": 500}))
    model = workload.start()
    model.eval()
    assert (
        workload.inference_call(model, 500).one_evaluation and not workload.inference_call(model, 8).one_evaluation
    )
    long, short = workload.inference_speed(model, 500), workload.inference_speed(model, 8)
    assert (long.median_per_s, long.iqr_per_s, long.background_load) == (2.0, 0.2, 0.25)
    assert (short.median_per_s, short.iqr_per_s) == (1000.0, 100.0)
