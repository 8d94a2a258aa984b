"""``bench check --measure``: speeds of submissions at a git revision and in the working tree.

Timed blocks alternate between the two, so that both see the same background load.
"""

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from bench.contract.jobs.files import SPEC
from bench.contract.jobs.spec import JobSpec
from bench.contract.jobs.timings import SpeedRatio
from bench.errors import BenchError, RunFailed, UsageError
from bench.files import REPOSITORY, write_bytes
from bench.git import GitFailed, git
from bench.harness.commands.verify import verification_spec
from bench.harness.executors.local import environment
from bench.harness.submissions.discovery import MODEL, submissions_of
from bench.stats.medians import median_interval
from bench.text import one_line

LOG_CHARACTERS = 65_536  # read at a time
SPEED_MODULE = Path("bench", "job", "speed.py")  # needed at the revision
ROUNDS = 24
# Target duration of one timed block: long against the clock's resolution, short against changes of the load.
BLOCK_SECONDS = 0.25
TITLES = {"train": "training steps", "infer": "inference calls"}


def measure_speeds(
    paths: Sequence[Path],
    revision: str,
    device: str,
    threads: int,
    *,
    rounds: int = ROUNDS,
    track: Path | None = None,
) -> list[SpeedRatio]:
    """Measure training and inference speed of each submission, at a revision and in the working tree.

    Args:
        paths: Submission folders inside this repository.
        revision: A git revision, such as a branch or tag.
        device: The resolved device.
        threads: CPU threads per measuring process.
        rounds: Number of pairs of timed blocks per ratio.
        track: See ``submissions_of``.

    Returns:
        Two ratios per submission, for training and for inference.

    Raises:
        UsageError: If ``revision`` is no git revision of this repository, or a submission lies outside of it.
        BenchError: If a submission is invalid.
    """
    submissions, broken = submissions_of(paths, track)
    for _, error in broken:
        raise error
    ratios: list[SpeedRatio] = []
    with tempfile.TemporaryDirectory(prefix="capbench-speed-") as folder:
        old_tree = Path(folder) / "before"
        extract(revision, old_tree)
        for submission in submissions:
            relative = _relative_to_repository(submission.folder)
            work = Path(folder) / submission.name
            spec = verification_spec(submission, "base", device).model_copy(update={"threads": threads})
            now_spec = spec.model_copy(update={"work": work / "now"})
            before_spec = spec.model_copy(update={"work": work / "before", "folder": old_tree / relative})
            missing = [path for path in (relative / MODEL, SPEED_MODULE) if not (old_tree / path).exists()]
            if missing:
                why = f"{revision} has no {missing[0]}"
                ratios += [SpeedRatio(submission.name, title, why=why) for title in TITLES.values()]
                continue
            with (
                submission_worker(before_spec, old_tree, revision) as before,
                submission_worker(now_spec, REPOSITORY, "the working tree") as now,
            ):
                ratios += [compare(before, now, submission.name, kind, rounds) for kind in TITLES]
    return ratios


def extract(revision: str, target: Path) -> None:
    """Extract the repository's files at a revision into ``target``; the repository stays unchanged.

    Raises:
        UsageError: If there is no such revision.
    """
    try:
        content = git(REPOSITORY, "archive", "--format=tar", revision)
    except GitFailed as error:
        raise UsageError(
            f"--measure: {revision!r} is no revision of {REPOSITORY} ({error}); give a branch, a tag or a commit"
        ) from None
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(target, filter="data")


def _relative_to_repository(folder: Path) -> Path:
    try:
        return folder.resolve().relative_to(REPOSITORY)
    except ValueError:
        raise UsageError(
            f"{folder}: lies outside of {REPOSITORY}; --measure needs a submission with code at the revision"
        ) from None


class TimedWork(Protocol):
    """A workload that can be timed."""

    def seconds(self, kind: str, calls: int) -> float:
        """Return the seconds of ``calls`` calls of ``kind`` ("train" or "infer"); raise BenchError on failure."""


def submission_worker(spec: JobSpec, tree: Path, label: str) -> "Worker":
    """Start a ``bench.job.speed`` process that runs the harness and the submission of one source tree.

    Args:
        spec: The specification; its work folder must not exist.
        tree: Root of the source tree.
        label: Name of the tree in error messages.
    """
    spec.work.mkdir(parents=True)
    write_bytes(spec.work / SPEC, spec.model_dump_json().encode())
    command = [sys.executable, "-m", "bench.job.speed", str(spec.work / SPEC)]
    variables = {**environment(spec.threads), "PYTHONPATH": python_path(tree)}
    return Worker(command, label, cwd=tree, variables=variables, log=spec.work / "log.txt")


def python_path(tree: Path) -> str:
    """Return a PYTHONPATH that starts with ``tree``, followed by the PYTHONPATH of this process."""
    return os.pathsep.join(filter(None, (str(tree), os.environ.get("PYTHONPATH"))))


class Worker:
    """A subprocess that prints ``ready``, and answers each line ``KIND CALLS`` with the seconds."""

    def __init__(self, command: list[str], label: str, *, cwd: Path, variables: dict[str, str], log: Path) -> None:
        self.label = label
        self.log = log.open("w+")
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
            env=variables,
            start_new_session=True,
        )
        self.ready = False

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # buffered text cannot be written, as the reader has ended
                pipe.close()
        self.log.close()

    def seconds(self, kind: str, calls: int) -> float:
        """Return the seconds of ``calls`` calls of ``kind``.

        Raises:
            RunFailed: If the process has ended; the message has the last line of its log.
        """
        if not self.ready:
            self._answer()
            self.ready = True
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{kind} {calls}\n")
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            self.log.seek(0)
            lines = ["nothing was printed"]
            for part in iter(lambda: self.log.read(LOG_CHARACTERS), ""):  # in parts, as the log may be large
                lines = part.strip().splitlines() or lines
            raise RunFailed(f"{self.label} cannot be measured: {one_line(lines[-1])}")
        return line


def compare(before: "TimedWork", now: "TimedWork", name: str, kind: str, rounds: int) -> SpeedRatio:
    """Measure the ratio of two speeds over several rounds.

    Args:
        before: The workload at the revision.
        now: The workload in the working tree.
        name: Name of the submission.
        kind: "train" or "infer".
        rounds: Number of rounds; each times both workloads once.
    """
    try:
        calls = max(1, round(BLOCK_SECONDS / max(now.seconds(kind, 1), before.seconds(kind, 1), 1e-6)))
        pairs = list(_rounds(before, now, kind, calls, rounds))
    except BenchError as error:
        return SpeedRatio(name, TITLES[kind], why=str(error))
    ratio, low, high = median_interval([old_seconds / new_seconds for old_seconds, new_seconds in pairs])
    medians = [sorted(side)[len(pairs) // 2] for side in zip(*pairs, strict=True)]
    return SpeedRatio(name, TITLES[kind], calls / medians[0], calls / medians[1], ratio, low, high, rounds)


def _rounds(
    before: "TimedWork", now: "TimedWork", kind: str, calls: int, rounds: int
) -> Iterator[tuple[float, float]]:
    """Yield the seconds (before, now) of each round; the order alternates, so that it does not bias the ratio."""
    for index in range(rounds):
        if index % 2 == 0:
            old_seconds = before.seconds(kind, calls)
            yield old_seconds, now.seconds(kind, calls)
        else:
            new_seconds = now.seconds(kind, calls)
            yield before.seconds(kind, calls), new_seconds
