"""Trials in parallel threads: each is drawn once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'capbench[tune]'")

from bench.contract.searches import Rungs, Search
from bench.files import hash_json
from bench.harness.tuning.study import count_remaining, open_study, requeue_interrupted
from bench.harness.tuning.trials import Trials

SEARCH = Search.model_validate({"space": {"rate": {"uniform": [0.0, 1.0]}}})


def test_requeued_trials_run_once_each_in_parallel_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(tmp_path, maximise=True, sampler="random", scheduler="none", rungs=Rungs())
    for _ in range(12):  # all running when their command was killed
        study.ask().suggest_float("rate", 0.0, 1.0)
    assert requeue_interrupted(study) == 12
    ran: list[float] = []

    def job(self: Trials, values: dict[str, Any]) -> SimpleNamespace:
        path = tmp_path / "runs" / f"{hash_json(values)[:8]}.json"
        return SimpleNamespace(path=path, entry=SimpleNamespace(variant=path.stem), label="", rate=values["rate"])

    def value(self: Trials, trial: object, job: SimpleNamespace) -> float:
        ran.append(job.rate)
        return float(job.rate)

    monkeypatch.setattr(Trials, "_job", job)
    monkeypatch.setattr(Trials, "_run_trial", value)
    unused: Any = None
    config: Any = SimpleNamespace(results=tmp_path)
    trials = Trials(study, SEARCH, *[unused] * 3, config, *[unused] * 2, pruned=False)
    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(trials.run) for _ in range(12)]:
            future.result()
    assert len(ran) == len(set(ran)) == 12 and count_remaining(study, 12) == 0
