"""``bench check --measure``: a submission's speed at a git revision and now, measured by turns on this machine."""

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

from bench.contract.jobs import SPEC, JobSpec
from bench.contract.speeds import SpeedRatio
from bench.errors import BenchError, RunFailed, UsageError
from bench.files import REPOSITORY, write_bytes
from bench.git import GitFailed, git
from bench.run.discovery import MODEL, submissions_of
from bench.run.executors.local import environment
from bench.run.verify_command import verification_spec
from bench.stats.medians import median_interval
from bench.text import one_line

LOG_CHARACTERS = 65_536  # of it at once
MEASURES = Path("bench", "job", "speed.py")  # without it a revision cannot measure itself
ROUNDS = 24
BLOCK_SECONDS = 0.25  # what one answer should take: long beside the clock's grain, short beside a machine's moods
WHAT = {"train": "training steps", "infer": "inference calls"}


def measure_speeds(
    paths: Sequence[Path],
    revision: str,
    device: str,
    threads: int,
    *,
    rounds: int = ROUNDS,
    track: Path | None = None,
) -> list[SpeedRatio]:
    """Training and inference of each submission, at ``revision`` and in the working tree.

    Raises:
        UsageError: If ``revision`` is no git revision of this repository, or a path is no submission of it.
    """
    found, broken = submissions_of(paths, track)
    for _, error in broken:
        raise error
    measured: list[SpeedRatio] = []
    with tempfile.TemporaryDirectory(prefix="capbench-speed-") as name:
        before = Path(name) / "before"
        extract(revision, before)
        for submission in found:
            inside = _inside(submission.folder)
            work = Path(name) / submission.name
            spec = verification_spec(submission, "base", device).model_copy(update={"threads": threads})
            now_spec = spec.model_copy(update={"work": work / "now"})
            then_spec = spec.model_copy(update={"work": work / "before", "folder": before / inside})
            missing = [path for path in (inside / MODEL, MEASURES) if not (before / path).exists()]
            if missing:
                why = f"{revision} has no {missing[0]}"
                measured += [SpeedRatio(submission.name, what, why=why) for what in WHAT.values()]
                continue
            with (
                submission_worker(then_spec, before, revision) as then,
                submission_worker(now_spec, REPOSITORY, "the working tree") as now,
            ):
                measured += [compare(then, now, submission.name, what, rounds) for what in WHAT]
    return measured


def extract(revision: str, target: Path) -> None:
    """The repository's files at a revision, without touching the repository.

    Raises:
        UsageError: If there is no such revision.
    """
    try:
        content = git(REPOSITORY, "archive", "--format=tar", revision)
    except GitFailed as error:
        raise UsageError(
            f"--measure: {revision!r} is no revision of {REPOSITORY}, whose code could run ({error})"
        ) from None
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(target, filter="data")


def _inside(folder: Path) -> Path:
    try:
        return folder.resolve().relative_to(REPOSITORY)
    except ValueError:
        raise UsageError(
            f"{folder}: lies outside of {REPOSITORY}, so that no revision of it has its code"
        ) from None


class Asked(Protocol):
    """Something that does work when asked, and says how long it took."""

    def seconds(self, what: str, calls: int) -> float:
        """Have so many calls done; raises ``BenchError`` if they cannot be."""


def submission_worker(spec: JobSpec, tree: Path, called: str) -> "Worker":
    """A ``bench.job.speed`` process that runs the code of one tree."""
    spec.work.mkdir(parents=True)
    write_bytes(spec.work / SPEC, spec.model_dump_json().encode())
    command = [sys.executable, "-m", "bench.job.speed", str(spec.work / SPEC)]
    variables = {**environment(spec.threads), "PYTHONPATH": found_first(tree)}
    return Worker(command, called, cwd=tree, variables=variables, log=spec.work / "log.txt")


def found_first(tree: Path) -> str:
    """A PYTHONPATH by which ``tree``'s code is found, and packages where they are for this process."""
    return os.pathsep.join(filter(None, (str(tree), os.environ.get("PYTHONPATH"))))


class Worker:
    """A process that says ``ready``, and answers each line ``WHAT CALLS`` with the seconds that it took."""

    def __init__(
        self, command: list[str], called: str, *, cwd: Path, variables: dict[str, str], log: Path
    ) -> None:
        self.called = called
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
            with contextlib.suppress(OSError):  # what was not written has no reader any more
                pipe.close()
        self.log.close()

    def seconds(self, what: str, calls: int) -> float:
        """Have so many calls done.

        Raises:
            RunFailed: If the process ended instead.
        """
        if not self.ready:
            self._answer()
            self.ready = True
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{what} {calls}\n")
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            self.log.seek(0)
            last = ["nothing was printed"]
            for part in iter(lambda: self.log.read(LOG_CHARACTERS), ""):  # of a log of any length
                last = part.strip().splitlines() or last
            raise RunFailed(f"{self.called} cannot be measured: {one_line(last[-1])}")
        return line


def compare(then: "Asked", now: "Asked", name: str, what: str, rounds: int) -> SpeedRatio:
    """The ratio of two speeds from rounds in which either goes first by turns."""
    try:
        calls = max(1, round(BLOCK_SECONDS / max(now.seconds(what, 1), then.seconds(what, 1), 1e-6)))
        pairs = list(_rounds(then, now, what, calls, rounds))
    except BenchError as error:
        return SpeedRatio(name, WHAT[what], why=str(error))
    ratio, low, high = median_interval([before / after for before, after in pairs])
    middle = [sorted(side)[len(pairs) // 2] for side in zip(*pairs, strict=True)]
    return SpeedRatio(name, WHAT[what], calls / middle[0], calls / middle[1], ratio, low, high, rounds)


def _rounds(then: "Asked", now: "Asked", what: str, calls: int, rounds: int) -> Iterator[tuple[float, float]]:
    for index in range(rounds):
        if index % 2 == 0:
            before = then.seconds(what, calls)
            yield before, now.seconds(what, calls)
        else:
            after = now.seconds(what, calls)
            yield then.seconds(what, calls), after
