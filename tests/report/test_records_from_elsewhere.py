"""Records from elsewhere never rank: of archives, in submissions' folders, of data that are not the track's."""

import json
import shutil
from pathlib import Path

import pytest

from bench.contract.records.files import read_record, record_path, record_paths, write_record
from bench.contract.records.origin import ANY, is_marked, mark_unpacked
from bench.contract.records.record import Record
from bench.data import store
from bench.data.images import fingerprint
from bench.harness.results.packing import pack
from bench.harness.results.unpacking import unpack
from bench.report.leaderboard import leaderboard_data
from bench.report.records.aggregate import summarize
from bench.report.records.load import read_all
from bench.report.show import show_text
from bench.report.status import StatusOptions
from tests.making import TRACK, bench, write_submission
from tests.report.making_records import make_record

GOOD, BETTER = (0.50, 0.51, 0.49, 0.52, 0.48), (0.90, 0.91, 0.89, 0.92, 0.88)


def write_runs(results: Path, name: str, accuracies: tuple[float, ...]) -> None:
    for seed, accuracy in enumerate(accuracies):
        record = make_record(name, seed, accuracy)
        write_record(record_path(results, record.identity, record.protocol), record)


def rows_of(results: Path) -> dict[str, tuple[int | None, bool, str]]:
    """Return submission -> its rank, whether it is called ranked, and its status."""
    (table,) = leaderboard_data(summarize(read_all(results)[0]))["tables"]
    return {
        row["submission"]: (row["columns"]["place"], row["ranked"], row["columns"]["status"])
        for row in table["rows"]
    }


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Results that a participant packed, better than all of the organiser's."""
    write_runs(tmp_path / "theirs", "foreign", BETTER)
    pack(tmp_path / "theirs", tmp_path / "theirs.tar.gz")
    return tmp_path / "theirs.tar.gz"


def test_unpacked_records_do_not_rank_nor_are_best(archive: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_runs(results, "own", GOOD)
    write_runs(results, "second", tuple(value - 0.2 for value in GOOD))
    unpack(archive, results)
    assert rows_of(results) == {
        "own": (1, True, "ok"),
        "second": (2, True, "ok"),
        "foreign": (None, False, "ok, made elsewhere, unranked"),
    }
    (table,) = leaderboard_data(summarize(read_all(results)[0]))["tables"]
    assert {row["submission"] for row in table["rows"] if "score" in row["best_in"]} == {"own"}
    path = next(path for path in record_paths(results) if "foreign" in path.parts)
    assert "unranked: made elsewhere" in show_text(StatusOptions(results), str(path))


def test_one_seed_from_elsewhere_keeps_the_row_off_the_ranking(archive: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_runs(results, "own", GOOD)
    write_runs(results, "foreign", BETTER[:4])
    unpack(archive, results)
    assert rows_of(results)["foreign"][0] is None
    assert rows_of(results)["foreign"][2] == "ok, 1 of 5 made elsewhere, unranked"


def test_runs_of_ones_own_from_another_machine_rank(archive: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_runs(results, "own", GOOD)
    assert bench("unpack", archive, "--results", results, "--own").returncode == 0
    assert rows_of(results)["foreign"] == (1, True, "ok")


def test_records_that_were_unpacked_before_rank_once_they_are_vouched_for(archive: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert "they do not rank (--own" in bench("unpack", archive, "--results", results).stdout
    assert rows_of(results)["foreign"][0] is None
    assert bench("unpack", archive, "--results", results, "--own").returncode == 0
    assert rows_of(results)["foreign"][0] == 1


CONTEST = "title: Small\ntracks: [tiny.yaml]\n"


@pytest.fixture
def contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A contest with one finished submission."""
    (tmp_path / "capbench.yaml").write_text(CONTEST)
    (tmp_path / "tiny.yaml").write_text(TRACK)
    write_submission(tmp_path / "submissions", "honest")
    monkeypatch.chdir(tmp_path)
    assert bench("run", "--device", "cpu").returncode == 0
    return tmp_path


def as_another(record: Record, **identity: object) -> Record:
    """Return the record as if it was another submission's, which classifies every image correctly."""
    assert record.evaluation is not None
    update = {"metrics": {"top1_accuracy": 1.0}, "per_class_accuracy": [1.0] * 4, "correct": None}
    evaluation = record.evaluation.model_copy(update=update)
    changed = record.identity.model_copy(update={"submission": "forged", **identity})
    return record.model_copy(update={"identity": changed, "evaluation": evaluation})


def ranked(contest: Path) -> dict[str, int | None]:
    assert bench("leaderboard").returncode == 0
    tables = json.loads((contest / "results" / "leaderboard.json").read_text())["tables"]
    return {row["submission"]: row["columns"]["place"] for table in tables for row in table["rows"]}


def test_records_in_a_submission_are_not_seen(contest: Path) -> None:
    """Neither in its folder nor in a folder `results` of it or of the source that is collected."""
    team = write_submission(contest / "upload", "forged")
    for path in record_paths(contest / "results"):
        forged = as_another(read_record(path))
        for folder in (team, team / "results", contest / "upload" / "results"):
            write_record(record_path(folder, forged.identity, forged.protocol), forged)
        write_record(team / path.name, forged)
    assert bench("collect", "upload/forged").returncode == 0
    assert ranked(contest) == {"honest": 1}
    assert not list((contest / "submissions" / "forged").rglob("seed*"))
    # Nor if the folder is copied by hand, with everything in it.
    shutil.copytree(team, contest / "submissions" / "by_hand")
    assert ranked(contest) == {"honest": 1}


def test_records_of_other_data_than_the_tracks_do_not_rank(contest: Path) -> None:
    """A participant without the hidden test split can only run on a split that is not the organiser's."""
    test = fingerprint(store.load("shapes4x16", "test", contest))
    own = "data: {name: mine, format: npz, path: a.npz, channels: 3, size: 16, classes: 4, sha256: {test: %s}}\n"
    (contest / "tiny.yaml").write_text(TRACK.replace("data: shapes4x16\n", own % test, 1))
    for path in record_paths(contest / "results"):
        forged = as_another(read_record(path), data_fingerprints={"train": "0" * 64, "test": "1" * 64})
        write_record(record_path(contest / "results", forged.identity, forged.protocol), forged)
    assert ranked(contest) == {"honest": 1, "forged": None}
    text = (contest / "results" / "LEADERBOARD.md").read_text()
    assert "ok, on other data than the track's, unranked" in text


def test_run_names_records_from_elsewhere_and_repeats_them_on_request(contest: Path) -> None:
    first, second = record_paths(contest / "results")
    mark_unpacked(first, read_record(first).checksum, "theirs.tar.gz")
    mark_unpacked(second, ANY, "theirs.tar.gz")
    assert ranked(contest) == {"honest": None}
    again = bench("run", "--device", "cpu")
    assert again.stderr.count("made elsewhere, so it does not rank; --force repeats the run here") == 2
    assert bench("run", "--device", "cpu", "--force").returncode == 0
    assert ranked(contest) == {"honest": 1} and not is_marked(second)
