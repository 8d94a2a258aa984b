"""The index of records: tables with and without it are equal, also if index or records were damaged."""

from pathlib import Path

import pytest

from bench.contract.records.files import record_path, record_paths, write_record
from bench.contract.records.record import Record
from bench.report.compare import comparison_text
from bench.report.records import cache as index
from bench.report.records import load as reading
from bench.report.records.aggregate import summarize
from bench.report.records.load import read_all, read_brief
from tests.report.making_records import make_record


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate index per test, used for folders of any size."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(reading, "FEWEST_INDEXED", 1)
    return tmp_path / "cache" / "capbench" / "records.sqlite"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        for seed in range(3):
            write(tmp_path / "results", make_record(name, seed, 0.4 + seed / 100))
    write(tmp_path / "results", make_record("broken", 0, None))
    return tmp_path / "results"


def write(results: Path, record: Record) -> Path:
    path = record_path(results, record.identity, record.protocol)
    write_record(path, record)
    return path


def table(results: Path) -> str:
    records, problems = read_brief(results)
    keys = ["submission", "params", "score", "nll", "config.batch_size", "environment.device", "status"]
    return comparison_text(summarize(records), keys=keys) + "\n".join(problems)


def plain_table(results: Path) -> str:
    records, problems = read_all(results)
    keys = ["submission", "params", "score", "nll", "config.batch_size", "environment.device", "status"]
    return comparison_text(summarize(records), keys=keys) + "\n".join(problems)


def test_table_from_the_index_equals_the_table_from_files(results: Path, cache: Path) -> None:
    expected = plain_table(results)
    assert table(results) == expected
    assert cache.exists()
    assert table(results) == expected  # read from the index


def test_indexed_record_equals_the_brief_record(results: Path) -> None:
    first, _ = read_brief(results)
    again, _ = read_brief(results)
    assert again == first == [index.brief(record) for record in read_all(results)[0]]
    assert again[1].protocol is again[2].protocol  # records share the object


def test_only_changed_files_are_read_again(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_brief(results)
    read: list[Path] = []
    original = index.read_record
    monkeypatch.setattr(index, "read_record", lambda path: (read.append(path), original(path))[1])
    read_brief(results)
    assert read == []
    (changed, *_) = record_paths(results)
    changed.write_bytes(changed.read_bytes())
    read_brief(results)
    assert read == [changed]


def test_record_altered_after_indexing_is_reported(results: Path) -> None:
    assert table(results) == plain_table(results)
    path = next(path for path in record_paths(results) if path.parent.parent.name == "two")
    path.write_text(path.read_text().replace("0.4", "0.9"))
    records, problems = read_brief(results)
    assert len(problems) == 1 and "was altered" in problems[0]
    assert len(records) == 6


def test_copy_of_a_record_does_not_count(results: Path) -> None:
    path = next(record_paths(results))
    copy = path.with_name("seed9-00000000.json")
    copy.write_bytes(path.read_bytes())
    for _ in range(2):
        _, problems = read_brief(results)
        assert len(problems) == 1 and "a copy does not count" in problems[0]


@pytest.mark.parametrize("damage", ["garbage", "folder", "other content"])
def test_damaged_index_is_ignored(results: Path, cache: Path, damage: str) -> None:
    expected = table(results)
    if damage == "garbage":
        cache.write_bytes(b"garbage" * 1000)
    elif damage == "folder":
        cache.unlink()
        cache.mkdir()
    else:
        import sqlite3

        with sqlite3.connect(cache) as connection:
            connection.execute(f"UPDATE records_{index.VERSION} SET own = '{{\"timing\": 5}}'")
    assert table(results) == expected


def test_small_folder_is_not_indexed(results: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FEWEST_INDEXED", 200)
    assert table(results) == plain_table(results)
    assert not cache.exists()
