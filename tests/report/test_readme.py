"""Numbers in README come from the committed records, and from nowhere else."""

import json
from pathlib import Path

import pytest

from bench.contract.manifest import REAL_IMAGES, load_manifest
from bench.contract.records.record import Record
from bench.report.claims.overview import overview_text
from bench.report.claims.papers import read_entries
from bench.report.claims.verdict import verdicts
from bench.report.leaderboard import leaderboard_data, leaderboard_markdown
from bench.report.records.aggregate import Row, summarize
from bench.report.records.current_claims import with_current_claims
from tests.report.committed import committed_records, notes_of

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- bench reproduction submissions/* --short -->\n", "<!-- end -->"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return summarize(with_current_claims(committed_records("results/runs"), ROOT / "submissions")[0])


def test_the_table_is_that_of_the_records(rows: list[Row]) -> None:
    shown = (ROOT / "README.md").read_text().split(BEGIN)[1].split(END)[0]
    expected = overview_text(read_entries(sorted((ROOT / "submissions").iterdir())), rows)
    assert shown == expected, "paste what `bench reproduction submissions/* --short` prints"


def test_the_committed_leaderboard_is_that_of_the_records(rows: list[Row]) -> None:
    results = ROOT / "results"
    assert (results / "LEADERBOARD.md").read_text() == leaderboard_markdown(rows), "run `bench leaderboard`"
    assert json.loads((results / "leaderboard.json").read_text()) == leaderboard_data(rows)


@pytest.mark.parametrize("name", ["se_dsconv", "inverted_residual_se"])
def test_the_notes_quote_the_records(name: str, rows: list[Row]) -> None:
    (row,) = [row for row in rows if row.label == name and row.representative.protocol.profile == "official"]
    notes = notes_of(name)
    for spread in (row.metric("top1_accuracy"), row.as_published("top1_accuracy")):
        assert spread is not None and spread.std is not None
        assert f"{100 * spread.mean:.2f} ± {100 * spread.std:.2f} %" in notes


@pytest.mark.parametrize(
    ("name", "metric", "scale"),
    [("densenet_bc", "top1_accuracy", 100), ("dcgan_000", "fid", 1), ("dcgan_003", "fid", 1)],
)
def test_the_notes_on_a_single_run_quote_its_record(name: str, metric: str, scale: int, rows: list[Row]) -> None:
    (row,) = [row for row in rows if row.label == name and row.representative.protocol.profile == "official"]
    published = {"fid": "fid_clean_10000"}.get(metric, metric)
    for spread in (row.metric({"fid": "fid_10000"}.get(metric, metric)), row.as_published(published)):
        assert spread is not None and spread.n == 1 and f" {scale * spread.mean:.2f}" in notes_of(name)


def test_the_note_on_the_old_and_the_new_default_quotes_their_records() -> None:
    records = committed_records("results/runs/cifar100-classification/baby_mobilenet/base")
    notes = notes_of("baby_mobilenet")
    old, new = ([one for one in records if one.config["learning_rate"] == rate] for rate in (1e-3, 3e-3))
    for row, words, ways in (  # new: as in eval mode; old: in train mode too
        (*summarize(new), "train accuracy is {} and loss {}, against", 1),
        (*summarize(old), "{} and {}:", 2),
    ):
        measured = {verdict.claim: verdict.measured for verdict in verdicts([row])}
        accuracy, loss = measured["train_accuracy"], measured["train_loss"]
        assert accuracy is not None and loss is not None
        assert words.format(f"{100 * accuracy.mean:.2f} %", f"{loss.mean:.3f}") in notes
        measures = (row.metric("top1_accuracy"), row.as_published("top1_accuracy"))
        shown = [f"{100 * spread.mean:.2f} %" for spread in measures if spread is not None]
        assert len(shown) == ways and all(figure in notes for figure in shown)
    assert [len(old), len(new)] == [1, 1]  # "one official run"
    before = summarize(old)[0].metric("top1_accuracy")
    assert before is not None and round(56.3 - 100 * before.mean) == 7  # "seven points"


def step_of(record: Record, accuracy: float) -> int:
    """Where the curve of train accuracy first reaches ``accuracy``."""
    assert record.training is not None
    curves = record.training.curves
    return next(s for s, a in zip(curves.steps, curves.values["accuracy"], strict=True) if a >= accuracy)


def test_the_note_on_ablations_quotes_their_records(rows: list[Row]) -> None:
    notes = notes_of("se_dsconv")
    (plain,) = [row for row in rows if row.label == "se_dsconv/no-augmentation"]
    (shorter,) = summarize(committed_records("results/tuning/se_dsconv-shorter"))
    learnt, published = plain.end_of_curve("accuracy"), plain.as_published("top1_accuracy")
    stopped, validated = shorter.end_of_curve("accuracy"), shorter.as_published("top1_accuracy")
    assert learnt is not None and published is not None and stopped is not None and validated is not None
    assert f"{100 * learnt.mean:.1f} against 56.2 %, and score {100 * published.mean:.1f} against" in notes
    assert f"it is {100 * stopped.mean:.1f} %" in notes and validated.std is not None
    assert f"as published {100 * validated.mean:.1f} ± {100 * validated.std:.1f} %." in notes
    assert (shorter.representative.protocol.profile, validated.n) == ("tuning", 3)
    assert {step_of(record, 0.56) for record in plain.finished} == {
        4000
    } and "passes 56 % after 4,000 steps" in notes


def test_the_note_on_pooling_quotes_its_record(rows: list[Row]) -> None:
    notes = notes_of("se_dsconv")
    found = {row.label: row for row in rows}
    row, pooled = found["se_dsconv/no-pooling-no-augmentation"], found["se_dsconv/no-augmentation"]
    learnt, published = row.end_of_curve("accuracy"), row.as_published("top1_accuracy")
    assert learnt is not None and published is not None and published.n == 1  # "one official run", "one seed"
    assert f"gives {100 * published.mean:.2f} % as published" in notes
    assert f"a train accuracy of {100 * learnt.mean:.2f} %, against 41.2 and 43.0 %" in notes
    assert f"passes 43 % of train after {step_of(row.representative, 0.43):,} steps" in notes
    assert row.representative.training is not None
    assert f"ten epochs ({10 * 50_000 // row.representative.training.batch_size:,} steps)" in notes
    with_it = pooled.as_published("top1_accuracy")
    assert with_it is not None and published.mean > with_it.mean
    assert f"{100 * with_it.mean:.1f} % without augmentation" in notes
    claims = [one.representative.claims.top1_accuracy for one in (pooled, row)]
    with_pooling, without = (claim.mean for claim in claims if claim is not None)
    assert f"has it {100 * (with_pooling - without):.1f} points below" in notes
    hours = [(one.representative.timing.training_seconds or 0) / 3600 for one in (row, found["se_dsconv"])]
    assert [round(hours[0]), round(4 * hours[1])] == [4, 1]  # "four hours", "a quarter of an hour"


def test_the_note_on_small_differences_quotes_their_records(rows: list[Row]) -> None:
    notes = notes_of("se_dsconv")
    found = [
        verdict
        for verdict in verdicts(rows)
        if verdict.submission in ("se_dsconv/no-rotation", "se_dsconv/no-crop")
        and verdict.claim == "top1_accuracy"
    ]
    above = sorted(100 * (one.measured.mean - one.claimed) for one in found if one.measured is not None)
    stds = sorted(100 * (one.measured.std or 0) for one in found if one.measured is not None)
    assert f"are {above[0]:.1f} to {above[1]:.1f} points above the paper's" in notes
    assert f"(over seeds the spread is {stds[0]:.1f} to {stds[1]:.1f} points)" in notes


def test_the_notes_on_one_generator_quote_its_record(rows: list[Row]) -> None:
    (row,) = [
        row for row in rows if row.label == "dcgan_002" and row.representative.protocol.profile == "official"
    ]
    (real_images,) = [
        row for row in rows if row.label == REAL_IMAGES and row.representative.protocol.profile == "official"
    ]
    sound, published, real = (
        row.metric("fid_10000"),
        row.as_published("fid_clean_10000"),
        real_images.metric("fid_10000"),
    )
    assert sound is not None and published is not None and real is not None and sound.n == 1
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert (
        f"uncurated: FID {sound.mean:.2f} against the CIFAR-100 test images ({published.mean:.2f} with" in readme
    )
    notes = notes_of("dcgan_002")
    assert f"gives FID {published.mean:.2f} measured" in notes and f"resize, is {sound.mean:.2f};" in notes
    assert f"one run {published.mean - 44.46:.1f} above" in notes and f"real images have {real.mean:.2f}." in notes


def test_the_note_on_the_search_quotes_its_trials() -> None:
    trials = committed_records("results/tuning/cnn6-quick")
    done = {trial.evaluation.metrics["top1_accuracy"]: trial for trial in trials if trial.evaluation is not None}
    best, pruned = max(done), sum(trial.status == "pruned" for trial in trials)
    assert (len(trials), len(done)) == (16, 3) and "sgd" not in {trial.config["optimizer"] for trial in trials}
    assert (done[best].config["network"], done[best].config["optimizer"]) == ("cnn6", "adagrad")
    adam = [trial for trial in trials if trial.config["optimizer"] == "adam"]
    rates = [trial.config["adam_learning_rate"] for trial in adam]
    assert len(adam) == 3 and {trial.status for trial in adam} == {"pruned"}
    notes = notes_of("cnn6")
    assert "sixteen random trials" in notes and f"Three came to the end of their steps, {pruned} were" in notes
    assert f"had {100 * best:.1f} % on validation" in notes
    assert f"rates of {min(rates):.3f} to {max(rates):.3f}" in notes


def test_the_note_on_the_other_papers_search_quotes_its_trials() -> None:
    trials = committed_records("results/tuning/inverted_residual_se-quick")
    done = {trial.evaluation.metrics["top1_accuracy"]: trial for trial in trials if trial.evaluation is not None}
    pruned = sum(trial.status == "pruned" for trial in trials)
    assert (len(trials), len(done)) == (16, 2)
    notes = notes_of("inverted_residual_se")
    assert "sixteen random trials" in notes and f"Two came to the end of their steps, {pruned} were" in notes
    assert f"had {100 * max(done):.1f} % on validation" in notes
    assert f"at a rate of {done[max(done)].config['learning_rate']:.5f};" in notes


def test_the_score_of_real_images_in_the_docs_is_that_of_the_record(rows: list[Row]) -> None:
    (row,) = [
        row for row in rows if row.label == REAL_IMAGES and row.representative.protocol.profile == "official"
    ]
    evaluation = row.representative.evaluation
    assert evaluation is not None
    found, (low, high) = evaluation.metrics, evaluation.intervals["fid_10000"]
    clean = evaluation.as_published["fid_clean_10000"]
    text = " ".join((ROOT / "docs" / "metrics.md").read_text().split())
    assert f"FID {found['fid_10000']:.2f} [{low:.2f}, {high:.2f}] (legacy) or {clean:.2f} (clean)" in text
    assert f"and {found['fid_infinity_from_10000']:.2f} extrapolated" in text
    assert f"have {found['fid_10000_train']:.2f}. " in text
    audit = notes_of("dcgan_002")
    assert f"real images have {found['lpips_vgg_64']:.3f}" in audit
    assert f"The resize alone accounts for {clean - found['fid_10000']:.2f}" in text


def test_the_list_of_submissions_is_complete_and_has_the_papers_counts() -> None:
    text = (ROOT / "README.md").read_text()
    for folder in sorted((ROOT / "submissions").iterdir()):
        manifest = load_manifest(folder / "submission.yaml")
        assert f"| {folder.name} " in text and manifest.track in text
        if manifest.claims.params is not None:
            assert f"{manifest.claims.params:,}" in text
