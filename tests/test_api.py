"""The Python interface: the exports of `import bench`, and the same results as the command line."""

import gc
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import bench
import bench.api.runs
from bench.api.runs import _seeds_text
from bench.contract.fingerprint import sources_of
from bench.contract.records.files import record_paths
from bench.contract.records.record import Record
from bench.data import store
from bench.errors import ContractError, ExitCode, NothingToDo, ResultsError, UsageError
from bench.harness.commands.run import RunSummary
from tests.making import bench as command
from tests.making import write_submission, write_track
from tests.warm import warm_phases

EXPORTS = {
    "Batch", "Budget", "Classifier", "Comparisons", "DataSpec", "Generator", "Records", "Summary", "compare",
    "load_model", "load_records", "run",
}  # fmt: skip


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run two submissions with two seeds each through `bench.run`; one of them fails at step 3."""
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


def test_finished_runs_are_not_repeated(contest: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_data_frame_has_one_row_per_run_at_full_precision(records: Any, tmp_path: Path) -> None:
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


def test_parquet_writes_settings_of_mixed_types_as_text(records: Any, tmp_path: Path) -> None:
    changed = [
        r.model_copy(update={"config": {"rate": rate}}) for r, rate in zip(records, (0.5, "auto"), strict=False)
    ]
    bench.Records(changed).to_parquet(tmp_path / "runs.parquet")
    assert list(pd.read_parquet(tmp_path / "runs.parquet")["config.rate"]) == ["0.5", "auto"]


def test_records_are_selected(records: Any) -> None:
    failed = records.where(submission="late", status="error")
    assert [record.identity.seed for record in failed] == [0, 1] and repr(failed) == "2 records: late/base (2)"
    assert repr(failed[0]) == "late seed 0 (tiny, official): error"
    assert len(records[:3]) == 3 and records[1:].where(profile="official", track="tiny") == records[1:]
    assert repr(records.where(variant="absent")) == "no records" and not records.where(profile="quick")
    assert [record.identity.submission for record in records.where(seed=1)] == ["honest", "late"]
    partial = bench.Records(records, ["damaged.json: no JSON"])
    assert partial.where(seed=0).problems == partial[:1].problems == ["damaged.json: no JSON"]


def test_summary_names_every_failure(contest: Path, records: Any) -> None:
    summary = bench.Summary(ExitCode.RUN_FAILED, records, ["absent: no such profile"])
    first, *others = repr(summary).splitlines()
    assert first == "RUN_FAILED: 2 of 4 runs succeeded" and others[-1] == "absent: no such profile"
    assert [record.identity.submission for record in summary.failed] == ["late", "late"]
    assert all("OSError" in line for line in others[:2]) and len(others) == 3


def test_damaged_record_is_reported_and_others_load(contest: Path, tmp_path: Path) -> None:
    shutil.copytree(contest / "results" / "runs", tmp_path / "runs")
    damaged = next(record_paths(tmp_path))
    damaged.write_text("{")
    loaded = bench.load_records(tmp_path)
    assert len(loaded) == 3 and len(loaded.problems) == 1 and str(damaged) in loaded.problems[0]
    with pytest.raises(ResultsError, match="no such folder"):
        bench.load_records(tmp_path / "absent")


def test_compare_returns_the_tables_of_the_command_line(contest: Path, records: Any) -> None:
    folders = ("--results", contest / "results", "--submissions", contest / "submissions")
    tables = bench.compare(records)
    for name in ("markdown", "latex", "csv", "json"):
        text = command("compare", "--table", name, *folders).stdout
        assert getattr(tables, f"to_{name}")() == text.rstrip("\n")
    assert str(tables) == command("compare", *folders).stdout.rstrip("\n")
    assert "<table" in tables._repr_html_() and len(tables) == 1
    narrow = bench.compare(records, columns=["submission", "nll"], sort="-submission")
    assert [item.row.label for item in narrow[0].rows] == ["late", "honest"]
    with pytest.raises(UsageError, match="columns='nll': give a list of names"):
        bench.compare(records, columns="nll")
    with pytest.raises(UsageError, match="column 'luck'"):
        bench.compare(records, columns=["luck"])
    with pytest.raises(NothingToDo):
        bench.compare([])


def load(contest: Path, submission: str = "honest", **options: Any) -> torch.nn.Module:
    folders = {"results": contest / "results", "submissions": contest / "submissions"}
    return bench.load_model(submission, **{**folders, **options})


@pytest.mark.parametrize("seed", [0, 1])
def test_loaded_model_reproduces_the_recorded_accuracy(contest: Path, records: Any, seed: int) -> None:
    model = load(contest, seed=seed)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    (record,) = [r for r in records if (r.identity.submission, r.identity.seed) == ("honest", seed)]
    test = store.load(record.data.name, "test", contest)
    by_record = bench.load_model(
        record, results=contest / "results", submissions=contest / "submissions"
    ).state_dict()
    assert all(torch.equal(value, by_record[name]) for name, value in model.state_dict().items())
    predicted = model(torch.from_numpy(test.images)).argmax(1)
    accuracy = float((predicted == torch.from_numpy(test.labels)).double().mean())
    assert accuracy == pytest.approx(record.evaluation.metrics["top1_accuracy"])


def test_load_model_errors_give_the_reason(contest: Path, tmp_path: Path) -> None:
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
    with pytest.raises(ResultsError, match="not the weights that belong to its record"):
        load(copy)
    weights.unlink()
    with pytest.raises(ResultsError, match="missing .weights are not in git."):
        load(copy)


@pytest.mark.parametrize("line", ["from bench import run", "from bench import Classifier, load_records"])
def test_submission_cannot_import_the_python_interface(tmp_path: Path, line: str) -> None:
    folder = write_submission(tmp_path, "mine")
    (folder / "model.py").write_text(f"{line}\n" + (folder / "model.py").read_text())
    result = command("verify", folder, "--track", write_track(tmp_path), "--device", "cpu")
    assert result.returncode == 4
    assert f"imports bench.{line.rsplit(maxsplit=1)[-1]}, which is no part" in result.stdout


def test_summary_is_of_the_code_that_ran_despite_another_submission_of_its_name(
    contest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_submission(tmp_path / "submissions", "honest", {"loss": "pass"})
    monkeypatch.chdir(tmp_path)
    summary = bench.run(
        contest / "submissions" / "honest",
        track=contest / "tiny.yaml",
        embedded=True,
        seeds=2,
        results=contest / "results",
        device="cpu",
        log_format="quiet",
    )
    assert [record.of_current_code for record in summary.records] == [True, True]


def test_run_without_a_record_is_a_problem(contest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.api.runs, "run_command", lambda config: RunSummary(
        ExitCode.RUN_FAILED, set(), set(), {"0123abcd": "honest seed 0"}, ["late: no data"], {},
    ))  # fmt: skip
    summary = bench.run(contest / "submissions", results=tmp_path / "results")
    assert summary.problems == ["late: no data", "honest seed 0: left no record"]
    assert repr(summary).splitlines() == ["RUN_FAILED: 0 of 0 runs succeeded", *summary.problems]


@pytest.mark.parametrize(
    ("seeds", "text"),
    [(None, None), (3, "3"), (np.int64(3), "3"), ([7], "7,"), (range(2), "0,1,"), (np.array([0, 5]), "0,5,")],
)
def test_seeds_become_an_option(seeds: Any, text: str | None) -> None:
    assert _seeds_text(seeds) == text


@pytest.mark.parametrize("seeds", ["2", b"ab", 1.5, [0.5], ["0-1"]])
def test_seeds_of_another_type_are_refused(seeds: Any) -> None:
    with pytest.raises(UsageError, match="give a number of seeds, or a list of seeds"):
        _seeds_text(seeds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": -1}, "jobs=-1: input should be greater than or equal to 1"),
        ({"jobs": 1.5}, "jobs=1.5: input should be a valid integer"),
        ({"threads": "2"}, "threads='2': input should be"),
        ({"timeout_seconds": 0}, "timeout_seconds=0: input should be greater than 0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds=nan: input should be"),
        ({"timeout_seconds": "90m"}, "timeout_seconds='90m': input should be"),
        ({"memory_bytes": -1}, "memory_bytes=-1: input should be"),
        ({"gpus_per_run": -1}, "gpus_per_run=-1: input should be"),
        ({"embedded": "no"}, "embedded='no': input should be a valid boolean"),
        ({"profile": ["demo"]}, "profile=.'demo'.: input should be a valid string"),
        ({"device": None}, "device=None: input should be a valid string"),
        ({"precision": 16}, "--precision 16: give fp32, tf32 or bf16"),
        ({"log_format": "loud"}, "--log-format 'loud': give auto, lines, json or quiet"),
    ],
)
def test_invalid_options_are_refused_before_any_run(contest: Path, options: dict[str, Any], message: str) -> None:
    files = sorted(contest.rglob("*"))
    with pytest.raises(UsageError, match=message):
        bench.run(
            contest / "submissions" / "honest",
            results=contest / "results",
            **{"track": contest / "tiny.yaml", "embedded": True, "device": "cpu", "force": True, **options},
        )
    assert sorted(contest.rglob("*")) == files


@pytest.mark.parametrize("variants", ["", [], " , "])
def test_selection_without_variants_is_refused(contest: Path, variants: Any) -> None:
    summary = bench.run(
        contest / "submissions" / "honest",
        variants=variants,
        results=contest / "results",
        track=contest / "tiny.yaml",
        embedded=True,
        device="cpu",
        log_format="quiet",
    )
    assert not summary.ok and "give base, all, or names separated by commas" in summary.problems[0]


def test_compare_accepts_iterables_and_refuses_other_values(records: Any) -> None:
    names = ("submission", "nll")
    table = bench.compare(iter(records), columns=(name for name in names))
    assert [column.key for column in table[0].columns] == list(names)
    for values in ("results", [1], records[0]):
        with pytest.raises(UsageError, match="give a list of records"):
            bench.compare(values)
    for columns in ([], [5]):
        with pytest.raises(UsageError, match="give a list of names"):
            bench.compare(records, columns=columns)


def test_sum_of_records_is_records(records: Any) -> None:
    both = records + bench.Records([], ["damaged.json: no JSON"])
    assert isinstance(both, bench.Records) and len(both) == 4 and both.problems == ["damaged.json: no JSON"]


def test_parquet_file_survives_a_failure(records: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "runs.parquet"
    target.write_bytes(b"earlier")

    def fail(frame: pd.DataFrame, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(UsageError, match="cannot be written .No space left on device."):
        records.to_parquet(target)
    assert target.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [target]


def test_loading_a_model_leaves_the_process_as_it_was(contest: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(contest, copy)
    code = copy / "submissions" / "honest" / "model.py"
    changed = code.read_text() + "\nimport os, torch\nos.chdir('/')\ntorch.set_num_threads(7)\n"
    code.write_text(changed)
    folder, threads = Path.cwd(), torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = torch.rand(1)
        torch.manual_seed(5)
        load(contest)
        assert torch.equal(torch.rand(1), expected)
    with pytest.raises(ResultsError, match=r"model.py changed since the run"):
        load(copy)
    record = bench.load_records(copy / "results").where(submission="honest", seed=0)[0]
    record = record.model_copy(update={"sources": sources_of(code)})
    bench.load_model(record, results=copy / "results", submissions=copy / "submissions")
    assert (Path.cwd(), torch.get_num_threads()) == (folder, threads)
    code.write_text(changed + "raise SystemExit(3)\n")
    record = record.model_copy(update={"sources": sources_of(code)})
    with pytest.raises(ContractError, match=r"honest.model.py: cannot be loaded: SystemExit: 3"):
        bench.load_model(record, results=copy / "results", submissions=copy / "submissions")


@pytest.mark.parametrize(
    ("run", "options", "message"),
    [
        (Path("honest"), {}, "give a record, or the name of a submission"),
        ("honest", {"device": "gpu"}, "--device 'gpu': give auto, cpu, cuda or cuda:N"),
        ("honest", {"results": Path("absent")}, "absent: no such folder; give `results`"),
    ],
)
def test_invalid_arguments_of_load_model_are_named(
    contest: Path, run: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((UsageError, ResultsError), match=message):
        load(contest, run, **options)


def test_model_of_a_failed_run_gives_its_reason(contest: Path, records: Any) -> None:
    with pytest.raises(ResultsError, match="late seed 0 .*: the run has no final weights: OSError: 5"):
        bench.load_model(records.where(submission="late")[0], results=contest / "results")


def test_reading_records_leaves_garbage_collection_as_it_was(contest: Path) -> None:
    frozen = gc.get_freeze_count()
    bench.load_records(contest / "results")
    assert gc.get_freeze_count() == frozen and gc.isenabled()
