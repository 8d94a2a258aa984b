"""The Python interface: what `import bench` exports, and that it gives what the command line gives."""

import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import bench
from bench.contract.records.files import record_paths
from bench.contract.records.record import Record
from bench.data import store
from bench.errors import ExitCode, NothingToDo, ResultsError, UsageError
from tests.making import bench as command
from tests.making import write_submission, write_track
from tests.warm import warm_phases

EXPORTS = {
    "Batch", "Budget", "Classifier", "DataSpec", "Generator", "Records", "Summary", "compare", "load_model",
    "load_records", "run",
}  # fmt: skip


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with results of `bench.run`: two submissions with two seeds each, one of them failing."""
    folder = tmp_path_factory.mktemp("contest")
    write_submission(folder / "submissions", "honest")
    write_submission(folder / "submissions", "late", {"loss": "if step == 3: raise OSError(5)"})
    with warm_phases():
        summary = bench.run(
            folder / "submissions",
            seeds=2,
            track=write_track(folder),
            embedded=True,
            results=folder / "results",
            device="cpu",
            log_format="lines",
        )
    assert summary.exit_code == ExitCode.RUN_FAILED and not summary.ok
    assert sorted((r.identity.submission, r.identity.seed, r.status) for r in summary.records) == [
        ("honest", 0, "ok"),
        ("honest", 1, "ok"),
        ("late", 0, "error"),
        ("late", 1, "error"),
    ]
    yield folder


@pytest.fixture(scope="module")
def records(contest: Path) -> Any:
    return bench.load_records(contest / "results", submissions=contest / "submissions")


def test_exported_names() -> None:
    assert set(bench.__all__) == EXPORTS and set(dir(bench)) >= EXPORTS
    for name in bench.__all__:
        exported = getattr(bench, name)
        assert exported.__name__ == name and inspect.getdoc(exported)
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        _ = bench.Trainer  # type: ignore[attr-defined]


def test_what_is_done_is_not_repeated(contest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [path.read_bytes() for path in record_paths(contest / "results")]
    with warm_phases():
        again = bench.run(
            str(contest / "submissions" / "honest"),
            seeds=[1],
            track=contest / "tiny.yaml",
            embedded=True,
            results=str(contest / "results"),
            device="cpu",
        )
    assert again.ok and [record.identity.seed for record in again.records] == [1]
    assert before == [path.read_bytes() for path in record_paths(contest / "results")]


def test_a_frame_has_a_row_per_run_with_all_digits(records: Any, tmp_path: Path) -> None:
    frame = records.to_frame()
    assert list(frame["submission"]) == [record.identity.submission for record in records]
    for row, record in zip(frame.to_dict("records"), records, strict=True):
        assert isinstance(record, Record) and row["record"] == record.checksum
        if record.status == "ok":
            assert row["metrics.top1_accuracy"] == record.evaluation.metrics["top1_accuracy"]
            assert row["cost.params"] == record.cost.params and row["config.batch_size"] == 16
            assert row["timing.inference_images_per_s"] == record.timing.inference_images_per_s.median_per_s
        else:
            assert pd.isna(row["metrics.top1_accuracy"]) and row["status"] == "error"
    means = frame.groupby("submission")["metrics.top1_accuracy"].mean()
    expected = [r.evaluation.metrics["top1_accuracy"] for r in records if r.status == "ok"]
    assert means["honest"] == pytest.approx(sum(expected) / 2)
    records.to_parquet(tmp_path / "runs.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), frame, check_dtype=False)


def test_unreadable_records_are_named(contest: Path, tmp_path: Path) -> None:
    shutil.copytree(contest / "results" / "runs", tmp_path / "runs")
    damaged = next(record_paths(tmp_path))
    damaged.write_text("{")
    read = bench.load_records(tmp_path)
    assert len(read) == 3 and len(read.problems) == 1 and str(damaged) in read.problems[0]
    with pytest.raises(ResultsError, match="no such folder"):
        bench.load_records(tmp_path / "absent")


def test_tables_are_those_of_the_command(contest: Path, records: Any) -> None:
    folders = ("--results", contest / "results", "--submissions", contest / "submissions")
    tables = bench.compare(records)
    for name in ("markdown", "latex", "csv", "json"):
        text = command("compare", "--table", name, *folders).stdout
        assert getattr(tables, f"to_{name}")() == text.rstrip("\n")
    assert str(tables) == command("compare", *folders).stdout.rstrip("\n")
    assert "<table" in tables._repr_html_() and len(tables) == 1
    narrow = bench.compare(records, columns=["submission", "nll"], sort="-submission")
    assert [item.row.label for item in narrow[0].rows] == ["late", "honest"]
    with pytest.raises(UsageError, match="column 'luck'"):
        bench.compare(records, columns=["luck"])
    with pytest.raises(NothingToDo):
        bench.compare([])


def load(contest: Path, submission: str = "honest", **which: Any) -> torch.nn.Module:
    where = {"results": contest / "results", "submissions": contest / "submissions"}
    return bench.load_model(submission, **{**where, **which})


@pytest.mark.parametrize("seed", [0, 1])
def test_a_loaded_model_scores_what_its_record_says(contest: Path, records: Any, seed: int) -> None:
    model = load(contest, seed=seed)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    (record,) = [r for r in records if (r.identity.submission, r.identity.seed) == ("honest", seed)]
    test = store.load(record.data.name, "test", contest)
    predicted = model(torch.from_numpy(test.images)).argmax(1)
    accuracy = float((predicted == torch.from_numpy(test.labels)).double().mean())
    assert accuracy == pytest.approx(record.evaluation.metrics["top1_accuracy"])


def test_why_a_model_cannot_be_loaded(contest: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no finished run of honest/base, profile official, seed 7"):
        load(contest, seed=7)
    with pytest.raises(ResultsError, match="no finished run of late/base"):
        load(contest, "late")
    copy = tmp_path / "copy"
    shutil.copytree(contest, copy)
    model = copy / "submissions" / "honest" / "model.py"
    model.write_text(model.read_text() + "\nX = 1\n")
    with pytest.raises(ResultsError, match=r"model.py changed since the run; check out"):
        load(copy)
    (weights,) = (copy / "results").glob("runs/*/honest/base/seed0-*/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ResultsError, match="not the weights that its record was made with"):
        load(copy)
    weights.unlink()
    with pytest.raises(ResultsError, match="not there; it is not in git"):
        load(copy)


@pytest.mark.parametrize("line", ["from bench import run", "from bench import Classifier, load_records"])
def test_a_submission_has_no_part_in_it(tmp_path: Path, line: str) -> None:
    folder = write_submission(tmp_path, "mine")
    (folder / "model.py").write_text(f"{line}\n" + (folder / "model.py").read_text())
    done = command("verify", folder, "--track", write_track(tmp_path), "--device", "cpu")
    assert done.returncode == 4 and f"imports bench.{line.rsplit(maxsplit=1)[-1]}, which is no part" in done.stdout
