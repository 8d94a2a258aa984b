"""Trials of a study: runs of a submission with drawn config fields, evaluated at rungs by way of checkpoints."""

import json
import shutil
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from bench.contract.documents.schema import parse_json
from bench.contract.invocation import write_invocation
from bench.contract.jobs.files import REPORT, WEIGHTS, WORK
from bench.contract.jobs.reports import Failure, Verification
from bench.contract.manifest import Variant
from bench.contract.records.record import Record
from bench.contract.searches import STUDY, TRIAL_VARIANT, Search
from bench.contract.study_file import study_errors
from bench.contract.tracks import Protocol
from bench.errors import BenchError, ContractError, RunFailed
from bench.files import hash_json, write_bytes
from bench.harness.config import RunConfig
from bench.harness.executors.executor import Executor, JobRequest, JobResult, failure_of
from bench.harness.executors.local import Stopped
from bench.harness.planning.datasets import ResolvedDataset
from bench.harness.planning.plan import Entry, Job, Planned
from bench.harness.planning.planner import make_job
from bench.harness.progress.base import Display
from bench.harness.results.evaluation import evaluation_of
from bench.harness.results.recording import Attempt, now, record_failure, record_success
from bench.harness.submissions.discovery import SubmissionSource
from bench.harness.tuning.study import draw
from bench.harness.verification import verify_in_process
from bench.locks import locked

RUNGS = "rungs.json"  # in the work folder: step -> objective


@dataclass
class Trials:
    """A runner of one study's trials. ``run`` may be called from several threads at once."""

    study: optuna.Study
    search: Search
    source: SubmissionSource
    protocol: Protocol
    dataset: ResolvedDataset
    config: RunConfig
    executor: Executor
    display: Display
    pruned: bool  # whether trials are compared at rungs
    stop: threading.Event = field(default_factory=threading.Event)
    _ask_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def objective(self) -> str:
        """The metric on validation images by which trials are compared."""
        return self.protocol.metric.name

    def run(self) -> None:
        """Run one more trial to its end, or until it is pruned. A failed trial has a record too."""
        if self.stop.is_set():
            return
        file = self.config.results / STUDY
        # With SQLite, two threads that ask at the same time may get the same requeued trial.
        with self._ask_lock, study_errors(file):
            trial, values = self.ask()
        job = self._job(values)
        trial.set_user_attr("record", job.path.name)
        trial.set_user_attr("variant", job.entry.variant)
        try:
            # Concurrent trials may draw the same values from a small space.
            with locked(job.path.with_suffix(".lock")):
                job = self._job(values)
                outcome = self._run_trial(trial, job)
        except Stopped:
            return  # the trial stays `running` in the study, and is requeued next time
        except (BenchError, OSError) as error:  # the record could not be written
            self.display.problem(f"{job.label}: {error}")
            outcome = TrialState.FAIL
        with study_errors(file):
            if isinstance(outcome, TrialState):
                self.study.tell(trial, state=outcome)
            else:
                self.study.tell(trial, outcome)

    def ask(self) -> tuple[Trial, dict[str, Any]]:
        """Create a trial and draw its values. If drawing fails, mark the trial as failed: it cannot be resumed."""
        trial = self.study.ask()
        try:
            return trial, draw(trial, self.search)
        except Exception:
            self.study.tell(trial, state=TrialState.FAIL)
            raise

    def _job(self, values: dict[str, Any]) -> Job:
        """Create the job of drawn values: a variant of the submission that exists only in this study."""
        values = {**self.search.set, **values}
        variant = TRIAL_VARIANT + hash_json(values)[:8]
        manifest = self.source.manifest
        ablations = {**manifest.ablations, variant: Variant(set=values, what="a trial of bench tune")}
        extended = manifest.model_copy(update={"ablations": ablations, "as_published": None})
        steps = self.source.track.steps(self.config.profile, manifest.steps)
        entry = Entry(replace(self.source, manifest=extended), variant, self.protocol, steps, self.dataset)
        return make_job(entry, 0, self.config, self.display.message)

    def _run_trial(self, trial: Trial, job: Job) -> float | TrialState:
        """Run a trial. Return its objective after the last step; its state if it fails or is pruned."""
        if job.state is Planned.DONE and job.earlier is not None and job.earlier.evaluation is not None:
            return self._objective_of(job.earlier)  # an earlier trial had the same values
        started_at = now()
        write_invocation(job.folder, job.invocation(self.config))
        verified = verify_in_process(self.executor, job.spec(self.config), self.stop, self.config.confinement)
        verification, result = verified.verification, verified.result
        attempt = Attempt(job, self.config, verification, started_at)
        problem = _problem(verification)
        if problem is not None:
            return self._fail(attempt, problem, result, verified.log)
        self.display.started(job)
        for number, step in enumerate(self._rungs(job)):
            value = self._rung_scores(job).get(str(step))
            if value is None:
                result = self._train(attempt, step)
                if result.failure is not None:
                    return self._fail(attempt, result.failure, result)
                value = self._score(job)
                self._save_rung_score(job, step, value)
            # The pruner places rung n at step ``factor`` ** n.
            trial.report(value, self.search.rungs.factor**number)
            if trial.should_prune():
                reason = f"pruned after {step:,} of {job.entry.steps:,} steps with {self.objective} {value:.4g}"
                self._fail(attempt, Failure(status="pruned", reason=reason), result)
                shutil.rmtree(job.folder / WORK, ignore_errors=True)
                return TrialState.PRUNED
        result = self._train(attempt, None)
        if result.failure is not None:
            return self._fail(attempt, result.failure, result)
        try:
            record = record_success(attempt, result)
        except (RunFailed, ContractError) as error:
            return self._fail(attempt, failure_of(error), result)
        self.display.finished(job, record)
        return self._objective_of(record)

    def _rungs(self, job: Job) -> list[int]:
        """Return the steps at which trials are compared; none without a scheduler."""
        return self.search.rungs.steps(job.entry.steps) if self.pruned else []

    def _train(self, attempt: Attempt, until: int | None) -> JobResult:
        """Train from the last checkpoint to step ``until``, or to the end if it is None, and evaluate."""
        job, verification = attempt.job, attempt.verification
        work = job.folder / WORK
        if not (work / "train" / REPORT["train"]).exists() or until is not None or self._rung_scores(job):
            for phase in ("evaluate", "score"):
                shutil.rmtree(work / phase, ignore_errors=True)
            for name in (REPORT["train"], WEIGHTS):
                (work / "train" / name).unlink(missing_ok=True)
        spec = job.spec(self.config, verification).model_copy(update={"until": until})
        request = JobRequest(spec, job.phases, job.phase_environment(self.config, verification))
        return self.executor.run(request, lambda event: self.display.progress(job, event), self.stop)

    def _score(self, job: Job) -> float:
        """Return the objective of the last evaluation.

        Raises:
            RunFailed: If it was not measured.
        """
        value = evaluation_of(job).metrics.get(self.objective)
        if value is None:
            raise RunFailed(f"{job.label}: {self.objective} is not measured")
        return value

    def _objective_of(self, record: Record) -> float | TrialState:
        """Return the objective in a record; the state of a failed trial if it was not measured."""
        value = None if record.evaluation is None else record.evaluation.metrics.get(self.objective)
        return TrialState.FAIL if value is None else value

    def _rung_scores(self, job: Job) -> dict[str, float]:
        """Read the objectives at the rungs that the trial has passed, also in an earlier command."""
        try:
            content = parse_json((job.folder / WORK / RUNGS).read_text())
        except (OSError, ValueError):
            return {}
        pairs = content.items() if isinstance(content, dict) else ()
        return {step: float(value) for step, value in pairs if isinstance(value, int | float)}

    def _save_rung_score(self, job: Job, step: int, value: float) -> None:
        write_bytes(job.folder / WORK / RUNGS, json.dumps({**self._rung_scores(job), str(step): value}).encode())

    def _fail(self, attempt: Attempt, failure: Failure, result: JobResult, log: str | None = None) -> TrialState:
        """Write the record of a failed or pruned trial."""
        self.display.finished(attempt.job, record_failure(attempt, failure, result, log))
        return TrialState.FAIL


def _problem(verification: Verification) -> Failure | None:
    """Return why drawn values are rejected, a verification problem or a cap violation; None if accepted."""
    if verification.problems:
        first = verification.problems[0]
        return Failure(status=first.status, reason=first.message)
    if verification.over_caps:
        return Failure(status="cap", reason=verification.over_caps[0])
    return None
