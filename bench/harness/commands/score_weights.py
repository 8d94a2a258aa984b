"""``bench score-weights``: evaluate weights that participants hand in, without training.

This is weaker than a run: nothing about the training is verified. The metrics are returned, and nothing is written
to a results folder, so that no table or ranking of records can contain them.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.contract.handed_in import HandedInScore
from bench.contract.jobs.files import HANDED_IN, REPORT, WEIGHTS, WORK, Phase
from bench.contract.jobs.reports import (
    EvaluationReport,
    Failure,
    HandedInWeights,
    Scores,
    Verification,
    read_report,
)
from bench.contract.jobs.spec import Precision
from bench.contract.records.caps import over_caps
from bench.contract.tracks import OFFICIAL
from bench.data.store import data_root as resolve_root
from bench.errors import BenchError, ContractError, ExitCode, ResultsError, RunFailed
from bench.files import hash_file
from bench.harness.config import ROUGH_SPEED, RunConfig
from bench.harness.executors.concurrency import side_by_side
from bench.harness.executors.executor import JobRequest, LocalExecutor
from bench.harness.executors.local import Stopped
from bench.harness.planning.plan import Job, Plan
from bench.harness.planning.planner import make_plan
from bench.harness.results.evaluation import evaluation_of
from bench.harness.results.observed_cost import as_sampled, as_stored
from bench.harness.results.weights_file import check_weights, weight_bytes
from bench.harness.runner import exit_code_of
from bench.harness.submissions.discovery import submissions_of
from bench.harness.submissions.handed_in import check_fits, weights_file
from bench.harness.verification import verify_in_process


@dataclass(frozen=True)
class ScoreWeightsOptions:
    """The options of ``bench score-weights``."""

    paths: list[Path]
    weights: Path | None  # a file, or a folder with a file per submission; None for the submissions' folders
    profile: str = OFFICIAL
    seed: int = 0  # from which a generator's samples are drawn
    track: Path | None = None
    device: str = "auto"
    precision: Precision = "fp32"
    threads: int | None = None  # per submission
    embedded: bool = False
    data_root: Path | None = None
    sandbox: str = "auto"


Outcome = HandedInScore | BenchError


def score_weights(options: ScoreWeightsOptions, say: Callable[[str], None]) -> dict[str, Outcome]:
    """Evaluate the handed-in weights of submissions.

    Args:
        options: The options.
        say: Called with a line, without any metric, when a submission is done; from any thread.

    Returns:
        Name of each submission -> its metrics, or why it has none.

    Raises:
        BenchError: If a path or an option is invalid.
        KeyboardInterrupt: After Ctrl-C, once all processes have ended.
    """
    submissions, broken = submissions_of(options.paths, options.track)
    outcomes: dict[str, Outcome] = {path.name: error for path, error in broken}
    files: dict[str, Path] = {}
    for submission in submissions:
        try:
            files[submission.name] = weights_file(submission, options.weights, only=len(submissions) == 1)
        except BenchError as error:
            outcomes[submission.name] = error
    with tempfile.TemporaryDirectory(prefix="capbench-score-weights-", ignore_cleanup_errors=True) as folder:
        plan = make_plan([one for one in submissions if one.name in files], _config(options, Path(folder)))
        planned = {job.entry.source.name for job in plan.jobs}
        unplanned = [name for name in files if name not in planned]
        for name, problem in zip(unplanned, plan.problems, strict=True):
            outcomes[name] = type(problem)(str(problem).removeprefix(f"{name}: "))
        for notice in plan.notices:
            say(notice)
        outcomes |= _score_all(plan, files, say)
    return dict(sorted(outcomes.items()))


def _config(options: ScoreWeightsOptions, results: Path) -> RunConfig:
    """Return the configuration of a run of the same profile, in a results folder that is deleted afterwards.

    Raises:
        UsageError: If an option is invalid.
    """
    return RunConfig(
        profile=options.profile,
        seeds=f"{options.seed},",
        device=options.device,
        results=results,
        data_root=resolve_root(options.data_root),
        embedded=options.embedded,
        precision=options.precision,
        threads=options.threads,
        sandbox=options.sandbox,
        compile="off",
    ).resolved()


def _score_all(plan: Plan, files: dict[str, Path], say: Callable[[str], None]) -> dict[str, Outcome]:
    """Score the weights of all jobs, several at a time; a failure stops no other."""
    outcomes: dict[str, Outcome] = {}
    scorer = _Scorer(plan.config)

    def score(job: Job) -> None:
        name = job.entry.source.name
        try:
            outcomes[name] = scorer.score(job, files[name])
            say(f"{name}: scored")
        except Stopped:
            pass
        except (BenchError, OSError) as error:
            outcomes[name] = error if isinstance(error, BenchError) else ResultsError(str(error))
            say(f"{name}: not scored")

    side_by_side(score, plan.jobs, plan.config.jobs_at_once, tick=scorer.executor.tick, stop=scorer.stop.set)
    return outcomes


class _Scorer:
    """Evaluation of weights files in the processes and the sandbox of a run."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.stop = threading.Event()
        self.executor = LocalExecutor(config.device, config.side_by_side)

    def score(self, job: Job, file: Path) -> HandedInScore:
        """Read the file, verify the submission, and evaluate its network with the file's tensors.

        Raises:
            ContractError: If the submission breaks the contract or a cap, or the file does not fit its network.
            RunFailed: If a process fails.
            OSError: If a file cannot be read or written.
            Stopped: If the command was interrupted.
        """
        work = job.folder / WORK
        digest = self._convert(job, file)
        verification = self._verify(job)
        assert verification.cost is not None  # only a verification with problems has none
        try:
            check_fits(read_report(work / "weights" / REPORT["weights"], HandedInWeights), verification)
        except ContractError as error:
            raise ContractError(f"{file}: {error}") from None
        (work / "train").mkdir()
        shutil.move(work / "weights" / WEIGHTS, work / "train" / WEIGHTS)  # where evaluation expects them
        try:
            self._run(job, job.phases[1:], verification)
        except BenchError as error:
            raise type(error)(f"{file}: {error}") from None
        report = read_report(work / "evaluate" / REPORT["evaluate"], EvaluationReport)
        cost = as_sampled(report, as_stored(weight_bytes(work / "train" / WEIGHTS), verification.cost))
        for line in over_caps(job.entry.protocol, cost, job.entry.steps, verification.config["batch_size"]):
            raise ContractError(line)
        if report.batch_independent is False:
            raise ContractError("predictions depend on the other images in the batch")
        return HandedInScore(
            submission=job.entry.source.name,
            file=str(file),
            sha256=digest,
            seed=job.seed,
            source_hash=job.identity.source_hash,
            protocol=job.entry.protocol,
            protocol_hash=job.entry.protocol.hash,
            data=job.entry.dataset.used,
            data_fingerprints=job.entry.dataset.fingerprints,
            cost=cost,
            evaluation=evaluation_of(job),
            not_measured=read_report(work / "score" / REPORT["score"], Scores).not_measured
            if job.generates
            else {},
        )

    def _convert(self, job: Job, file: Path) -> str:
        """Convert the file to safetensors in a sandboxed process, and return the sha256 of the file."""
        folder = job.folder / WORK / "weights"
        folder.mkdir(parents=True)
        copy = folder / f"{HANDED_IN}{file.suffix}"
        shutil.copyfile(file, copy)
        digest = hash_file(copy)
        try:
            self._run(job, ("weights",), None)
            report = read_report(folder / REPORT["weights"], HandedInWeights)
            check_weights(folder / WEIGHTS, report.sha256)
        except BenchError as error:
            raise type(error)(f"{file}: {error}") from None
        return digest

    def _verify(self, job: Job) -> Verification:
        seconds, images = ROUGH_SPEED  # only for the time limit of the evaluation
        spec = job.spec(self.config).model_copy(update={"speed_seconds": seconds, "speed_images": images})
        verified = verify_in_process(self.executor, spec, self.stop, self.config.confinement)
        for problem in verified.verification.problems:
            raise _error_of(Failure(status=problem.status, reason=problem.message))
        return verified.verification

    def _run(self, job: Job, phases: tuple[Phase, ...], verification: Verification | None) -> None:
        """Run phases of the job.

        Raises:
            BenchError: If one fails.
        """
        environment = job.phase_environment(self.config, verification)
        request = JobRequest(job.spec(self.config, verification), phases, environment)
        result = self.executor.run(request, lambda event: None, self.stop)
        if result.failure is not None:
            raise _error_of(result.failure)


def _error_of(failure: Failure) -> BenchError:
    """Return the error for a failed phase, with the exit code of a run that fails so."""
    kind = ContractError if exit_code_of(failure.status) is ExitCode.CONTRACT else RunFailed
    return kind(failure.reason)
