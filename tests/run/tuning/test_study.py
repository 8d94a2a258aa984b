"""The seam to Optuna: draws keep to the space, and what a killed search was at is done again, once."""

import math
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'capbench[tune]'")

from optuna.trial import TrialState  # noqa: E402

from bench.contract.searches import STUDY, Rungs, Search  # noqa: E402
from bench.errors import ResultsError, UsageError  # noqa: E402
from bench.run.tuning.study import Sampler, Scheduler, begin_again, draw, left_to_do, open_study  # noqa: E402

SEARCH = Search.model_validate(
    {
        "space": {
            "kind": {"choice": ["sgd", "adam"]},
            "rate": {"log_uniform": [1e-5, 1e-1], "when": {"kind": "sgd"}},
            "beta": {"uniform": [0.8, 0.99], "when": {"kind": "adam"}},
            "width": {"integer": [3, 5]},
        }
    }
)


def study(folder: Path, sampler: Sampler = "random", scheduler: Scheduler = "asha") -> "optuna.Study":
    return open_study(folder, maximise=True, sampler=sampler, scheduler=scheduler, rungs=Rungs())


@pytest.mark.parametrize("sampler", ["random", "optuna"])
def test_draws_keep_to_the_space(sampler: Sampler, tmp_path: Path) -> None:
    found = study(tmp_path, sampler)
    drawn = []
    for _ in range(60):
        trial = found.ask()
        drawn.append(draw(trial, SEARCH))
        found.tell(trial, drawn[-1]["width"])
    for values in drawn:
        assert set(values) == {"kind", "width", "rate" if values["kind"] == "sgd" else "beta"}
        assert values["width"] in (3, 4, 5)
    rates = [values["rate"] for values in drawn if "rate" in values]
    assert all(1e-5 <= rate <= 1e-1 for rate in rates)
    if sampler == "random":  # of a logarithm that is uniform over four decades, two lie below 1e-3
        assert 0.2 < sum(rate < 1e-3 for rate in rates) / len(rates) < 0.8
        assert math.log10(max(rates) / min(rates)) > 2


def test_a_search_that_goes_on_draws_anew(tmp_path: Path) -> None:
    first = [draw(study(tmp_path).ask(), SEARCH) for _ in range(3)]  # opened three times, as by three commands
    assert len({str(values) for values in first}) == 3


def test_a_trial_that_was_running_is_run_again_with_its_values_and_counted_once(tmp_path: Path) -> None:
    before = study(tmp_path)
    done, lost = before.ask(), before.ask()
    before.tell(done, draw(done, SEARCH)["width"])
    values = draw(lost, SEARCH)
    assert left_to_do(before, 5) == 4  # the lost one is not over
    after = study(tmp_path)
    assert begin_again(after) == 1 and left_to_do(after, 5) == 4
    again = after.ask()
    assert draw(again, SEARCH) == values
    after.tell(again, 1.0)
    assert left_to_do(after, 5) == 3 and begin_again(after) == 0


def test_halving_ends_the_poorer_half_at_a_rung(tmp_path: Path) -> None:
    found = study(tmp_path)
    pruned = []
    for value in (0.9, 0.1, 0.8, 0.2, 0.95):
        trial = found.ask()
        trial.report(value, 1)
        pruned.append(trial.should_prune())
        found.tell(trial, None if pruned[-1] else value, state=TrialState.PRUNED if pruned[-1] else None)
    assert pruned == [False, True, True, True, False]  # 0.8 came while only the best of three went on
    everything = study(tmp_path / "none", scheduler="none")
    for value in (0.9, 0.1):
        trial = everything.ask()
        trial.report(value, 1)
        assert not trial.should_prune()


def test_another_aim_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    study(tmp_path)
    with pytest.raises(UsageError, match="is a study to maximize; move it away"):
        open_study(tmp_path, maximise=False, sampler="random", scheduler="none", rungs=Rungs())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / STUDY).write_bytes(b"not a database" * 100)
    with pytest.raises(ResultsError, match="cannot be used"):
        study(tmp_path / "other")
