"""``bench tune`` as a user meets it: on validation, from rung to rung, resumed, and never among the results."""

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
    """Killed once while its first trials go on, then repeated."""
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


def test_every_trial_is_a_record_of_its_own_place(tuned: Any, folder: Path) -> None:
    assert tuned.returncode == 0, tuned.stderr
    assert "interrupted earlier" in tuned.stderr and "compared after 10, 20 steps" in tuned.stderr
    found = records(folder / "results" / "tuning" / "honest-quick")
    assert 1 <= len(found) <= 4
    assert {record.status for record in found} <= {"ok", "pruned"}
    for record in found:
        assert record.protocol.evaluate == "validation" and not record.ranked
        assert set(record.identity.overrides) == {"learning_rate", "width"}
        assert record.status == "ok" or str(record.reason).startswith("pruned after")
    assert records(folder / "results") == []  # a search's trials stand in no table
    assert not list(folder.rglob("work"))


def test_going_from_rung_to_rung_changes_nothing(tuned: Any, folder: Path) -> None:
    """The same fields as a variant, trained in one go: the same weights and the same figures."""
    whole = [item for item in records(folder / "results" / "tuning" / "honest-quick") if item.status == "ok"]
    best = whole[0]
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


def test_the_report(tuned: Any, folder: Path) -> None:
    shown = bench("tune", *arguments(folder), "--report")
    assert shown.returncode == 0 and shown.stdout.strip() in tuned.stdout
    assert "Study of honest, profile quick: 4 trials" in shown.stdout
    start = shown.stdout.index("ablations:")
    variant = yaml.safe_load(shown.stdout[start:].split("\n\n")[0])["ablations"]["tuned"]
    overrides = [item.identity.overrides for item in records(folder / "results" / "tuning" / "honest-quick")]
    assert variant["set"] in overrides


def test_a_finished_search_is_not_repeated_and_can_be_longer(tuned: Any, folder: Path) -> None:
    again = bench("tune", *arguments(folder))
    assert again.returncode == 0 and "0 of 4 trials to run" in again.stderr


def test_what_no_search_may_do(folder: Path, tmp_path: Path) -> None:
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


def test_fields_that_the_config_does_not_have_fail_the_trial(folder: Path, tmp_path: Path) -> None:
    space = {"space": {"lerning_rate": {"uniform": [0.1, 0.2]}}}
    write_submission(tmp_path, "typo", manifest=yaml.safe_dump({"track": "tiny", "search": space}))
    options = ("--track", folder / "tiny.yaml", "--profile", "quick", "--device", "cpu", "--results", tmp_path)
    done = bench("tune", tmp_path / "typo", "--trials", 1, *options)
    assert done.returncode == ExitCode.RUN_FAILED and "1 failed" in done.stdout
    (record,) = records(tmp_path / "tuning" / "typo-quick")
    assert "lerning_rate" in str(record.reason)
