"""The interface to Optuna: a study stored in SQLite, its sampler and pruner, and the values drawn for a trial."""

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

from bench.contract.metrics import PRIMARY, Metric
from bench.contract.searches import STUDY, Dimension, Rungs, Sampler, Scheduler, Search
from bench.contract.study_file import STUDY_NAME, study_errors, study_storage
from bench.errors import UsageError
from bench.seeding import derive_seed
from bench.text import one_line

WAIT_SECONDS = 120  # timeout of SQLite's lock while another thread writes


def open_study(
    folder: Path, *, maximise: bool, sampler: Sampler, scheduler: Scheduler, rungs: Rungs
) -> optuna.Study:
    """Open the study in ``folder``, or create it.

    Args:
        folder: The study's results folder.
        maximise: Whether a higher objective is better.
        sampler: ``optuna`` for tree-structured Parzen estimators (Bergstra et al. 2011), ``random`` for random
            search.
        scheduler: ``asha`` for asynchronous successive halving, ``none`` to run every trial to its end.
        rungs: The scheduler's rungs.

    Raises:
        ResultsError: If the file cannot be read or written.
        UsageError: If an existing study optimises in the other direction.
    """
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if scheduler == "asha":
        # Trials report rung n as step ``factor`` ** n, the scale on which the pruner places its rungs.
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=rungs.factor)
    direction: Literal["maximize", "minimize"] = "maximize" if maximise else "minimize"
    path = folder / STUDY
    with study_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=study_storage(path, wait_seconds=WAIT_SECONDS),
            study_name=STUDY_NAME,
            direction=direction,
            pruner=pruner,
            load_if_exists=True,
        )
        # The seed depends on the number of trials: with a fixed seed, a resumed search would repeat its draws.
        study.sampler = _sampler(sampler, derive_seed(0, "tune", str(folder.name), len(study.trials)) % 2**32)
    with study_errors(path):
        existing = study.direction.name.lower()
    if existing != direction:
        raise UsageError(f"{path}: the study is set to {existing}, not {direction}; move the file away")
    return study


def check_objective(study: optuna.Study, objective: Metric, path: Path) -> None:
    """Check that earlier trials were compared by the same metric; its number of samples may differ.

    Raises:
        ResultsError: If the file cannot be read or written.
        UsageError: If they were not, since the track's `rank_by` has changed.
    """
    with study_errors(path):
        # Older studies have no such attribute, and only these two objectives.
        first = {metric.better: metric.key for metric in PRIMARY.values()}[objective.better]
        default = first if study.get_trials(deepcopy=False) else objective.key
        earlier = study.user_attrs.get("objective", default)
        if earlier == objective.key:
            study.set_user_attr("objective", objective.key)
            return
    raise UsageError(
        f"{path}: earlier trials were compared by {one_line(str(earlier), 60)}, not {objective.key}; move the "
        "file away, or restore the track's `rank_by`"
    )


def prepare(study: optuna.Study, search: Search, total: int, path: Path) -> tuple[int, int]:
    """Prepare a study to continue with ``search``.

    Args:
        study: The open study.
        search: The search space and the fixed fields of further trials.
        total: The total number of trials that the study is to have.
        path: The study's file.

    Returns:
        The number of interrupted trials that run again, and the number of trials to run, including those.

    Raises:
        UsageError: If earlier trials used another search space.
        ResultsError: If the file cannot be read or written.
    """
    with study_errors(path):
        check_space(study, search, path)
        study.set_user_attr("set", search.set)
        return requeue_interrupted(study), count_remaining(study, total)


def check_space(study: optuna.Study, search: Search, path: Path) -> None:
    """Check, before any trial, that the search space is compatible with that of earlier trials.

    The bounds of a range may change, but not its kind or the choices: Optuna's samplers need comparable trials.

    Raises:
        UsageError: If a field is incompatible; the message names it.
    """
    drawn: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        drawn |= trial.distributions
    for name, dimension in search.space.items():
        if name in drawn:
            try:
                current = _distribution(dimension)
                check_distribution_compatibility(drawn[name], current)
                if isinstance(current, CategoricalDistribution) and str(current) != str(drawn[name]):
                    raise ValueError  # Optuna takes 4 and 4.0 as equal, but a config does not
            except ValueError:
                earlier = one_line(str(drawn[name]), 200)
                raise UsageError(
                    f"{path}: earlier trials drew `{name}` from {earlier}, but submission.yaml has changed it; "
                    "move the study's folder away, or restore submission.yaml"
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
        warnings.simplefilter("ignore")  # Optuna warns that constant_liar is experimental
        # Running trials count as poor, so that concurrent trials do not all sample the same region.
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def draw(trial: Trial, search: Search) -> dict[str, Any]:
    """Draw one point of the search space: config field -> value."""
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


def requeue_interrupted(study: optuna.Study) -> int:
    """Queue trials that were running when a command ended again, with the same values. Return their number."""
    interrupted = study.get_trials(states=(TrialState.RUNNING,), deepcopy=False)
    for trial in interrupted:
        study.enqueue_trial(trial.params, user_attrs={"again": trial.number})
        study.tell(trial.number, state=TrialState.FAIL)
    return len(interrupted)


def count_remaining(study: optuna.Study, total: int) -> int:
    """Count the trials to run until the study has ``total``. An interrupted and repeated trial counts once."""
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL), deepcopy=False)
    repeated = {
        trial.user_attrs["again"] for trial in study.get_trials(deepcopy=False) if "again" in trial.user_attrs
    }
    return max(0, total - sum(trial.number not in repeated for trial in ended))
