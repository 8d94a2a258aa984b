"""Helpers for the Ray and Slurm tests: a training slow enough to interrupt, its events and its records."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from tests.making import TRACK, USUAL, write_submission, write_track

# Steps 21 to 139 are slow until the file exists, so that all seeds train at once while a test interrupts them.
SLOW = "import os, time; time.sleep(0.25 if 20 < step < 140 and not os.path.exists({go!r}) else 0)"


@dataclass
class Contest:
    """A submission with its track, and the folder for results."""

    folder: Path
    submission: Path
    track: Path
    seeds: int
    go: Path  # ends the delay of all trainings; in the submission's folder, which is visible in the sandbox

    def arguments(self, results_name: str, *more: str) -> list[str]:
        options = ("--track", self.track, "--device", "cpu", "--seeds", self.seeds, "--profile", "quick")
        results = self.folder / results_name
        return [str(item) for item in (self.submission, *options, "--results", results, *more)]


def records_by_seed(results: Path) -> dict[int, Record]:
    """Return seed → record; fail if a seed has two records."""
    records = [read_record(path) for path in record_paths(results)]
    assert len({record.identity.seed for record in records}) == len(records)
    return {record.identity.seed: record for record in records}


def in_training(received: list[dict[str, Any]]) -> set[int]:
    """Return the seeds whose latest progress event is in the middle of the slow steps."""
    last = {event["seed"]: event for event in received if event["event"] == "progress"}
    return {seed for seed, event in last.items() if event["phase"] == "train" and 30 < event["done"] < 140}


def comparable_content(record: Record) -> dict[str, Any]:
    """Return the record's content that must not depend on the machine or executor."""
    content = record.without_times()
    for name in ("jobs_side_by_side", "sandbox"):  # a node has one core; forked phases have no sandbox
        del content["environment"][name]
    return content


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    """Start ``bench run`` with a checkpoint every 0.2 s."""
    environment = {**os.environ, **USUAL, "BENCH_CHECKPOINT_SECONDS": "0.2"}
    command = [sys.executable, "-m", "bench", "run", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def events(process: "subprocess.Popen[str]") -> Iterator[list[dict[str, Any]]]:
    """Yield the list of all events so far after each new event of the command."""
    assert process.stderr is not None
    received: list[dict[str, Any]] = []
    for line in process.stderr:
        with contextlib.suppress(ValueError):
            received.append(json.loads(line))
            yield received


def make_contest(folder: Path, seeds: int) -> Contest:
    """Write one slow submission on a track of 150 steps."""
    track = write_track(folder, TRACK.replace("steps: 12", "steps: 150"))
    go = folder / "honest" / "go"
    submission = write_submission(folder, "honest", {"loss": SLOW.format(go=str(go))})
    return Contest(folder, submission, track, seeds, go)
