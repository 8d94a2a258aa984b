"""The ranking: official runs only, the same bytes from the same records, a gate on what is committed."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.contract.manifest import REAL_IMAGES
from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.errors import ExitCode, NothingToDo, ResultsError
from bench.report.leaderboard import DATA, MARKDOWN, leaderboard_command, leaderboard_data, leaderboard_markdown
from bench.report.records.aggregate import summarize
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
        ("wide/deep", None),
        ("se_net/base", 2),
        ("narrow/base", 3),
        ("moody/base", None),
    ]
    generators = [(row["submission"], row["columns"]["place"]) for row in tables[1]["rows"]]
    # ddpm is better, but of a single seed.
    assert generators == [("gan", 1), (REAL_IMAGES, None), ("ddpm", None)]
    assert all(table["protocol"]["profile"] == "official" for table in tables)


def places(records: list[Record]) -> list[tuple[str, int | None]]:
    (table,) = leaderboard_data(summarize(records))["tables"]
    return [(f"{row['submission']}/{row['variant']}", row["columns"]["place"]) for row in table["rows"]]


def runs(name: str, *accuracies: float, wanted: int | None = None, variant: str = "base") -> list[Record]:
    records = [make_record(name, seed, value, variant=variant) for seed, value in enumerate(accuracies)]
    return [record.model_copy(update={"profile_seeds": wanted}) for record in records]


FIVE = (0.50, 0.51, 0.49, 0.52, 0.48)


def test_a_place_takes_all_seeds_that_the_profile_asks_for() -> None:
    two = runs("lucky", 0.7, 0.72)
    assert places([*runs("whole", *FIVE), *two]) == [("whole/base", 1), ("lucky/base", None)]
    (row,) = summarize(two)
    assert row.status == "ok, 2 of 5 seeds" and row.seeds_missing == [2, 3, 4]
    # Five seeds of which some others were left out are no five seeds either.
    picked = [other(record, seed=3 * record.identity.seed) for record in runs("picked", *FIVE)]
    assert places([*runs("whole", *FIVE), *picked])[1] == ("picked/base", None)
    assert summarize(picked)[0].status == "ok, 2 of 5 seeds"
    gap = [
        other(record, seed=record.identity.seed + (record.identity.seed > 4)) for record in runs("gap", *FIVE, 0.9)
    ]
    assert (summarize(gap)[0].status, summarize(gap)[0].seeds_missing) == ("ok, seeds skipped", [])
    # A record does not decide how many its track asks for, but where the track is nobody's here.
    assert places(runs("own", 0.5, wanted=1)) == [("own/base", None)]
    own = [
        record.model_copy(update={"protocol": record.protocol.model_copy(update={"track": "mine"})})
        for record in runs("own", 0.5, wanted=1)
    ]
    assert places(own) == [("own/base", 1)]


def other(record: Record, **identity: Any) -> Record:
    return record.model_copy(update={"identity": record.identity.model_copy(update=identity)})


def test_only_bases_take_places_and_variants_stand_below_theirs() -> None:
    better = runs("a", *(value + 0.2 for value in FIVE), variant="wide")
    found = places([*runs("a", *FIVE), *better, *runs("b", *(value + 0.1 for value in FIVE))])
    assert found == [("b/base", 1), ("a/base", 2), ("a/wide", None)]


def on_cuda(records: list[Record]) -> list[Record]:
    return [other(record, device_type="cuda") for record in records]


def test_a_submission_has_one_place_by_the_worst_of_its_devices() -> None:
    honest, cheat = runs("honest", *FIVE), runs("cheat", *(value - 0.1 for value in FIVE))
    lucky = [other(record, seed=7 + record.identity.seed) for record in on_cuda(runs("cheat", 0.7, 0.71))]
    found = places([*honest, *cheat, *lucky])
    assert found[0] == ("honest/base", 1) and sorted(found[1:], key=str) == [
        ("cheat/base", 2),
        ("cheat/base", None),
    ]
    whole = on_cuda(runs("cheat", *(value + 0.1 for value in FIVE)))
    assert [place for name, place in places([*honest, *cheat, *whole]) if name == "honest/base"] == [1]


def test_what_each_record_holds_is_looked_at() -> None:
    """Not that of the first, nor what a record says of its own rank."""
    honest = runs("honest", *FIVE)

    def place_of(records: list[Record]) -> int | None:
        return dict(places([*honest, *records]))["cheat/base"]

    cheat = runs("cheat", *(value + 0.1 for value in FIVE))
    assert place_of(cheat) == 1
    silent = [cheat[0]] + [
        record.model_copy(update={"evaluation": record.evaluation.model_copy(update={"metrics": {"nll": 1.0}})})
        for record in cheat[1:]
        if record.evaluation
    ]
    assert place_of(silent) is None
    large = [make_record("cheat", record.identity.seed, 0.6, params=104_804) for record in cheat[1:]]
    assert place_of([cheat[0], *large]) is None
    stepped = [
        record.model_copy(update={"training": record.training.model_copy(update={"updates": {"sgd": 100_000}})})
        for record in cheat
        if record.training
    ]
    assert place_of(stepped) is None and all(record.unranked_because == [] for record in stepped)


def test_what_is_kept_off_the_ranking_takes_no_bold_either() -> None:
    cheat = [
        record.model_copy(update={"unranked_because": ["optimizer sgd took 100,000 steps, budget 10,000"]})
        for record in runs("cheat", *(value + 0.3 for value in FIVE))
    ]
    (table,) = leaderboard_data(summarize([*runs("a", *FIVE), *runs("b", *FIVE), *cheat]))["tables"]
    assert {row["submission"]: "score" in row["best_in"] for row in table["rows"]} == {
        "a": True,
        "b": True,
        "cheat": False,
    }


def test_a_large_seed_costs_nothing() -> None:
    (row,) = summarize([other(make_record("a", 0, 0.5), seed=10**9)])
    assert row.status == "ok, 0 of 5 seeds"


def test_a_tie_is_a_tie() -> None:
    """The same sum of right answers in another order, whose means differ in the last bit."""
    one, same, less = (0.1, 0.2, 0.3, 0.4, 0.5), (0.5, 0.4, 0.3, 0.1, 0.2), (0.1, 0.2, 0.3, 0.4, 0.499)
    records = [*runs("b", *one), *runs("a", *same), *runs("c", *less)]
    assert places(records) == [("a/base", 1), ("b/base", 1), ("c/base", 3)]
    assert "| 1=     | a " in leaderboard_markdown(summarize(records))


def test_two_test_sets_of_one_name_share_no_table() -> None:
    elsewhere = [
        record.model_copy(
            update={"identity": record.identity.model_copy(update={"data_fingerprints": {"test": "0123456789"}})}
        )
        for record in runs("b", *FIVE)
    ]
    text = leaderboard_markdown(summarize([*runs("a", *FIVE), *elsewhere]))
    assert "cifar100 (test f), 10,000 steps" in text and "cifar100 (test 01234567), 10,000 steps" in text
    assert "cifar100 (test" not in leaderboard_markdown(summarize(runs("a", *FIVE)))


def test_markdown_names_tracks_places_and_verdicts() -> None:
    text = leaderboard_markdown(summarize(contest()))
    assert "## CIFAR-100 classification, at most 100,000 parameters and 10,000 steps" in text
    assert "| 1      | wide " in text and "**46.20 ± 1.04 (n=5)**" in text
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
    assert "does not match the records; update it with `bench leaderboard`" in capsys.readouterr().err
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
