"""Trials side by side: each drawn once, whatever the threads do."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'capbench[tune]'")

from bench.contract.searches import Rungs, Search
from bench.files import hash_json
from bench.run.tuning.study import begin_again, left_to_do, open_study
from bench.run.tuning.trials import Trials

SEARCH = Search.model_validate({"space": {"rate": {"uniform": [0.0, 1.0]}}})


def test_trials_that_are_begun_again_are_each_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study(tmp_path, maximise=True, sampler="random", scheduler="none", rungs=Rungs())
    for _ in range(12):  # all lost by a command that was killed
        study.ask().suggest_float("rate", 0.0, 1.0)
    assert begin_again(study) == 12
    ran: list[float] = []

    def job(self: Trials, values: dict[str, Any]) -> SimpleNamespace:
        path = tmp_path / "runs" / f"{hash_json(values)[:8]}.json"
        return SimpleNamespace(path=path, entry=SimpleNamespace(variant=path.stem), label="", rate=values["rate"])

    def value(self: Trials, trial: object, made: SimpleNamespace) -> float:
        ran.append(made.rate)
        return float(made.rate)

    monkeypatch.setattr(Trials, "_job", job)
    monkeypatch.setattr(Trials, "_value", value)
    nothing: Any = None
    place: Any = SimpleNamespace(results=tmp_path)
    trials = Trials(study, SEARCH, *[nothing] * 3, place, *[nothing] * 2, pruned=False)
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(trials.run) for _ in range(12)]:
            done.result()
    assert len(ran) == len(set(ran)) == 12 and left_to_do(study, 12) == 0
