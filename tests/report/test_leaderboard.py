"""The ranking: official runs only, the same bytes from the same records, a gate on what is committed."""

import json
from pathlib import Path

import pytest

from bench.contract.records import REAL_IMAGES, record_path, write_record
from bench.errors import ExitCode, NothingToDo, ResultsError
from bench.report.leaderboard import DATA, MARKDOWN, leaderboard_command, leaderboard_data, leaderboard_markdown
from bench.report.summary import summarize
from tests.report.making_contest import contest, write_contest
from tests.report.making_records import make_record


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_contest(tmp_path / "results", contest())
    return tmp_path / "results"


def make(results: Path, *, check: bool = False) -> ExitCode:
    return leaderboard_command(results, results.parent / "submissions", check=check, site=False)


def test_what_ranks_has_a_place_and_the_rest_stands_below() -> None:
    tables = leaderboard_data(summarize(contest()))["tables"]
    places = [(f"{row['submission']}/{row['variant']}", row["columns"]["place"]) for row in tables[0]["rows"]]
    # moody lost a seed, wide/deep is over the cap and would have led.
    assert places == [
        ("wide/base", 1),
        ("se_net/base", 2),
        ("narrow/base", 3),
        ("wide/deep", None),
        ("moody/base", None),
    ]
    generators = [(row["submission"], row["columns"]["place"]) for row in tables[1]["rows"]]
    # ddpm is better, but of a single seed.
    assert generators == [("gan", 1), (REAL_IMAGES, None), ("ddpm", None)]
    assert all(table["protocol"]["profile"] == "official" for table in tables)


def test_single_seeds_rank_where_nobody_has_more() -> None:
    records = [make_record("a", 0, 0.5), make_record("b", 0, 0.6)]
    (table,) = leaderboard_data(summarize(records))["tables"]
    assert [(row["submission"], row["columns"]["place"]) for row in table["rows"]] == [("b", 1), ("a", 2)]


def test_markdown_names_tracks_places_and_verdicts() -> None:
    text = leaderboard_markdown(summarize(contest()))
    assert "## CIFAR-100 classification, at most 100,000 parameters and 10,000 steps" in text
    assert "| 1       | wide " in text and "**46.17 ± 1.26 (n=3)**" in text
    assert "## Claims of the papers" in text and "reproduced" in text
    assert "quick" not in text


def test_the_same_records_give_the_same_bytes(results: Path) -> None:
    assert make(results) == ExitCode.OK
    first = [(results / name).read_bytes() for name in (MARKDOWN, DATA)]
    assert make(results) == ExitCode.OK
    assert first == [(results / name).read_bytes() for name in (MARKDOWN, DATA)]
    assert make(results, check=True) == ExitCode.OK


def test_check_names_what_is_stale_and_writes_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(results, check=True) == ExitCode.REGRESSION  # nothing is there yet
    assert not (results / MARKDOWN).exists()
    make(results)
    quick = make_record("se_net", 1, 0.2, profile="quick")
    write_record(record_path(results, quick.identity, quick.protocol), quick)
    assert make(results, check=True) == ExitCode.OK  # short runs are none of its business
    record = make_record("newcomer", 0, 0.7)
    write_record(record_path(results, record.identity, record.protocol), record)
    capsys.readouterr()
    assert make(results, check=True) == ExitCode.REGRESSION
    assert "is not what the records give; `bench leaderboard` renews it" in capsys.readouterr().err
    assert json.loads((results / DATA).read_text())["tables"][0]["rows"][0]["submission"] == "wide"


def test_without_an_official_record(tmp_path: Path) -> None:
    quick = make_record("net", profile="quick")
    write_record(record_path(tmp_path, quick.identity, quick.protocol), quick)
    with pytest.raises(NothingToDo, match="no official record"):
        make(tmp_path)
    assert leaderboard_command(tmp_path, tmp_path, check=False, site=True) == ExitCode.OK
    assert (tmp_path / "site" / "index.html").is_file() and not (tmp_path / MARKDOWN).exists()


def test_a_folder_that_cannot_be_written(results: Path) -> None:
    (results / MARKDOWN).mkdir()
    with pytest.raises(ResultsError, match="cannot be written"):
        make(results)


def test_a_damaged_record_is_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((results / "runs").rglob("seed0*.json"))
    path.write_text("{}")
    assert make(results) == ExitCode.USAGE
    assert path.name in capsys.readouterr().err
