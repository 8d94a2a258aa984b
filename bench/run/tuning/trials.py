"""One trial: a run of the submission with drawn config fields, from rung to rung on the harness's checkpoints."""

import json
import shutil
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from bench.contract.asked import note_asked
from bench.contract.jobs import REPORT, WEIGHTS, WORK, Failure, Verification
from bench.contract.manifest import Variant
from bench.contract.plain import parse_json
from bench.contract.records import Record, fid_name
from bench.contract.searches import STUDY, TRIAL_VARIANT, Search
from bench.contract.study_file import naming
from bench.contract.tracks import Protocol
from bench.errors import BenchError, ContractError, RunFailed
from bench.files import hash_json, write_bytes
from bench.locks import locked
from bench.run.datasets import DataFacts
from bench.run.discovery import Found
from bench.run.executors.executor import Assignment, Done, Executor, failure_of
from bench.run.executors.local import Stopped
from bench.run.figures import evaluation_of
from bench.run.plan import Entry, Job, State, make_job
from bench.run.progress.base import Display
from bench.run.recording import now, record_failure, record_success
from bench.run.runner import verify_in_process
from bench.run.settings import Settings
from bench.run.tuning.study import draw

RUNGS = "rungs.json"  # in the work folder: what was scored at which step


@dataclass
class Trials:
    """Runs trials of one study, several at once."""

    study: optuna.Study
    search: Search
    found: Found
    protocol: Protocol
    facts: DataFacts
    settings: Settings
    executor: Executor
    display: Display
    pruned: bool  # whether trials are compared at rungs
    stop: threading.Event = field(default_factory=threading.Event)
    _asking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def objective(self) -> str:
        """The metric on validation images that trials are compared by."""
        return "top1_accuracy" if self.protocol.task == "classification" else fid_name(self.protocol.samples)

    def run(self) -> None:
        """One more trial, to its end or to the rung that it does not pass. What fails is a record, and a trial."""
        if self.stop.is_set():
            return
        file = self.settings.results / STUDY
        # On SQLite two threads at once may be handed the same trial that was to be begun again.
        with self._asking, naming(file):
            trial, values = self.ask()
        job = self._job(values)
        trial.set_user_attr("record", job.path.name)
        trial.set_user_attr("variant", job.entry.variant)
        try:
            with locked(job.path.with_suffix(".lock")):  # of few choices the same may be drawn twice at once
                job = self._job(values)
                value = self._value(trial, job)
        except Stopped:
            return  # it stays `running` in the study, and is begun again
        except (BenchError, OSError) as error:  # the record could not be written
            self.display.message(f"{job.label}: {error}")
            value = None
        with naming(file):
            self.study.tell(trial, value, state=None if value is not None else self._state(job))

    def ask(self) -> tuple[Trial, dict[str, Any]]:
        """Another trial, and its values. One whose values cannot be drawn is over: nobody would go on with it."""
        trial = self.study.ask()
        try:
            return trial, draw(trial, self.search)
        except Exception:
            self.study.tell(trial, state=TrialState.FAIL)
            raise

    def _state(self, job: Job) -> TrialState:
        is_pruned = job.earlier is not None and job.earlier.status == "pruned"
        return TrialState.PRUNED if is_pruned else TrialState.FAIL

    def _job(self, values: dict[str, Any]) -> Job:
        """The run of these values: a variant that only this study knows."""
        values = {**self.search.set, **values}
        variant = TRIAL_VARIANT + hash_json(values)[:8]
        manifest = self.found.manifest
        ablations = {**manifest.ablations, variant: Variant(set=values, what="a trial of bench tune")}
        known = manifest.model_copy(update={"ablations": ablations, "as_published": None})
        steps = self.found.track.steps(self.settings.profile, manifest.steps)
        entry = Entry(replace(self.found, manifest=known), variant, self.protocol, steps, self.facts)
        entry.jobs = [make_job(entry, 0, self.settings, self.display.message)]
        return entry.jobs[0]

    def _value(self, trial: Trial, job: Job) -> float | None:
        """The objective after the last step; None if the trial does not get there."""
        if job.state is State.DONE and job.earlier is not None and job.earlier.evaluation is not None:
            return job.earlier.evaluation.metrics.get(self.objective)  # drawn before
        started_at = now()
        note_asked(job.folder, job.asked(self.settings))
        verified = verify_in_process(self.executor, job.spec(self.settings), self.stop, self.settings.walls)
        verification, done = verified.found, verified.done
        job.entry.verification = verification
        problem = _problem(verification)
        if problem is not None:
            self._fail(job, problem, done, started_at, verified.log)
            return None
        self.display.started(job)
        for number, step in enumerate(self._rungs(job)):
            value = self._known(job).get(str(step))
            if value is None:
                done = self._train(job, step)
                if done.failure is not None:
                    self._fail(job, done.failure, done, started_at)
                    return None
                value = self._left(job)
                self._remember(job, step, value)
            # Each rung is ``factor`` times the one before, as the pruner counts them.
            trial.report(value, self.search.rungs.factor**number)
            if trial.should_prune():
                reason = f"pruned after {step:,} of {job.entry.steps:,} steps with {self.objective} {value:.4g}"
                self._fail(job, Failure(status="pruned", reason=reason), done, started_at)
                shutil.rmtree(job.folder / WORK, ignore_errors=True)
                return None
        done = self._train(job, None)
        if done.failure is not None:
            self._fail(job, done.failure, done, started_at)
            return None
        try:
            record = record_success(job, verification, self.settings, started_at, done)
        except (RunFailed, ContractError) as error:
            self._fail(job, failure_of(error), done, started_at)
            return None
        self._finish(job, record)
        return self._objective_of(record)

    def _rungs(self, job: Job) -> list[int]:
        return self.search.rungs.steps(job.entry.steps) if self.pruned else []

    def _train(self, job: Job, until: int | None) -> Done:
        """Go on to a rung, or to the end, and evaluate there."""
        work = job.folder / WORK
        if not (work / "train" / REPORT["train"]).exists() or until is not None or self._known(job):
            for phase in ("evaluate", "score"):
                shutil.rmtree(work / phase, ignore_errors=True)
            for name in (REPORT["train"], WEIGHTS):
                (work / "train" / name).unlink(missing_ok=True)
        spec = job.spec(self.settings).model_copy(update={"until": until})
        assignment = Assignment(spec, job.phases, job.conditions(self.settings))
        return self.executor.run(assignment, lambda event: self.display.progress(job, event), self.stop)

    def _left(self, job: Job) -> float:
        value = evaluation_of(job).metrics.get(self.objective)
        if value is None:
            raise RunFailed(f"{job.label}: {self.objective} is not measured")
        return value

    def _objective_of(self, record: Record) -> float | None:
        return None if record.evaluation is None else record.evaluation.metrics.get(self.objective)

    def _known(self, job: Job) -> dict[str, float]:
        """What an interrupted command scored already: step -> objective."""
        try:
            known = parse_json((job.folder / WORK / RUNGS).read_text())
        except (OSError, ValueError):
            return {}
        pairs = known.items() if isinstance(known, dict) else ()
        return {step: float(value) for step, value in pairs if isinstance(value, int | float)}

    def _remember(self, job: Job, step: int, value: float) -> None:
        write_bytes(job.folder / WORK / RUNGS, json.dumps({**self._known(job), str(step): value}).encode())

    def _fail(self, job: Job, failure: Failure, done: Done, started_at: str, log: str | None = None) -> None:
        self._finish(job, record_failure(job, self.settings, failure, started_at, done, log))

    def _finish(self, job: Job, record: Record) -> None:
        job.earlier = record
        self.display.finished(job, record)


def _problem(verification: Verification) -> Failure | None:
    """Why these values are no entry to the contest: a search is for ones that keep its caps."""
    if verification.problems:
        first = verification.problems[0]
        return Failure(status=first.status, reason=first.message)
    if verification.over_caps:
        return Failure(status="cap", reason=verification.over_caps[0])
    return None
