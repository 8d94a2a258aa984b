"""A stand-in for SLURM on one machine, with the part of its commands that submitit and capbench use.

Every job starts at once. The script is installed under the name of each command (``sbatch``, ``srun``, ...) and
keeps its jobs in ``$SLURM_STAND_IN``. The tests prefer a real SLURM, and have passed on one.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil


def jobs() -> Path:
    return Path(os.environ["SLURM_STAND_IN"])


def start(job_id: str, restarts: int) -> None:
    variables = {
        "SLURM_JOB_ID": job_id,
        "SLURM_NTASKS": "1",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_JOB_NODELIST": "here",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        **({"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}),
    }
    script = jobs() / f"{job_id}.sh"
    process = subprocess.Popen(
        ["bash", script],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    (jobs() / f"{job_id}.json").write_text(json.dumps({"pid": process.pid, "restarts": restarts}))


def process_tree(job_id: str) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess, OSError):
        root = psutil.Process(json.loads((jobs() / f"{job_id}.json").read_text())["pid"])
        if root.status() != psutil.STATUS_ZOMBIE:
            return [root, *root.children(recursive=True)]
    return []


def end(job_id: str, signals: tuple[signal.Signals, ...]) -> None:
    processes = process_tree(job_id)
    for number in signals:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        psutil.wait_procs(processes, timeout=2)


def sbatch(script: str) -> None:
    job_id = str(int(time.time_ns()))[-12:]
    (jobs() / f"{job_id}.sh").write_text(Path(script).read_text())
    start(job_id, 0)
    print(f"Submitted batch job {job_id}")


def srun(*arguments: str) -> None:
    words, streams = list(arguments), {}
    while words[0].startswith("--"):
        option = words.pop(0)
        if option in ("--output", "--error"):
            streams[option] = words.pop(0).replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
    with Path(streams["--output"]).open("ab") as out, Path(streams["--error"]).open("ab") as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
    os.execvp(words[0], words)


def squeue(*options: str) -> None:
    assert options == ("--me", "--states=all", "--noheader", "--format=%A %T")
    for path in jobs().glob("*.json"):
        print(path.stem, "RUNNING" if process_tree(path.stem) else "COMPLETED")


def scancel(job_id: str) -> None:
    end(job_id, (signal.SIGTERM, signal.SIGKILL))


def scontrol(action: str, job_id: str) -> None:
    """Requeue a job as if its node had died."""
    assert action == "requeue"
    end(job_id, (signal.SIGKILL,))
    start(job_id, json.loads((jobs() / f"{job_id}.json").read_text())["restarts"] + 1)


def sinfo(*options: str) -> None:
    print("(null)")


if __name__ == "__main__":
    command = {
        "sbatch": sbatch,
        "srun": srun,
        "squeue": squeue,
        "scancel": scancel,
        "scontrol": scontrol,
        "sinfo": sinfo,
    }
    command[Path(sys.argv[0]).name](*sys.argv[1:])
