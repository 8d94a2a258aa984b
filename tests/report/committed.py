"""The committed records, and no others, for whoever ran something here since has more; and the notes on them."""

import subprocess

import pytest

from bench.contract.records.files import read_record
from bench.contract.records.record import Record
from bench.files import REPOSITORY


def committed_records(folder: str) -> list[Record]:
    """Those below a folder of the repository; outside a git checkout the test is skipped, visibly."""
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", folder], capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [read_record(REPOSITORY / line) for line in listed.stdout.splitlines() if line.endswith(".json")]


def notes_of(submission: str) -> str:
    """A submission's manifest as one line, for finding what its notes quote."""
    return " ".join((REPOSITORY / "submissions" / submission / "submission.yaml").read_text().split())
