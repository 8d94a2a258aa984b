"""Tables, ranks, tests, plots and the gate follow the metric that a track ranks by; papers keep their own."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.contract.metrics import RANKING
from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.contract.tracks import Advice
from bench.report.claims.ablation import ablation_text
from bench.report.claims.overview import overview_text
from bench.report.claims.papers import read_entries
from bench.report.claims.verdict import score_verdict
from bench.report.compare import CompareOptions, compare_command, comparison_text
from bench.report.leaderboard import leaderboard_data, leaderboard_markdown
from bench.report.plots.changes import ablation_figure
from bench.report.plots.pareto import COSTS, pareto_figure, pareto_front, points_of
from bench.report.plots.samples import _score
from bench.report.records.aggregate import Row, summarize
from bench.report.regression.check import findings
from bench.report.regression.findings import DEFAULT_LIMITS, parse_limits
from bench.report.site.build import build_site
from tests.report.making_contest import generator, real_images
from tests.report.making_records import make_record

CLAIM = {"top1_accuracy": {"mean": 0.502, "std": 0.01, "runs": 3}}


def ranked_by(record: Record, rank_by: str, **metrics: float) -> Record:
    """Return the run as one of a track with ``rank_by``, with further metrics."""
    protocol = record.protocol.model_copy(update={"rank_by": rank_by})
    evaluation = record.evaluation
    assert evaluation is not None
    return record.model_copy(
        update={
            "protocol": protocol,
            "identity": record.identity.model_copy(update={"protocol_hash": protocol.hash}),
            "evaluation": evaluation.model_copy(update={"metrics": {**evaluation.metrics, **metrics}}),
        }
    )


def runs(name: str, nll: float, accuracy: float, variant: str = "base", **fields: Any) -> list[Record]:
    """Return five runs of a classifier that is ranked by NLL."""
    return [
        ranked_by(
            make_record(name, seed, accuracy + seed / 1000, variant=variant, **fields),
            "nll",
            nll=nll + seed / 100,
            macro_f1=accuracy / 2,
        )
        for seed in range(5)
    ]


def contest() -> list[Record]:
    """Return runs in which the more accurate network is the less certain one."""
    return [*runs("sure", 1.2, 0.40), *runs("right", 1.6, 0.60), *runs("both", 1.5, 0.50)]


def of(name: str, records: list[Record]) -> Row:
    return next(row for row in summarize(records) if row.label == name)


def write(results: Path, records: list[Record]) -> Path:
    for record in records:
        write_record(record_path(results, record.identity, record.protocol), record)
    return results


def test_lower_metric_ranks_and_sorts_ascending() -> None:
    (table,) = leaderboard_data(summarize(contest()))["tables"]
    rows = [(row["submission"], row["columns"]["place"]) for row in table["rows"]]
    assert rows == [("sure", 1), ("both", 2), ("right", 3)]
    assert table["protocol"]["rank_by"] == "nll"
    assert [row["submission"] for row in table["rows"] if "score" in row["best_in"]] == ["sure"]
    text = leaderboard_markdown(summarize(contest()))
    assert "Ranked by the lowest NLL." in text and "| NLL (test)" in text and "**1.220 ± 0.016 (n=5)**" in text
    shown = comparison_text(summarize(contest()), table_format="csv", keys=["submission", "score"])
    assert [line.split(",")[3] for line in shown.splitlines()[1:]] == ["sure", "both", "right"]


def test_metrics_of_the_track_are_columns_of_their_own() -> None:
    asked = [
        r.model_copy(update={"shown_metrics": ["macro_f1", "top1_accuracy", "nll", "luck"]}) for r in contest()
    ]
    rows = leaderboard_data(summarize(asked))["tables"][0]["rows"]
    assert rows[0]["columns"]["macro_f1"]["mean"] == 0.2
    assert rows[0]["columns"]["top1_accuracy"]["mean"] == pytest.approx(0.402)
    assert "nll" not in rows[0]["columns"] and "luck" not in rows[0]["columns"]  # the score has it; forged
    right = next(row for row in rows if row["submission"] == "right")
    assert "top1_accuracy" in right["best_in"]
    header = comparison_text(summarize(asked), table_format="github").splitlines()[2]
    assert header.index("NLL (test)") < header.index("macro F1 %") < header.index("top-1 %")
    # Columns are those of the latest run: a teacher may change them during a contest.
    later = make_record("both", 0).timing.model_copy(update={"finished_at": "2027-01-01T00:00:00+00:00"})
    asked[-1] = asked[-1].model_copy(update={"timing": later, "shown_metrics": ["ece"]})
    assert "macro_f1" not in leaderboard_data(summarize(asked))["tables"][0]["rows"][0]["columns"]


def test_one_image_of_the_worst_class_is_no_significant_difference() -> None:
    """A class has 100 images: 0.01 in each of three seeds is one image, which rounding may explain (p = 0.051)."""

    def best(rank_by: str) -> tuple[set[str], str]:
        records = [
            ranked_by(make_record(name, seed), rank_by, **{rank_by: value + seed / 100})
            for name, value in (("a", 0.30), ("b", 0.31))
            for seed in range(3)
        ]
        table = leaderboard_data(summarize(records))["tables"][0]
        best_rows = {row["submission"] for row in table["rows"] if "score" in row["best_in"]}
        return best_rows, table["best_by"]["score"]

    # One mark in both cases, but by another rule: the legend says that the first may lead by chance.
    assert best("worst_class_accuracy") == ({"b"}, "no difference")
    assert best("balanced_accuracy") == ({"b"}, "tests")  # of 10,000 images


def test_papers_are_still_judged_by_what_they_report() -> None:
    rows = summarize(runs("net", 1.2, 0.5, claims=CLAIM))
    verdict = score_verdict(rows[0])
    assert verdict is not None and verdict.claim == "top1_accuracy"
    assert verdict.ours == pytest.approx(0.502) and verdict.difference == pytest.approx(0)
    text = comparison_text(rows, table_format="github")
    assert "as published top-1 %" in text and "| top-1 50.2 ± 1 " in text


@pytest.mark.parametrize(
    ("claims", "shown"), [("claims: {top1_accuracy: {mean: 0.5}}", "50.20 ± 0.16 % (n=5)"), ("", "50.20 % (n=5)")]
)
def test_overview_of_a_paper_shows_its_own_metric(tmp_path: Path, claims: str, shown: str) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    manifest = f"track: cifar100-classification\nsummary: A network\npaper: {{title: T}}\n{claims}\n"
    (folder / "submission.yaml").write_text(manifest)
    (folder / "model.py").write_text("")
    assert shown in overview_text(read_entries([folder]), summarize(runs("net", 1.2, 0.5)))


def test_ablation_is_of_the_ranking_metric_and_the_paper_of_its_own() -> None:
    base = runs("net", 1.2, 0.5, claims=CLAIM)
    wide = runs("net", 1.1, 0.6, "wide", claims={"top1_accuracy": {"mean": 0.512}})
    text = ablation_text(summarize([*base, *wide]), {"wide": "wider"}, table_format="github")
    header, _, _, line = text.splitlines()[2:6]
    assert "| NLL " in header and "| as published top-1 % " in header and "| paper top-1 % " in header
    assert "-0.100 [-0.100, -0.100]" in line and "+10.00 [+10.00, +10.00]" in line and "+1.00" in line
    assert "difference of NLL from" in ablation_figure(summarize([*base, *wide])).axes[0].get_xlabel()
    labels = [text.get_text() for text in ablation_figure(summarize([*base, *wide])).legends[0].get_texts()]
    assert labels == ["ours, 95 % interval over seeds"]  # the paper's effect has another unit


def test_difference_from_an_entry_is_of_the_ranking_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write(tmp_path / "results", contest())
    compare_command(results, tmp_path, CompareOptions(table_format="json", against="sure"))
    (table,) = json.loads(capsys.readouterr().out)
    differences = {row["submission"]: row["columns"]["difference"] for row in table["rows"]}
    assert differences["sure"] is None and differences["both"]["mean"] == pytest.approx(0.3)
    compare_command(results, tmp_path, CompareOptions(against="sure"))
    assert "NLL minus sure [95 %, seeds]" in capsys.readouterr().out


def test_pareto_front_has_the_lowest_values() -> None:
    rows = [of(name, contest()) for name in ("sure", "right", "both")]
    points = points_of(rows, COSTS["params"])
    front = pareto_front(points, higher_is_better=rows[0].ranking_metric.better == "higher")
    assert [point.row.label for point in front] == ["sure"]  # all have the same cost
    assert "NLL, lower is better (test)" in pareto_figure(rows, "params").axes[0].get_ylabel()


@pytest.mark.parametrize(
    ("rank_by", "before", "now", "outcome"),
    [
        ("nll", 1.0, 1.02, "pass"),  # fid:+5% is the limit of other distances
        ("nll", 1.0, 0.5, "pass"),
        ("nll", 1.0, 1.2, "FAIL"),
        ("macro_f1", 0.5, 0.495, "pass"),  # accuracy:-1pp is the limit of other fractions
        ("macro_f1", 0.5, 0.48, "FAIL"),
        ("worst_class_accuracy", 0.5, 0.48, "FAIL"),
        ("ece", 0.05, 0.055, "pass"),
        ("ece", 0.05, 0.08, "FAIL"),
        ("ece", 0.05, 0.01, "pass"),
    ],
)
def test_default_gate_judges_the_ranking_metric(rank_by: str, before: float, now: float, outcome: str) -> None:
    name = next(metric.name for metric in RANKING["classification"] if metric.key == rank_by)

    def rows(value: float, source: str) -> list[Row]:
        records = [make_record("net", seed, 0.5, source=source) for seed in range(4)]
        return summarize([ranked_by(r, rank_by, **{name: value + i / 10_000}) for i, r in enumerate(records)])

    found = findings(rows(before, "a"), rows(now, "b"), parse_limits(DEFAULT_LIMITS))
    assert {item.metric: item.outcome for item in found}[rank_by] == outcome


def test_limits_of_single_metrics() -> None:
    limits = parse_limits("accuracy:-1pp,macro_f1:-3pp,nll:0.1")
    assert limits["macro_f1"].amount == 0.03 and limits["recall"].amount == limits["accuracy"].amount == 0.01
    assert limits["nll"].amount == 0.1 and "fid" not in limits and "kid" not in limits


def test_generators_rank_by_kid_with_fid_as_a_column() -> None:
    records = [
        ranked_by(generator(name, seed, fid), "kid", kid_10000=kid)
        for name, fid, kid in (("a", 40.0, 0.03), ("b", 50.0, 0.02))
        for seed in range(3)
    ]
    (table,) = leaderboard_data(summarize(records))["tables"]
    assert [(row["submission"], row["columns"]["place"]) for row in table["rows"]] == [("b", 1), ("a", 2)]
    assert table["rows"][0]["columns"]["fid"]["mean"] == 50 and "kid" not in table["rows"][0]["columns"]
    real = ranked_by(real_images(5.0), "kid", kid_10000=0.001)
    axes = pareto_figure(summarize([*records, real]), "params").axes[0]
    line = next(line for line in axes.lines if line.get_linestyle() == ":" and list(line.get_xdata()) == [0, 1])
    assert list(line.get_ydata()) == [1, 1]  # ×1000, as the points
    assert _score(of("b", records)) == ", KID ×1000 20.0"
    assert _score(summarize([generator("a", 0, 40.0)])[0]) == ", FID 40.0"


def test_advice_is_a_remark_and_changes_no_rank() -> None:
    def advised(advice: Advice, name: str = "slow") -> list[Record]:
        records = [make_record(name, seed, 0.5, params=80_000) for seed in range(5)]  # 880 s = 14 min 40 s
        timing = records[0].timing.model_copy(update={"peak_memory_bytes": 2 * 2**30 + 1})
        return [records[0].model_copy(update={"timing": timing, "advice": advice}), *records[1:]]

    def row(records: list[Record]) -> tuple[str, int]:
        (found,) = leaderboard_data(summarize(records))["tables"][0]["rows"]
        return found["status"], found["columns"]["place"]

    assert row(advised(Advice(training_minutes=880 / 60, memory_gib=2.1))) == ("ok", 1)
    assert row(advised(Advice(training_minutes=14.5))) == ("ok, over the advised 14.5 min", 1)
    assert row(advised(Advice(memory_gib=2))) == ("ok, over the advised 2 GiB", 1)
    both = advised(Advice(training_minutes=14, memory_gib=2))
    assert row(both) == ("ok, over the advised 14 min, over the advised 2 GiB", 1)


def test_site_states_the_rules(tmp_path: Path) -> None:
    records = [
        record.model_copy(update={"shown_metrics": ["macro_f1"], "advice": Advice(training_minutes=1)})
        for record in contest()
    ]
    results = write(tmp_path / "results", records)
    build_site(records, [], results, tmp_path, tmp_path / "site")
    page = (tmp_path / "site" / "tracks" / "cifar100-classification.html").read_text()
    assert "ranked by the lowest NLL; at most 100,000 parameters" in page and "macro F1 %" in page
    front = (tmp_path / "site" / "index.html").read_text()
    assert "macro F1 %" in front and "over the advised 1 min" in front
