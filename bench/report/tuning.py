"""``bench tune --report``: the history of a study, what mattered, and its best trial as a variant to paste."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from bench.contract.searches import STUDY, study_folder
from bench.contract.study_file import STUDY_NAME, naming, study_storage
from bench.errors import NothingToDo
from bench.report.tables import NOTHING, grid

FEWEST_FOR_IMPORTANCE = 4
STATES = {
    TrialState.COMPLETE: "ok",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def study_text(results: Path, submission: str, profile: str) -> str:
    """The whole report.

    Raises:
        NothingToDo: If there is no study, or nothing in it.
        ResultsError: If its file cannot be read.
    """
    folder = study_folder(results, submission, profile)
    if not (folder / STUDY).exists():
        raise NothingToDo(f"{folder / STUDY}: no such study; `bench tune` makes it")
    with naming(folder / STUDY):
        study = optuna.load_study(study_name=STUDY_NAME, storage=study_storage(folder / STUDY))
        return _text(study, folder, submission, profile)


def _text(study: optuna.Study, folder: Path, submission: str, profile: str) -> str:
    everything = study.get_trials(deepcopy=False)
    begun_again = {trial.user_attrs.get("again") for trial in everything}
    trials = [trial for trial in everything if trial.number not in begun_again]
    if not trials:
        raise NothingToDo(f"{folder}: no trial yet; `bench tune` makes them")
    counts = {name: sum(STATES[trial.state] == name for trial in trials) for name in STATES.values()}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    blocks = [f"Study of {submission}, profile {profile}: {len(trials)} trials ({said})"]
    blocks.append(_history(trials, maximise=study.direction.name == "MAXIMIZE"))
    blocks += _importances(study)
    if counts["ok"]:
        blocks.append(_best(study.best_trial, submission, study.user_attrs.get("set", {})))
    blocks.append("Scored on validation images, one seed a trial: the best of many is flattered by its luck.")
    return "\n\n".join(blocks)


def _history(trials: Sequence[FrozenTrial], *, maximise: bool) -> str:
    """Every trial in the order in which it was drawn, with the best so far of those that came to their end."""
    fields = list(dict.fromkeys(name for trial in trials for name in trial.params))
    best: float | None = None
    lines = []
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            better = best is None or (trial.value > best if maximise else trial.value < best)
            best = trial.value if better else best
        reached = trial.value if trial.state == TrialState.COMPLETE else _last(trial)
        lines.append(
            [
                str(trial.number),
                STATES[trial.state],
                NOTHING if reached is None else f"{reached:.4f}",
                NOTHING if best is None else f"{best:.4f}",
                str(len(trial.intermediate_values)),
                *(_value(trial.params.get(name)) for name in fields),
            ]
        )
    return grid(["trial", "state", "score", "best so far", "rungs", *fields], lines, "simple")


def _last(trial: FrozenTrial) -> float | None:
    values = trial.intermediate_values
    return values[max(values)] if values else None


def _value(value: Any) -> str:
    if value is None:
        return NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _importances(study: optuna.Study) -> Iterator[str]:
    """How much of what separates good trials from the rest each field explains (PED-ANOVA)."""
    complete = study.get_trials(states=(TrialState.COMPLETE,), deepcopy=False)
    if len(complete) < FEWEST_FOR_IMPORTANCE:
        return
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # loads scipy.stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        except (RuntimeError, ValueError):
            return  # nothing varies
    lines = [[name, f"{share:.0%}"] for name, share in found.items()]
    title = "What mattered among the trials that came to their end (PED-ANOVA, Watanabe et al. 2023):"
    yield f"{title}\n{grid(['field', 'importance'], lines, 'simple')}"


def _best(trial: FrozenTrial, submission: str, fixed: dict[str, Any]) -> str:
    """The best as it would stand in ``submission.yaml``, with what the search set for all trials alike."""
    variant = {"tuned": {"what": f"the best of a search, trial {trial.number}", "set": {**fixed, **trial.params}}}
    text = yaml.safe_dump({"ablations": variant}, sort_keys=False, default_flow_style=None, width=100)
    return (
        f"The best, trial {trial.number} with {trial.value:.4f}; to run it officially, add to {submission}'s "
        f"submission.yaml and `bench ablate submissions/{submission} --variants tuned`:\n\n{text.rstrip()}"
    )
