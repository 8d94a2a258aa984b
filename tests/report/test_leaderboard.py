"""The leaderboard: official runs only, identical bytes from the same records, a check of committed files."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.contract.collected import Origin, Refusal, write_refused
from bench.contract.manifest import REAL_IMAGES
from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.errors import ExitCode, NothingToDo, ResultsError
from bench.report.leaderboard import DATA, MARKDOWN, leaderboard_command, leaderboard_data, leaderboard_markdown
from bench.report.records.aggregate import summarize
from bench.report.records.collected import Collected
from tests.report.making_contest import contest, write_contest
from tests.report.making_records import make_record


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_contest(tmp_path / "results", contest())
    return tmp_path / "results"


def run_leaderboard(results: Path, *, check: bool = False) -> ExitCode:
    return leaderboard_command(results, results.parent / "submissions", check=check, site=False)


def test_eligible_rows_are_ranked_and_others_have_no_rank() -> None:
    tables = leaderboard_data(summarize(contest()))["tables"]
    ranks = [(f"{row['submission']}/{row['variant']}", row["columns"]["place"]) for row in tables[0]["rows"]]
    # A seed of moody failed; wide/deep would lead but is over the cap.
    assert ranks == [
        ("wide/base", 1),
        ("wide/deep", None),
        ("se_net/base", 2),
        ("narrow/base", 3),
        ("moody/base", None),
    ]
    generators = [(row["submission"], row["columns"]["place"]) for row in tables[1]["rows"]]
    # ddpm is better but has a single seed.
    assert generators == [("gan", 1), (REAL_IMAGES, None), ("ddpm", None)]
    assert all(table["protocol"]["profile"] == "official" for table in tables)


def ranks(records: list[Record]) -> list[tuple[str, int | None]]:
    (table,) = leaderboard_data(summarize(records))["tables"]
    return [(f"{row['submission']}/{row['variant']}", row["columns"]["place"]) for row in table["rows"]]


def runs(name: str, *accuracies: float, wanted: int | None = None, variant: str = "base") -> list[Record]:
    records = [make_record(name, seed, value, variant=variant) for seed, value in enumerate(accuracies)]
    return [record.model_copy(update={"profile_seeds": wanted}) for record in records]


FIVE = (0.50, 0.51, 0.49, 0.52, 0.48)


def test_rank_requires_all_seeds_of_the_profile() -> None:
    two_seeds = runs("lucky", 0.7, 0.72)
    assert ranks([*runs("complete", *FIVE), *two_seeds]) == [("complete/base", 1), ("lucky/base", None)]
    (row,) = summarize(two_seeds)
    assert row.status == "ok, 2 of 5 seeds" and row.seeds_missing == [2, 3, 4]
    # Seeds 0, 3, 6, 9 and 12 are five seeds, but not the profile's five.
    picked = [with_identity(record, seed=3 * record.identity.seed) for record in runs("picked", *FIVE)]
    assert ranks([*runs("complete", *FIVE), *picked])[1] == ("picked/base", None)
    assert summarize(picked)[0].status == "ok, 2 of 5 seeds"
    gap = [
        with_identity(record, seed=record.identity.seed + (record.identity.seed > 4))
        for record in runs("gap", *FIVE, 0.9)
    ]
    assert (summarize(gap)[0].status, summarize(gap)[0].seeds_missing) == ("ok, seeds skipped", [])
    # The number of seeds in a record is used only if its track is unknown here.
    assert ranks(runs("own", 0.5, wanted=1)) == [("own/base", None)]
    of_unknown_track = [
        record.model_copy(update={"protocol": record.protocol.model_copy(update={"track": "mine"})})
        for record in runs("own", 0.5, wanted=1)
    ]
    assert ranks(of_unknown_track) == [("own/base", 1)]


def with_identity(record: Record, **identity: Any) -> Record:
    return record.model_copy(update={"identity": record.identity.model_copy(update=identity)})


def test_only_base_variants_are_ranked() -> None:
    better = runs("a", *(value + 0.2 for value in FIVE), variant="wide")
    ranked = ranks([*runs("a", *FIVE), *better, *runs("b", *(value + 0.1 for value in FIVE))])
    assert ranked == [("b/base", 1), ("a/base", 2), ("a/wide", None)]


def on_cuda(records: list[Record]) -> list[Record]:
    return [with_identity(record, device_type="cuda") for record in records]


def test_submission_has_one_rank_by_its_worst_device() -> None:
    honest, cheat = runs("honest", *FIVE), runs("cheat", *(value - 0.1 for value in FIVE))
    lucky = [with_identity(record, seed=7 + record.identity.seed) for record in on_cuda(runs("cheat", 0.7, 0.71))]
    ranked = ranks([*honest, *cheat, *lucky])
    assert ranked[0] == ("honest/base", 1) and sorted(ranked[1:], key=str) == [
        ("cheat/base", 2),
        ("cheat/base", None),
    ]
    all_seeds = on_cuda(runs("cheat", *(value + 0.1 for value in FIVE)))
    assert [rank for name, rank in ranks([*honest, *cheat, *all_seeds]) if name == "honest/base"] == [1]


def test_eligibility_is_checked_for_every_record() -> None:
    """Neither the first record alone nor the eligibility that a record states is trusted."""
    honest = runs("honest", *FIVE)

    def rank_of_cheat(records: list[Record]) -> int | None:
        return dict(ranks([*honest, *records]))["cheat/base"]

    cheat = runs("cheat", *(value + 0.1 for value in FIVE))
    assert rank_of_cheat(cheat) == 1
    without_accuracy = [cheat[0]] + [
        record.model_copy(update={"evaluation": record.evaluation.model_copy(update={"metrics": {"nll": 1.0}})})
        for record in cheat[1:]
        if record.evaluation
    ]
    assert rank_of_cheat(without_accuracy) is None
    over_the_cap = [make_record("cheat", record.identity.seed, 0.6, params=104_804) for record in cheat[1:]]
    assert rank_of_cheat([cheat[0], *over_the_cap]) is None
    over_the_budget = [
        record.model_copy(update={"training": record.training.model_copy(update={"updates": {"sgd": 100_000}})})
        for record in cheat
        if record.training
    ]
    assert rank_of_cheat(over_the_budget) is None and all(
        record.unranked_because == [] for record in over_the_budget
    )


def test_ineligible_rows_are_not_marked_as_best() -> None:
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


def test_large_seed_number_does_not_cost_time() -> None:
    (row,) = summarize([with_identity(make_record("a", 0, 0.5), seed=10**9)])
    assert row.status == "ok, 0 of 5 seeds"


def test_equal_means_share_a_rank() -> None:
    """The same accuracies in another order, whose means differ in the last bit."""
    one, same, less = (0.1, 0.2, 0.3, 0.4, 0.5), (0.5, 0.4, 0.3, 0.1, 0.2), (0.1, 0.2, 0.3, 0.4, 0.499)
    records = [*runs("b", *one), *runs("a", *same), *runs("c", *less)]
    assert ranks(records) == [("a/base", 1), ("b/base", 1), ("c/base", 3)]
    assert "| 1=     | a " in leaderboard_markdown(summarize(records))


def test_different_test_sets_have_separate_tables() -> None:
    other_test_set = [
        record.model_copy(
            update={"identity": record.identity.model_copy(update={"data_fingerprints": {"test": "0123456789"}})}
        )
        for record in runs("b", *FIVE)
    ]
    text = leaderboard_markdown(summarize([*runs("a", *FIVE), *other_test_set]))
    assert "cifar100 (test f), 10,000 steps" in text and "cifar100 (test 01234567), 10,000 steps" in text
    assert "cifar100 (test" not in leaderboard_markdown(summarize(runs("a", *FIVE)))


def test_markdown_has_tracks_ranks_and_verdicts() -> None:
    text = leaderboard_markdown(summarize(contest()))
    assert "## CIFAR-100 classification, at most 100,000 parameters and 10,000 steps" in text
    assert "| 1      | wide " in text and "**46.20 ± 1.04 (n=5)**" in text
    assert "## Claims of the papers" in text and "reproduced" in text
    assert "quick" not in text


def test_same_records_give_identical_files(results: Path) -> None:
    assert run_leaderboard(results) == ExitCode.OK
    first = [(results / name).read_bytes() for name in (MARKDOWN, DATA)]
    assert run_leaderboard(results) == ExitCode.OK
    assert first == [(results / name).read_bytes() for name in (MARKDOWN, DATA)]
    assert run_leaderboard(results, check=True) == ExitCode.OK


def test_check_reports_stale_files_and_writes_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_leaderboard(results, check=True) == ExitCode.REGRESSION  # no file yet
    assert not (results / MARKDOWN).exists()
    run_leaderboard(results)
    quick = make_record("se_net", 1, 0.2, profile="quick")
    write_record(record_path(results, quick.identity, quick.protocol), quick)
    assert run_leaderboard(results, check=True) == ExitCode.OK  # other profiles do not matter
    record = make_record("newcomer", 0, 0.7)
    write_record(record_path(results, record.identity, record.protocol), record)
    capsys.readouterr()
    assert run_leaderboard(results, check=True) == ExitCode.REGRESSION
    assert "does not match the records; update it with `bench leaderboard`" in capsys.readouterr().err
    assert json.loads((results / DATA).read_text())["tables"][0]["rows"][0]["submission"] == "wide"


def test_without_official_records_only_the_site_is_written(tmp_path: Path) -> None:
    quick = make_record("net", profile="quick")
    write_record(record_path(tmp_path, quick.identity, quick.protocol), quick)
    with pytest.raises(NothingToDo, match="no official record"):
        run_leaderboard(tmp_path)
    assert leaderboard_command(tmp_path, tmp_path, check=False, site=True) == ExitCode.OK
    assert (tmp_path / "site" / "index.html").is_file() and not (tmp_path / MARKDOWN).exists()


def test_unwritable_file_is_an_error(results: Path) -> None:
    (results / MARKDOWN).mkdir()
    with pytest.raises(ResultsError, match="cannot be written"):
        run_leaderboard(results)


def test_damaged_record_is_reported(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((results / "runs").rglob("seed0*.json"))
    path.write_text("{}")
    assert run_leaderboard(results) == ExitCode.USAGE
    assert path.name in capsys.readouterr().err


COLLECTED = Collected(
    {"wide": "Ä | <b>B</b> **C**"},
    [
        Refusal(
            upload="a.zip", team="T | [x](http://y)", date="2026-07-01T12:34:56+00:00", reason="no `model.py` <i>"
        )
    ],
)


def test_teams_and_refused_uploads_are_shown_and_escaped() -> None:
    text = leaderboard_markdown(summarize(contest()), COLLECTED)
    assert "| rank   | submission   | team " in text and r"| Ä \| &lt;b>B&lt;/b> \*\*C** " in text
    assert text.count("| team ") == 2  # of the classifiers and the refused; no generator has a team
    refused = text[text.index("## Refused") : text.index("## Claims")]
    assert r"| T \| \[x](http://y) | a.zip    | 2026-07-01 12:34 | no `model.py` &lt;i> |" in refused
    data = leaderboard_data(summarize(contest()), COLLECTED)
    assert data["refused"][0]["team"] == "T | [x](http://y)"
    assert data["tables"][0]["rows"][0]["columns"]["team"] == "Ä | <b>B</b> **C**"
    without = leaderboard_markdown(summarize(contest()))
    assert "Refused" not in without and "| team " not in without


def test_command_reads_what_was_collected(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submissions = results.parent / "submissions"
    write_refused(submissions, COLLECTED.refused)
    origin = Origin(source="x", team="Team 7", collected="2026-07-01", sha256="0", files=2)
    (submissions / "wide").mkdir()
    (submissions / "wide" / "collected.yaml").write_text(origin.to_yaml())
    assert run_leaderboard(results) == ExitCode.OK
    text = (results / MARKDOWN).read_text()
    assert "| Team 7 " in text and "## Refused" in text and run_leaderboard(results, check=True) == ExitCode.OK
    (submissions / "refused.json").write_text("[]")
    run_leaderboard(results)
    assert "refused.json: not a list of refused uploads" in capsys.readouterr().err
    assert "## Refused" not in (results / MARKDOWN).read_text()


def test_failures_have_a_short_reason_and_a_legend() -> None:
    long = make_record("long", 0, None, reason="ValueError: " + "many words " * 30)
    text = leaderboard_markdown(summarize([*contest(), long]))
    assert "| 1/2 error: OSError: 5 " in text and "| error: ValueError: many words" in text
    assert max(len(line) for line in text.splitlines() if line.startswith("| –      | long")) < 400
    assert "Status: error: an exception in its code; a fraction: so many of the seeds failed; " in text
    assert "timeout:" not in text
