"""``bench tune`` from the command line: validation only, rungs, resuming, and records apart from the results."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from bench.errors import ExitCode
from tests.making import TRACK, USUAL, bench, write_submission, write_track

optuna = pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'capbench[tune]'")

SEARCH = {
    "trials": 4,
    "rungs": {"first": 0.25, "factor": 2},
    "space": {"learning_rate": {"log_uniform": [1e-4, 3e-2]}, "width": {"integer": [6, 9]}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    manifest = yaml.safe_dump({"track": "tiny", "search": SEARCH})
    write_submission(folder, "honest", manifest=manifest)
    write_track(folder, TRACK.replace("steps: 12", "steps: 40"))
    return folder


def arguments(folder: Path, *more: object, results: str = "results", name: str = "honest") -> list[str]:
    options = ("--track", folder / "tiny.yaml", "--device", "cpu", "--jobs", 2, "--results", folder / results)
    return [str(item) for item in (folder / name, "--profile", "quick", *options, *more)]


def records(folder: Path) -> list[Record]:
    return [read_record(path) for path in record_paths(folder)]


@pytest.fixture(scope="module")
def tuned(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Kill a search during its first trials, then repeat the command."""
    command = [sys.executable, "-m", "bench", "tune", *arguments(folder)]
    environment = {**os.environ, **USUAL, "BENCH_CHECKPOINT_SECONDS": "0"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "progress" and event["phase"] == "train" and event["done"] >= 20:
                process.kill()
                break
    return bench("tune", *arguments(folder), BENCH_CHECKPOINT_SECONDS="0")


def test_each_trial_has_a_record_in_the_tuning_folder(tuned: Any, folder: Path) -> None:
    assert tuned.returncode == 0, tuned.stderr
    assert "interrupted earlier" in tuned.stderr and "compared after 10, 20 steps" in tuned.stderr
    trials = records(folder / "results" / "tuning" / "honest-quick")
    assert 1 <= len(trials) <= 4
    assert {record.status for record in trials} <= {"ok", "pruned"}
    for record in trials:
        assert record.protocol.evaluate == "validation" and not record.ranked
        assert set(record.identity.overrides) == {"learning_rate", "width"}
        assert record.status == "ok" or str(record.reason).startswith("pruned after")
    assert records(folder / "results") == []  # trials are not among the results
    assert not list(folder.rglob("work"))


def test_trial_with_rungs_equals_an_uninterrupted_run(tuned: Any, folder: Path) -> None:
    """A variant with the same fields, trained without pauses, has the same weights and metrics."""
    completed = [item for item in records(folder / "results" / "tuning" / "honest-quick") if item.status == "ok"]
    best = completed[0]
    ablations = {"same": {"set": best.identity.overrides}}
    manifest = yaml.safe_dump({"track": "tiny", "ablations": ablations})
    shutil.copytree(folder / "honest", folder / "again" / "honest")
    (folder / "again" / "honest" / "submission.yaml").write_text(manifest)
    run = arguments(folder, "--variants", "same", "--seeds", 1, results="direct", name="again/honest")
    assert bench("run", *run).returncode == 0
    (direct,) = records(folder / "direct")
    assert direct.training is not None and best.training is not None
    assert direct.training.weights_sha256 == best.training.weights_sha256
    assert direct.training.curves == best.training.curves and direct.evaluation == best.evaluation
    assert best.timing.resumes >= 2 and direct.timing.resumes == 0


def test_report_proposes_a_trial_as_a_variant(tuned: Any, folder: Path) -> None:
    report = bench("tune", *arguments(folder), "--report")
    assert report.returncode == 0 and report.stdout.strip() in tuned.stdout
    assert "Study of honest, profile quick: 4 trials" in report.stdout
    start = report.stdout.index("ablations:")
    variant = yaml.safe_load(report.stdout[start:].split("\n\n")[0])["ablations"]["tuned"]
    overrides = [item.identity.overrides for item in records(folder / "results" / "tuning" / "honest-quick")]
    assert variant["set"] in overrides


def test_finished_search_is_not_repeated(tuned: Any, folder: Path) -> None:
    again = bench("tune", *arguments(folder))
    assert again.returncode == 0 and "0 of 4 trials to run" in again.stderr


def test_invalid_search_commands_are_refused(folder: Path, tmp_path: Path) -> None:
    official = bench("tune", folder / "honest", "--profile", "official", "--track", folder / "tiny.yaml")
    assert official.returncode == ExitCode.USAGE and "a search may use only validation" in official.stderr
    write_submission(tmp_path, "plain")
    none = bench("tune", tmp_path / "plain", "--profile", "quick", "--track", folder / "tiny.yaml")
    assert none.returncode == ExitCode.NOTHING and "has no `search`" in none.stderr
    nowhere = bench("tune", tmp_path / "plain", "--report", "--results", tmp_path)
    assert nowhere.returncode == ExitCode.NOTHING and "no such study" in nowhere.stderr
    for option, value in (("--search", "magic"), ("--scheduler", "magic")):
        wrong = bench("tune", *arguments(folder, option, value, results="wrong"))
        assert wrong.returncode == ExitCode.USAGE and f"{option} 'magic': give" in wrong.stderr


def test_search_space_with_an_unknown_field_fails_the_trial(folder: Path, tmp_path: Path) -> None:
    space = {"space": {"lerning_rate": {"uniform": [0.1, 0.2]}}}
    write_submission(tmp_path, "typo", manifest=yaml.safe_dump({"track": "tiny", "search": space}))
    options = ("--track", folder / "tiny.yaml", "--profile", "quick", "--device", "cpu", "--results", tmp_path)
    result = bench("tune", tmp_path / "typo", "--trials", 1, *options)
    assert result.returncode == ExitCode.RUN_FAILED and "1 failed" in result.stdout
    (record,) = records(tmp_path / "tuning" / "typo-quick")
    assert "lerning_rate" in str(record.reason)
