"""The seam to Optuna, which does the searching: a study in SQLite, what it draws, and what it is told."""

import sqlite3
import warnings
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from bench.contract.searches import STUDY, Rungs, Search
from bench.errors import ResultsError, UsageError
from bench.seeding import derive_seed

Sampler = Literal["optuna", "random"]
Scheduler = Literal["asha", "none"]
WAIT_SECONDS = 120  # for another thread that writes


def open_study(
    folder: Path, *, maximise: bool, sampler: Sampler, scheduler: Scheduler, rungs: Rungs
) -> optuna.Study:
    """The study in ``folder``, made if it is not there.

    Args:
        folder: The study's own results folder.
        maximise: Whether more is better.
        sampler: ``optuna`` for tree-structured Parzen estimators (Bergstra et al. 2011), ``random`` for none.
        scheduler: ``asha`` for asynchronous successive halving, ``none`` to run every trial to its end.
        rungs: Of the scheduler.

    Raises:
        ResultsError: If the file cannot be read or written.
        UsageError: If what is there aims the other way.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if scheduler == "asha":
        # Rungs are reported by their number on a scale on which each is ``factor`` times the one before.
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=rungs.factor)
    direction: Literal["maximize", "minimize"] = "maximize" if maximise else "minimize"
    path = folder / STUDY
    try:
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path.resolve()}", engine_kwargs={"connect_args": {"timeout": WAIT_SECONDS}}
        )
        study = optuna.create_study(
            storage=storage, study_name="tune", direction=direction, pruner=pruner, load_if_exists=True
        )
        # A generator that began anew would draw what an interrupted search has drawn.
        study.sampler = _sampler(sampler, derive_seed(0, "tune", str(folder.name), len(study.trials)) % 2**32)
    except (SQLAlchemyError, sqlite3.Error, OSError, AssertionError) as error:
        raise ResultsError(
            f"{path}: cannot be used ({' '.join(str(error).split())[:200]}); move it away"
        ) from None
    if study.direction.name.lower() != direction:
        raise UsageError(f"{path}: is a study to {study.direction.name.lower()}; move it away")
    return study


def _sampler(kind: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an option that Optuna calls experimental
        # What is running counts as poor, so that trials side by side do not all look in one place.
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def draw(trial: Trial, search: Search) -> dict[str, Any]:
    """One point of the space: config field -> value."""
    values: dict[str, Any] = {}
    for name, dimension in search.space.items():
        if not search.draws(name, values):
            continue
        if dimension.choice is not None:
            values[name] = trial.suggest_categorical(name, dimension.choice)
        elif dimension.integer is not None:
            values[name] = trial.suggest_int(name, *dimension.integer)
        elif dimension.log_uniform is not None:
            values[name] = trial.suggest_float(name, *dimension.log_uniform, log=True)
        else:
            assert dimension.uniform is not None
            values[name] = trial.suggest_float(name, *dimension.uniform)
    return values


def begin_again(study: optuna.Study) -> int:
    """Have trials that were running when a command ended run again, with the same values; their number."""
    lost = study.get_trials(states=(TrialState.RUNNING,), deepcopy=False)
    for trial in lost:
        study.enqueue_trial(trial.params, user_attrs={"again": trial.number})
        study.tell(trial.number, state=TrialState.FAIL)
    return len(lost)


def left_to_do(study: optuna.Study, wanted: int) -> int:
    """How many trials are still to be run for ``wanted`` in all. One that was begun again counts once."""
    over = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL), deepcopy=False)
    again = {
        trial.user_attrs["again"] for trial in study.get_trials(deepcopy=False) if "again" in trial.user_attrs
    }
    return max(0, wanted - sum(trial.number not in again for trial in over))
