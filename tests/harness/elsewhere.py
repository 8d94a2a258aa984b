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

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from tests.making import TRACK, USUAL, write_submission, write_track

# Slow until a file says that what was to be disturbed has been: so long that all train at once meanwhile.
SLOW = "import os, time; time.sleep(0.25 if 20 < step < 140 and not os.path.exists({go!r}) else 0)"


@dataclass
class Contest:
    """What to run, and where."""

    folder: Path
    submission: Path
    track: Path
    seeds: int
    go: Path  # trainings go on without delay while it is there; in the submission's folder, which walls show

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
    return {seed for seed, event in last.items() if event["phase"] == "train" and 30 < event["done"] < 140}


def content(record: Record) -> dict[str, Any]:
    """What has to be the same wherever it ran."""
    plain = record.without_times()
    for name in ("jobs_side_by_side", "sandbox"):  # a node has one core; forked phases have no walls
        del plain["environment"][name]
    return plain


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    """``bench run`` with a checkpoint five times a second."""
    environment = {**os.environ, **USUAL, "BENCH_CHECKPOINT_SECONDS": "0.2"}
    command = [sys.executable, "-m", "bench", "run", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


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
    go = folder / "honest" / "go"
    submission = write_submission(folder, "honest", {"loss": SLOW.format(go=str(go))})
    return Contest(folder, submission, track, seeds, go)
