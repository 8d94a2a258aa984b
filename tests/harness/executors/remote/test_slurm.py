"""Runs on SLURM: on the cluster that this machine can submit to, or else on a stand-in for its commands."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.contract.jobs.reports import Failure
from bench.errors import ExitCode
from bench.harness.executors.sandbox import choose_sandbox
from tests.harness.elsewhere import Contest, content, events, found, in_training, make_contest, start
from tests.making import HUNG_SECONDS, bench

pytest.importorskip("submitit", reason="submitit is an extra: pip install 'capbench[slurm]'")
from bench.harness.executors.remote import slurm

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
ON_SLURM = ("--executor", "slurm")
pytestmark = pytest.mark.processes
SEEDS = 2


def answers() -> bool:
    """Whether there is a real one."""
    try:
        return subprocess.run(["sinfo"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A SLURM that jobs can be submitted to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CHECKPOINT_SECONDS", "0.2")
        if not answers():
            folder = tmp_path_factory.mktemp("commands")
            source = (Path(__file__).parent / "slurm_stand_in.py").read_text()
            for name in COMMANDS:
                (folder / name).write_text(f"#!{sys.executable}\n{source}")
                (folder / name).chmod(stat.S_IRWXU)
            patch.setenv("PATH", str(folder), prepend=os.pathsep)
            patch.setenv("SLURM_STAND_IN", str(tmp_path_factory.mktemp("jobs")))
        yield


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Contest:
    return make_contest(tmp_path_factory.mktemp("contest"), SEEDS)


def job_of(contest: Contest, place: str) -> str:
    """The job in the queue whose run is going on."""
    return next((contest.folder / place).rglob(f"{slurm.FOLDER}/{slurm.JOB}")).read_text()


def test_a_job_queued_again_goes_on_and_every_record_is_there_once(contest: Contest) -> None:
    lost = False
    contest.go.unlink(missing_ok=True)
    with start(contest.arguments("cluster", *ON_SLURM)) as process:
        for said in events(process):
            if not lost and in_training(said) == {0, 1}:
                lost = True
                subprocess.run(["scontrol", "requeue", job_of(contest, "cluster")], check=True)
                contest.go.touch()
        assert process.wait(timeout=HUNG_SECONDS) == 0, said
    assert lost and any("queued again by SLURM" in event.get("text", "") for event in said)
    assert bench("run", *contest.arguments("here", "--jobs", "2")).returncode == 0
    theirs, ours = found(contest.folder / "cluster"), found(contest.folder / "here")
    assert {seed: content(record) for seed, record in theirs.items()} == {
        seed: content(record) for seed, record in ours.items()
    }
    assert sorted(record.timing.resumes for record in theirs.values()) == [0, 1]
    assert {tuple(record.environment["sandbox"].items()) for record in theirs.values()} == {
        tuple(asdict(choose_sandbox("auto")).items())
    }
    assert not list((contest.folder / "cluster").rglob("work"))


def test_interrupted_it_ends_its_jobs_and_goes_on_here(contest: Contest) -> None:
    contest.go.unlink(missing_ok=True)
    with start(contest.arguments("stopped", *ON_SLURM, "--seeds", "1")) as process:
        for said in events(process):
            if in_training(said):
                job = job_of(contest, "stopped")
                process.send_signal(signal.SIGINT)
                break
        assert process.stderr is not None and "checkpoints are kept" in process.stderr.read()
        contest.go.touch()
        assert process.wait(timeout=HUNG_SECONDS) == ExitCode.INTERRUPTED
    assert not slurm.SlurmQueue().holds(job)
    assert bench("run", *contest.arguments("stopped", "--jobs", "2", "--seeds", "1")).returncode == 0
    assert [record.timing.resumes for record in found(contest.folder / "stopped").values()] == [1]


def test_what_a_killed_command_left_in_the_queue_is_ended_before_a_run_goes_on(tmp_path: Path) -> None:
    script, folder = tmp_path / "script.sh", tmp_path / slurm.FOLDER
    script.write_text("#!/bin/bash\n#SBATCH --output=/dev/null\nsleep 300\n")
    job = subprocess.check_output(["sbatch", script], text=True).split()[-1]
    folder.mkdir()
    (folder / slurm.JOB).write_text(job)
    assert slurm.SlurmQueue().holds(job)
    executor: Any = slurm.SlurmExecutor()
    executor._cancel_earlier(folder)
    assert not slurm.SlurmQueue().holds(job) and not folder.exists()


class Quiet:
    """A job of which nothing is heard."""

    def __init__(self, folder: Path) -> None:
        self.job_id, self.paths = "0", self
        self.result_pickle = folder / "result"

    @staticmethod
    def stderr() -> str:
        return "slurmstepd: error: something\nhappened"


def test_a_job_that_ends_without_a_result_fails_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "LOST_SECONDS", 1.0)
    executor: Any = slurm.SlurmExecutor()
    done = executor._wait(Quiet(tmp_path), threading.Event())
    reason = "SLURM job 0 ended without a result: slurmstepd: error: something happened"
    assert done.failure == Failure(status="error", reason=reason)


def test_a_queue_that_does_not_answer_loses_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squeue").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "squeue").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert slurm.SlurmQueue().holds("1")


@pytest.mark.parametrize(
    ("told", "bytes_"),
    [
        ({}, None),
        ({"SLURM_MEM_PER_NODE": "1000"}, 943_718_400),
        ({"SLURM_MEM_PER_CPU": "500", "SLURM_CPUS_ON_NODE": "2"}, 943_718_400),
    ],
)
def test_the_memory_that_slurm_gives(
    told: dict[str, str], bytes_: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert slurm._memory_of_job() == bytes_


def test_nowhere_to_submit_to(contest: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath if shutil.which("sbatch", path=os.defpath) is None else "/nowhere")
    done = bench("run", *contest.arguments("nowhere", *ON_SLURM))
    assert done.returncode == ExitCode.USAGE and "no `sbatch` on this machine" in done.stderr
    assert "Traceback" not in done.stderr
