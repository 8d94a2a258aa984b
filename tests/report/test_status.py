"""What the results folder says of every run, and a command that would go on from there."""

import json
from pathlib import Path

import pytest
from filelock import FileLock

from bench.contract.records import Record, record_path, write_record
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.status import Run, runs, show_text, status_command, status_text
from tests.making import bench
from tests.report.making_contest import floor, generator
from tests.report.making_records import make_record


def put(results: Path, *records: Record) -> Path:
    for record in records:
        path = record_path(results, record.identity, record.protocol)
        write_record(path, record)
    return path


def found(results: Path) -> dict[str, Run]:
    return {f"{run.name} {run.seed}": run for run in runs(results)}


def test_done_and_failed(tmp_path: Path) -> None:
    put(tmp_path, *(make_record("net", seed) for seed in (0, 1)), make_record("net", 2, None, reason="OSError: 5"))
    put(tmp_path, make_record("net", 0, None, variant="wide", profile="quick"))
    state = found(tmp_path)
    assert (state["net 0"].state, state["net 0"].repair) == ("ok", "")
    assert (state["net 2"].state, state["net 2"].reason) == ("error", "OSError: 5")
    assert state["net 2"].repair == "bench run submissions/net --profile official --seeds 2, --retry failed"
    assert "submissions/net --variants wide --profile quick --seeds 0," in state["net/wide 0"].repair
    text = status_text(tmp_path)
    assert "✗ net official seed 2: error: OSError: 5" in text and "1 error" in text
    assert status_command(tmp_path) == ExitCode.RUN_FAILED


def test_all_done(tmp_path: Path) -> None:
    put(tmp_path, make_record("net", 0))
    assert status_command(tmp_path) == ExitCode.OK and "✗" not in status_text(tmp_path)
    with pytest.raises(NothingToDo, match="no runs"):
        status_text(tmp_path / "elsewhere")


def test_running_and_interrupted(tmp_path: Path) -> None:
    work = tmp_path / "runs" / "t" / "net" / "base" / "seed3-0123abcd" / "work"
    work.mkdir(parents=True)
    assert found(tmp_path)["net None"].state == "interrupted"  # killed before it had a specification
    (work / "train").mkdir()
    (work / "train" / "spec.json").write_text(json.dumps({"protocol": {"profile": "quick"}, "seed": 3}))
    assert found(tmp_path)["net 3"].repair == "bench run submissions/net --profile quick --seeds 3,"
    with FileLock(work.parent.with_suffix(".lock")):
        running = found(tmp_path)["net 3"]
        assert (running.state, running.repair) == ("running", "")
        assert status_command(tmp_path) == ExitCode.OK
    assert found(tmp_path)["net 3"].state == "interrupted"


def test_not_measured_and_real_images(tmp_path: Path) -> None:
    record = generator("gan", 0, None).model_copy(update={"not_measured": {"fid_10000": "no weights"}})
    put(tmp_path, record)
    put(tmp_path, floor(5.0).model_copy(update={"not_measured": {"lpips_alex_64": "damaged"}}))
    state = found(tmp_path)
    assert (state["gan 0"].state, state["gan 0"].reason) == ("not measured", "no weights")
    assert state["gan 0"].repair.startswith("bench fetch all; bench run submissions/gan ")
    assert state["real-images 0"].repair == "bench fetch all; bench floor --profile official"


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, make_record("net", 0))
    path.write_text(path.read_text()[:100])
    (run,) = runs(tmp_path)
    assert run.state == "unreadable" and str(path) in run.repair
    assert "✗ net –: unreadable" in status_text(tmp_path)


def test_show(tmp_path: Path) -> None:
    path = put(tmp_path, make_record("net", 0))
    put(tmp_path, make_record("other", 0, None))
    (path.with_suffix("") / "samples.png").parent.mkdir()
    (path.with_suffix("") / "samples.png").write_bytes(b"")
    text = show_text(tmp_path, "net/base")
    assert text == show_text(tmp_path, path.stem.partition("-")[2]) == show_text(tmp_path, str(path))
    for part in (
        "top1_accuracy",
        "84,194",
        "A CPU",
        "samples.png",
        "ranked",
        "net, cifar100-classification, official",
    ):
        assert part in text
    assert "OSError: 5" in show_text(tmp_path, "other")
    for wanted, message in (("seed0", "2 records"), ("nobody", "no record")):
        with pytest.raises(UsageError, match=message):
            show_text(tmp_path, wanted)


def test_show_tells_parts_of_a_training_apart(tmp_path: Path) -> None:
    record = make_record("net", 0)
    earlier = [
        {"from_step": 0, "to_step": 1500, "threads": 4},
        {"from_step": 1500, "to_step": 1501, "threads": 2, "python": "3.11.7"},
    ]
    put(tmp_path, record.model_copy(update={"environment": {**record.environment, "earlier_parts": earlier}}))
    lines = [" ".join(line.split()) for line in show_text(tmp_path, "net").splitlines()]
    assert "steps 0 to 1,500 threads 4" in lines and "steps 1,500 to 1,501 threads 2, python 3.11.7" in lines


def test_show_tells_how_a_speed_was_measured(tmp_path: Path) -> None:
    put(tmp_path / "a", make_record("net", 0, neighbours=0.48))
    put(tmp_path / "b", make_record("net", 0))  # of before this was asked
    said = "4,000 (interquartile range 10; other programs had 48% of the processors)"
    assert said in show_text(tmp_path / "a", "net")
    assert "4,000 (interquartile range 10)" in show_text(tmp_path / "b", "net")


def test_as_commands(tmp_path: Path) -> None:
    put(tmp_path, make_record("net", 0))
    assert bench("status", "--results", tmp_path).returncode == 0
    assert "top1_accuracy" in bench("show", "net", "--results", tmp_path).stdout
    assert bench("show", "net", "--results", tmp_path / "none").returncode == 2
    assert bench("verdict", "--results", tmp_path).returncode == 5  # the record has no claim
