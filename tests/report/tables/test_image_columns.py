"""Columns from per-image results: against array arithmetic, and for records without such results."""

from pathlib import Path

import numpy as np
import pytest

from bench.contract.documents.bitmap import pack_bits, unpack_bits
from bench.contract.metrics import TOP1
from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.errors import UsageError
from bench.report.compare import CompareOptions, compare_command
from bench.report.records.aggregate import summarize
from bench.report.tables.image_columns import correct_by_seed
from bench.report.tables.reference_columns import paired
from bench.report.tables.text import difference_text, interval_text
from bench.stats.images import crossed_mean, mcnemar_p_value
from tests.report.making_records import make_record

CORRECT = {
    (name, seed): np.random.default_rng(10 * seed + share).random(10_000) < share / 100
    for name, share in (("a", 50), ("b", 52))
    for seed in range(3)
}


def run(name: str, seed: int, *, recorded: bool = True) -> Record:
    correct = CORRECT[name, seed]
    record = make_record(name, seed, float(correct.mean()))
    assert record.evaluation is not None
    evaluation = record.evaluation.model_copy(update={"correct": pack_bits(correct) if recorded else None})
    return record.model_copy(update={"evaluation": evaluation})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, seed in CORRECT:
        put(tmp_path, run(name, seed))
    put(tmp_path, make_record("old", 0, 0.5))
    return tmp_path


def put(results: Path, record: Record) -> None:
    write_record(record_path(results, record.identity, record.protocol), record)


def cells(results: Path, capsys: pytest.CaptureFixture[str], **options: object) -> dict[str, list[str]]:
    assert compare_command(results, results, CompareOptions(table_format="github", **options)) == 0  # type: ignore[arg-type]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    rows = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row for row in rows}


@pytest.mark.parametrize("count", [1, 8, 13, 10_000])
def test_bits_round_trip(count: int) -> None:
    values = np.random.default_rng(count).random(count) < 0.5
    assert np.array_equal(unpack_bits(pack_bits(values), count), values)
    assert len(pack_bits(values)) <= 4 * (count / 24 + 1)  # 10,000 images in 1.7 kB
    with pytest.raises(ValueError, match="bits"):
        unpack_bits(pack_bits(values), count + 8)
    with pytest.raises(ValueError, match="base64"):
        unpack_bits("*" + pack_bits(values), count)


def test_interval_over_seeds_and_images(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = cells(results, capsys, images=True)
    column = rows["submission"].index("top-1 % [95 %, seeds × images]")
    expected = crossed_mean(np.stack([CORRECT["a", seed] for seed in range(3)]))
    assert rows["a"][column] == (
        f"{100 * expected.mean:.2f} [{100 * expected.low:.2f}, {100 * expected.high:.2f}] (n=3)"
    )
    assert rows["old"][column] == "not recorded"


def test_difference_of_two_entries_is_paired_by_image(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = cells(results, capsys, against="b")
    column = rows["submission"].index("minus b [95 %, seeds × images]")
    differences = np.stack([CORRECT["a", s].astype(int) - CORRECT["b", s].astype(int) for s in range(3)])
    expected = crossed_mean(differences)
    assert rows["a"][column] == (
        f"{100 * expected.mean:+.2f} [{100 * expected.low:+.2f}, {100 * expected.high:+.2f}] (n=3)"
    )
    assert (rows["b"][column], rows["old"][column]) == ("–", "not recorded")


def test_intervals_end_at_what_a_percentage_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two seeds that are far apart have t intervals of more than 100 points."""
    for name, shares in (("a", (0.2, 0.9)), ("b", (0.5, 0.5))):
        for seed, share in enumerate(shares):
            correct = np.arange(10_000) < 10_000 * share
            record = make_record(name, seed, float(correct.mean()))
            assert record.evaluation is not None
            evaluation = record.evaluation.model_copy(update={"correct": pack_bits(correct)})
            put(tmp_path, record.model_copy(update={"evaluation": evaluation}))
    text = " ".join(cells(tmp_path, capsys, images=True, against="b")["a"])
    assert "55.00 [0.00, 100.00] (n=2)" in text and "+5.00 [-100.00, +100.00] (n=2)" in text
    rows = summarize([make_record("a", 0, 0.2), make_record("a", 1, 0.9)])
    old = summarize([make_record("a", s, 0.5) for s in range(2)])
    assert difference_text(paired(rows[0], old[0]), TOP1) == "+5.00 [-100.00, +100.00] (n=2)"
    assert interval_text(-0.2, 1.2, TOP1) == "[0.00, 100.00]"


def test_two_single_runs_are_compared_by_mcnemar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, run("a", 0))
    put(tmp_path, run("b", 0))
    p_value = mcnemar_p_value(CORRECT["a", 0], CORRECT["b", 0])
    text = " ".join(cells(tmp_path, capsys, against="b")["a"])
    assert f"(n=1; these two networks: McNemar p = {p_value:.2g})" in text


def test_accuracy_without_listed_images(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    indices = [0, 17, 9_999]
    (tmp_path / "hard.txt").write_text("\n".join(map(str, indices)))
    rows = cells(results, capsys, without=str(tmp_path / "hard.txt"))
    column = rows["submission"].index("top-1 % without 3 (hard.txt)")
    means = [np.delete(CORRECT["a", seed], indices).mean() for seed in range(3)]
    assert rows["a"][column] == f"{100 * np.mean(means):.2f} ± {100 * np.std(means, ddof=1):.2f} (n=3)"
    assert rows["old"][column] == "not recorded"


def test_accuracy_without_near_duplicates(
    results: Path, near_duplicates_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(near_duplicates_root))
    rows = cells(results, capsys, without="cifair")
    assert "top-1 % without 891 (cifair)" in rows["submission"]


@pytest.mark.parametrize(
    ("content", "message"), [("one", "image indices"), ("", "counted from 0"), ("-1", "counted from 0")]
)
def test_invalid_image_list_is_refused(results: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "list").write_text(content)
    with pytest.raises(UsageError, match=message):
        compare_command(results, results, CompareOptions(without=str(tmp_path / "list")))


def test_missing_image_list_is_refused(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="download it with `bench data fetch cifair`"):
        compare_command(results, results, CompareOptions(without="cifair"))
    with pytest.raises(UsageError, match="give cifair, or a file"):
        compare_command(results, results, CompareOptions(without="absent"))


def test_run_without_per_image_results_is_left_out() -> None:
    (row,) = summarize([run("a", 0), run("a", 1, recorded=False)])
    assert list(correct_by_seed(row)) == [0]
