"""``bench tune --report``: a study's history, parameter importances, and its best trial as a variant to paste."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from bench.contract.searches import STUDY, study_folder
from bench.contract.study_file import STUDY_NAME, study_errors, study_storage
from bench.errors import NothingToDo
from bench.report.tables.text import MISSING, grid

FEWEST_FOR_IMPORTANCE = 4
STATES = {
    TrialState.COMPLETE: "ok",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def study_text(results: Path, submission: str, profile: str) -> str:
    """Return the report of a study.

    Raises:
        NothingToDo: If there is no study, or it has no trial.
        ResultsError: If its file cannot be read.
    """
    folder = study_folder(results, submission, profile)
    if not (folder / STUDY).exists():
        raise NothingToDo(f"{folder / STUDY}: no such study; start it with `bench tune`")
    with study_errors(folder / STUDY):
        study = optuna.load_study(study_name=STUDY_NAME, storage=study_storage(folder / STUDY))
        return _text(study, folder, submission, profile)


def _text(study: optuna.Study, folder: Path, submission: str, profile: str) -> str:
    all_trials = study.get_trials(deepcopy=False)
    restarted = {trial.user_attrs.get("again") for trial in all_trials}
    trials = [trial for trial in all_trials if trial.number not in restarted]
    if not trials:
        raise NothingToDo(f"{folder}: no trial yet; start them with `bench tune`")
    counts = {name: sum(STATES[trial.state] == name for trial in trials) for name in STATES.values()}
    states = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    blocks = [f"Study of {submission}, profile {profile}: {len(trials)} trials ({states})"]
    blocks.append(_history(trials, maximise=study.direction.name == "MAXIMIZE"))
    blocks += _importances(study)
    if counts["ok"]:
        blocks.append(_best(study.best_trial, submission, study.user_attrs.get("set", {})))
    blocks.append(
        "Scored on validation images, one seed per trial: the best of many trials is optimistically biased."
    )
    return "\n\n".join(blocks)


def _history(trials: Sequence[FrozenTrial], *, maximise: bool) -> str:
    """Return the table of all trials in sampling order, with the best score so far of the completed ones."""
    fields = list(dict.fromkeys(name for trial in trials for name in trial.params))
    best: float | None = None
    lines = []
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            better = best is None or (trial.value > best if maximise else trial.value < best)
            best = trial.value if better else best
        score = trial.value if trial.state == TrialState.COMPLETE else _last(trial)
        lines.append(
            [
                str(trial.number),
                STATES[trial.state],
                MISSING if score is None else f"{score:.4f}",
                MISSING if best is None else f"{best:.4f}",
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
        return MISSING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _importances(study: optuna.Study) -> Iterator[str]:
    """Yield the table of parameter importances (PED-ANOVA); nothing if there are too few completed trials."""
    complete = study.get_trials(states=(TrialState.COMPLETE,), deepcopy=False)
    if len(complete) < FEWEST_FOR_IMPORTANCE:
        return
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # loads scipy.stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importances = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        except (RuntimeError, ValueError):
            return  # nothing varies
    lines = [[name, f"{share:.0%}"] for name, share in importances.items()]
    title = "Parameter importances over the completed trials (PED-ANOVA, Watanabe et al. 2023):"
    yield f"{title}\n{grid(['field', 'importance'], lines, 'simple')}"


def _best(trial: FrozenTrial, submission: str, fixed: dict[str, Any]) -> str:
    """Return the best trial as a variant for ``submission.yaml``, with the search's fixed settings."""
    variant = {"tuned": {"what": f"trial {trial.number}, the best of a search", "set": {**fixed, **trial.params}}}
    text = yaml.safe_dump({"ablations": variant}, sort_keys=False, default_flow_style=None, width=100)
    return (
        f"Best trial: {trial.number}, score {trial.value:.4f}. To run it officially, add this to {submission}'s "
        f"submission.yaml and run `bench ablate submissions/{submission} --variants tuned`:\n\n{text.rstrip()}"
    )
