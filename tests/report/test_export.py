"""Exports to trackers: the values read back by each tracker's library are those of the records."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.contract.records.record import Record
from bench.errors import NothingToDo, UsageError
from bench.report.export.command import export_command, exported_run
from bench.report.export.trackers import TRACKERS
from tests.report.making_records import make_record
from tests.report.test_status import put

READERS = {
    "tensorboard": """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
runs = {}
for folder in Path("there").iterdir():
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    tags = events.Tags()["scalars"]
    curve = [(e.step, e.value) for e in events.Scalars("train/loss")] if "train/loss" in tags else []
    final = [e.value for e in events.Scalars("final/metrics.top1_accuracy")] if curve else []
    runs[folder.name] = (curve, final)
""",
    "mlflow": """
from mlflow import MlflowClient
client = MlflowClient("sqlite:///there.db")
runs = {}
for run in client.search_runs([client.get_experiment_by_name("capbench").experiment_id]):
    curve = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "train/loss")]
    final = [run.data.metrics["final/metrics.top1_accuracy"]] if curve else []
    runs[run.info.run_name] = (sorted(curve), final)
    assert run.data.params["submission"] == "net" and run.info.status == ("FINISHED" if curve else "FAILED")
""",
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for record in records():
        put(tmp_path / "results", record)
    return tmp_path / "results"


def records() -> list[Record]:
    return [make_record("net", 0, 0.5), make_record("net", 1, 0.625), make_record("net", 2, None)]


def run_in_subprocess(folder: Path, code: str) -> str:
    """Run code in a subprocess, because tracker libraries start threads and print warnings."""
    environment = {
        **os.environ,
        "WANDB_MODE": "offline",
        "TRACKIO_DIR": str(folder / "trackio"),
        "WANDB_DIR": str(folder),
    }
    completed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def export(folder: Path, to: str, destination: str) -> str:
    code = "from pathlib import Path; from bench.report.export.command import export_command; "
    return run_in_subprocess(
        folder, code + f"export_command({to!r}, {destination!r}, Path('results'))"
    ).splitlines()[-1]


@pytest.mark.parametrize(("to", "destination"), [("tensorboard", "there"), ("mlflow", "sqlite:///there.db")])
def test_curves_and_metrics_round_trip(tmp_path: Path, results: Path, to: str, destination: str) -> None:
    assert export(tmp_path, to, destination) == f"3 runs exported to {to} {destination}, 0 were there already"
    assert export(tmp_path, to, destination) == f"0 runs exported to {to} {destination}, 3 were there already"
    code = f"from pathlib import Path{READERS[to]}\nprint(repr(runs))"
    runs: dict[str, Any] = eval(run_in_subprocess(tmp_path, code).splitlines()[-1])
    expected = {}
    for run in map(exported_run, records()):
        expected[run.name] = (
            run.curves.get("loss", []),
            [run.metrics["metrics.top1_accuracy"]] if run.curves else [],
        )
    assert runs.keys() == expected.keys()
    for name, (curve, final) in expected.items():
        assert [step for step, _ in runs[name][0]] == [step for step, _ in curve]
        assert [value for _, value in runs[name][0]] == pytest.approx([value for _, value in curve], rel=1e-6)
        assert list(runs[name][1]) == pytest.approx(final, rel=1e-6)


def test_wandb_has_one_offline_run_per_record(tmp_path: Path, results: Path) -> None:
    assert export(tmp_path, "wandb", "there").startswith("3 runs exported")
    assert export(tmp_path, "wandb", "there").startswith("0 runs exported")
    run_folders = {path.name.rpartition("-")[2]: path for path in (tmp_path / "wandb").glob("offline-run-*")}
    checksums = {record.checksum for record in map(exported_run, read_records(results))}
    assert set(run_folders) == {checksum[:32] for checksum in checksums}
    for path in run_folders.values():
        content = b"".join(file.read_bytes() for file in path.glob("*.wandb"))
        assert b"config.batch_size" in content and b"net/base" in content


def test_trackio_database_has_the_records(tmp_path: Path, results: Path) -> None:
    assert export(tmp_path, "trackio", "there").startswith("3 runs exported")
    assert export(tmp_path, "trackio", "there").startswith("0 runs exported")
    (database,) = (tmp_path / "trackio").glob("there*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select run_name, step, metrics from metrics").fetchall()
    first = exported_run(read_records(results)[0])
    logged = [(step, metrics) for name, step, metrics in rows if name == f"{first.name}-{first.checksum[:8]}"]
    assert {step for step, _ in logged} == {step for step, _ in first.curves["loss"]}
    assert any(json.loads(metrics).get("final/metrics.top1_accuracy") == 0.5 for _, metrics in logged)


def read_records(results: Path) -> list[Record]:
    from bench.report.records.load import read_all

    return read_all(results)[0]


def test_invalid_options_are_refused(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"--to 'excel': give tensorboard, trackio, wandb, mlflow"):
        export_command("excel", "there", results)
    with pytest.raises(NothingToDo):
        export_command("tensorboard", "there", results, track="cifar100-open")
    monkeypatch.setattr("bench.report.optional_packages.find_spec", lambda name: None)
    for name in TRACKERS:
        with pytest.raises(UsageError, match=rf"needs {name}; install it with pip install 'capbench\[{name}\]'"):
            export_command(name, "there", results)
