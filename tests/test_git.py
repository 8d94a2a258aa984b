"""git commands use the given folder, even inside a hook, and failures give the reason."""

import os
import subprocess
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.git import GitFailed, git
from bench.measure.machine import environment
from bench.report.records.reference import reference_records
from tests.report.making_contest import write_contest
from tests.report.making_records import make_record


def repository(folder: Path, name: str) -> Path:
    """Make a git repository ``name`` with one record in its results folder; each name has another commit."""
    root = folder / name
    write_contest(root / "results", [make_record(name)])
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", name],
    ):
        subprocess.run(["git", "-C", root, *words], check=True, capture_output=True)
    return root


def test_git_variables_of_a_hook_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = repository(tmp_path, "own"), repository(tmp_path, "other")
    commit = git(own, "rev-parse", "HEAD")
    assert git(other, "rev-parse", "HEAD") != commit
    for name, value in (
        ("GIT_DIR", other / ".git"),
        ("GIT_WORK_TREE", other),
        ("GIT_INDEX_FILE", other / "index"),
    ):
        monkeypatch.setenv(name, str(value))
    assert git(own, "rev-parse", "HEAD") == commit
    records, problems = reference_records("HEAD", own / "results", option="--baseline")
    assert [record.identity.submission for record in records] == ["own"] and problems == []


def test_git_errors_give_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = repository(tmp_path, "own")
    with pytest.raises(GitFailed, match="single revision"):
        git(own, "rev-parse", "--verify", "v9")
    with pytest.raises(GitFailed, match="not a git repository"):
        git(tmp_path, "status")
    with pytest.raises(UsageError, match="neither a results folder nor a git revision.*not a git repository"):
        reference_records("HEAD", tmp_path / "results", option="--baseline")
    if os.getuid() == 0:
        os.chown(own / ".git", 12345, 12345)
        os.chown(own, 12345, 12345)
        with pytest.raises(GitFailed, match="git does not trust .*safe.directory"):
            git(own, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitFailed, match="git is not installed"):
        git(own, "rev-parse", "HEAD")


def test_machine_record_says_why_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    commit = environment.capture_machine()["repository"]
    assert commit["commit"] is None and "not a git repository" in commit["unknown"]
