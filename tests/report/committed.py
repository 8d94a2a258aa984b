"""The committed records, without those of later runs in this working tree; and the notes on them."""

import subprocess

import pytest

from bench.contract.records.files import read_record
from bench.contract.records.record import Record
from bench.files import REPOSITORY


def committed_records(folder: str) -> list[Record]:
    """Return the committed records below ``folder`` of the repository; skip the test outside of a git checkout."""
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", folder], capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [read_record(REPOSITORY / line) for line in listed.stdout.splitlines() if line.endswith(".json")]


def notes_of(submission: str) -> str:
    """Return a submission's manifest as one line, to search for the values that its notes quote."""
    return " ".join((REPOSITORY / "submissions" / submission / "submission.yaml").read_text().split())
