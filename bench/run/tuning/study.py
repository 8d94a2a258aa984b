"""The seam to Optuna, which does the searching: a study in SQLite, what it draws, and what it is told."""

import warnings
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import Trial, TrialState

from bench.contract.searches import STUDY, Dimension, Rungs, Search
from bench.contract.study_file import STUDY_NAME, naming, study_storage
from bench.errors import UsageError
from bench.seeding import derive_seed
from bench.text import one_line

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
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if scheduler == "asha":
        # Rungs are reported by their number on a scale on which each is ``factor`` times the one before.
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=rungs.factor)
    direction: Literal["maximize", "minimize"] = "maximize" if maximise else "minimize"
    path = folder / STUDY
    with naming(path):
        folder.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=study_storage(path, wait_seconds=WAIT_SECONDS),
            study_name=STUDY_NAME,
            direction=direction,
            pruner=pruner,
            load_if_exists=True,
        )
        # A generator that began anew would draw what an interrupted search has drawn.
        study.sampler = _sampler(sampler, derive_seed(0, "tune", str(folder.name), len(study.trials)) % 2**32)
    with naming(path):
        aim = study.direction.name.lower()
    if aim != direction:
        raise UsageError(f"{path}: is a study to {aim}; move it away")
    return study


def prepare(study: optuna.Study, search: Search, wanted: int, path: Path) -> tuple[int, int]:
    """Make the study ready to go on with ``search``.

    Args:
        study: As it was opened.
        search: What is drawn from now on.
        wanted: How many trials there are to be in all.
        path: Of its file.

    Returns:
        How many trials that an interrupted command was at are run again, and how many are left to do.

    Raises:
        UsageError: If it has drawn from another space.
        ResultsError: If the file cannot be read or written.
    """
    with naming(path):
        check_space(study, search, path)
        study.set_user_attr("set", search.set)
        return begin_again(study), left_to_do(study, wanted)


def check_space(study: optuna.Study, search: Search, path: Path) -> None:
    """Fail before any trial if the study has drawn from another space: Optuna compares what is of one kind.

    The ends of a range may change.

    Raises:
        UsageError: Naming the field.
    """
    drawn: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        drawn |= trial.distributions
    for name, dimension in search.space.items():
        if name in drawn:
            try:
                now = _distribution(dimension)
                check_distribution_compatibility(drawn[name], now)
                if isinstance(now, CategoricalDistribution) and str(now) != str(drawn[name]):
                    raise ValueError  # 4 and 4.0 are one to Optuna, and two to a config
            except ValueError:
                before = one_line(str(drawn[name]), 200)
                raise UsageError(
                    f"{path}: its trials drew `{name}` from {before}, which submission.yaml has changed; "
                    "move the study's folder away, or change it back"
                ) from None


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choice is not None:
        return CategoricalDistribution(dimension.choice)
    if dimension.integer is not None:
        return IntDistribution(*dimension.integer)
    if dimension.log_uniform is not None:
        return FloatDistribution(*dimension.log_uniform, log=True)
    assert dimension.uniform is not None
    return FloatDistribution(*dimension.uniform)


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
