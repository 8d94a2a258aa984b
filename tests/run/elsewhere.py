"""What the tests of clusters share: a contest whose training is slow enough to be disturbed, and a look at it."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract.records import Record, read_record, record_paths
from tests.making import TRACK, write_submission, write_track

# Slow enough that a node can be lost while both train: sixteen seconds.
SLOW = {"loss": "import time; time.sleep(0.18 if 20 < step < 110 else 0)"}


@dataclass
class Contest:
    """What to run, and where."""

    folder: Path
    submission: Path
    track: Path
    seeds: int

    def arguments(self, place: str, *more: str) -> list[str]:
        options = ("--track", self.track, "--device", "cpu", "--seeds", self.seeds, "--profile", "quick")
        results = self.folder / place
        return [str(item) for item in (self.submission, *options, "--results", results, *more)]


def found(results: Path) -> dict[int, Record]:
    """Seed -> record; a seed that has two would be seen."""
    records = [read_record(path) for path in record_paths(results)]
    assert len({record.identity.seed for record in records}) == len(records)
    return {record.identity.seed: record for record in records}


def in_training(said: list[dict[str, Any]]) -> set[int]:
    """The seeds that were in the middle of their slow steps when something was last heard of them."""
    last = {event["seed"]: event for event in said if event["event"] == "progress"}
    return {seed for seed, event in last.items() if event["phase"] == "train" and 30 < event["done"] < 100}


def content(record: Record) -> dict[str, Any]:
    """What has to be the same wherever it ran."""
    plain = record.without_times()
    del plain["environment"]["jobs_side_by_side"]  # one on a node of one core
    return plain


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    """``bench run`` with a checkpoint five times a second."""
    environment = {**os.environ, "BENCH_CHECKPOINT_SECONDS": "0.2", "BENCH_WEIGHTS": os.devnull}
    # A suite that runs in the background of a shell inherits a SIGINT that is ignored.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heed}; from bench.cli import main; main()", "run", *arguments]
    return subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def events(process: "subprocess.Popen[str]") -> Iterator[list[dict[str, Any]]]:
    """What the command has said so far, again after each line of it."""
    assert process.stderr is not None
    said: list[dict[str, Any]] = []
    for line in process.stderr:
        with contextlib.suppress(ValueError):
            said.append(json.loads(line))
            yield said


def make_contest(folder: Path, seeds: int) -> Contest:
    """One submission on a track of 150 steps."""
    track = write_track(folder, TRACK.replace("steps: 12", "steps: 150"))
    return Contest(folder, write_submission(folder, "honest", SLOW), track, seeds)
