"""Runs on SLURM: on a real cluster if this machine can submit to one, otherwise on a stand-in for its commands."""

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
from tests.harness.elsewhere import (
    Contest,
    comparable_content,
    events,
    in_training,
    make_contest,
    records_by_seed,
    start,
)
from tests.making import HUNG_SECONDS, bench

pytest.importorskip("submitit", reason="submitit is an extra: pip install 'capbench[slurm]'")
from bench.harness.executors.remote import slurm

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
ON_SLURM = ("--executor", "slurm")
pytestmark = pytest.mark.processes
SEEDS = 2


def slurm_is_available() -> bool:
    """Return whether a real SLURM answers."""
    try:
        return subprocess.run(["sinfo"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use the real SLURM or put the stand-in's commands on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CHECKPOINT_SECONDS", "0.2")
        if not slurm_is_available():
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


def job_of(contest: Contest, results_name: str) -> str:
    """Return the SLURM job id of an unfinished run."""
    return next((contest.folder / results_name).rglob(f"{slurm.FOLDER}/{slurm.JOB}")).read_text()


def test_requeued_job_resumes_and_records_equal_local_ones(contest: Contest) -> None:
    requeued = False
    contest.go.unlink(missing_ok=True)
    with start(contest.arguments("cluster", *ON_SLURM)) as process:
        for received in events(process):
            if not requeued and in_training(received) == {0, 1}:
                requeued = True
                subprocess.run(["scontrol", "requeue", job_of(contest, "cluster")], check=True)
                contest.go.touch()
        assert process.wait(timeout=HUNG_SECONDS) == 0, received
    assert requeued and any("queued again by SLURM" in event.get("text", "") for event in received)
    assert bench("run", *contest.arguments("local", "--jobs", "2")).returncode == 0
    remote_records = records_by_seed(contest.folder / "cluster")
    local_records = records_by_seed(contest.folder / "local")
    assert {seed: comparable_content(record) for seed, record in remote_records.items()} == {
        seed: comparable_content(record) for seed, record in local_records.items()
    }
    assert sorted(record.timing.resumes for record in remote_records.values()) == [0, 1]
    assert {tuple(record.environment["sandbox"].items()) for record in remote_records.values()} == {
        tuple(asdict(choose_sandbox("auto")).items())
    }
    assert not list((contest.folder / "cluster").rglob("work"))


def test_interrupted_slurm_run_cancels_its_job_and_resumes_locally(contest: Contest) -> None:
    contest.go.unlink(missing_ok=True)
    with start(contest.arguments("stopped", *ON_SLURM, "--seeds", "1")) as process:
        for received in events(process):
            if in_training(received):
                job = job_of(contest, "stopped")
                process.send_signal(signal.SIGINT)
                break
        assert process.stderr is not None and "checkpoints are kept" in process.stderr.read()
        contest.go.touch()
        assert process.wait(timeout=HUNG_SECONDS) == ExitCode.INTERRUPTED
    assert not slurm.SlurmQueue().holds(job)
    assert bench("run", *contest.arguments("stopped", "--jobs", "2", "--seeds", "1")).returncode == 0
    assert [record.timing.resumes for record in records_by_seed(contest.folder / "stopped").values()] == [1]


def test_job_of_a_killed_command_is_cancelled_before_its_run_resumes(tmp_path: Path) -> None:
    script, folder = tmp_path / "script.sh", tmp_path / slurm.FOLDER
    script.write_text("#!/bin/bash\n#SBATCH --output=/dev/null\nsleep 300\n")
    job = subprocess.check_output(["sbatch", script], text=True).split()[-1]
    folder.mkdir()
    (folder / slurm.JOB).write_text(job)
    assert slurm.SlurmQueue().holds(job)
    executor: Any = slurm.SlurmExecutor()
    executor._cancel_earlier(folder)
    assert not slurm.SlurmQueue().holds(job) and not folder.exists()


class SilentJob:
    """A job that never reports a result."""

    def __init__(self, folder: Path) -> None:
        self.job_id, self.paths = "0", self
        self.result_pickle = folder / "result"

    @staticmethod
    def stderr() -> str:
        return "slurmstepd: error: something\nhappened"


def test_job_without_a_result_fails_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "LOST_SECONDS", 1.0)
    executor: Any = slurm.SlurmExecutor()
    result = executor._wait(SilentJob(tmp_path), threading.Event())
    reason = "SLURM job 0 ended without a result: slurmstepd: error: something happened"
    assert result.failure == Failure(status="error", reason=reason)


def test_job_is_not_lost_while_squeue_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squeue").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "squeue").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert slurm.SlurmQueue().holds("1")


@pytest.mark.parametrize(
    ("variables", "memory_bytes"),
    [
        ({}, None),
        ({"SLURM_MEM_PER_NODE": "1000"}, 943_718_400),
        ({"SLURM_MEM_PER_CPU": "500", "SLURM_CPUS_ON_NODE": "2"}, 943_718_400),
    ],
)
def test_memory_of_a_job_is_read_from_slurm_variables(
    variables: dict[str, str], memory_bytes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert slurm._memory_of_job() == memory_bytes


def test_missing_sbatch_is_a_usage_error(contest: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath if shutil.which("sbatch", path=os.defpath) is None else "/nowhere")
    result = bench("run", *contest.arguments("nowhere", *ON_SLURM))
    assert result.returncode == ExitCode.USAGE and "no `sbatch` on this machine" in result.stderr
    assert "Traceback" not in result.stderr
