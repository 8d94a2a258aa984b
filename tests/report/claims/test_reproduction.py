"""docs/reproduction.md: every claim, with its verdict from the records or marked as not run."""

from pathlib import Path
from typing import Any

import pytest

from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.errors import ExitCode
from bench.files import REPOSITORY
from bench.report.claims.papers import PaperEntry, read_entries
from bench.report.claims.reproduction import reproduction_text
from bench.report.claims.tuning_runs import tried_rows
from bench.report.records.aggregate import summarize
from tests.making import bench
from tests.report.claims.test_papers import write
from tests.report.committed import committed_records
from tests.report.making_records import make_record

SUBMISSIONS = sorted((REPOSITORY / "submissions").iterdir())
CLAIMS: dict[str, Any] = {
    "params": 84_194,
    "top1_accuracy": {"mean": 0.5, "std": 0.042, "over": "batches of one run", "protocol": "as-published"},
    "train_loss": 2.05,
}
PUBLISHED = {"mode": "train", "batch_size": 100, "why": "Nobody called eval()."}


@pytest.fixture
def entry(tmp_path: Path) -> PaperEntry:
    without = {"what": "without", "set": {"a": 0}, "reports": {"params": 84_194, "top1_accuracy": 0.4}}
    fields = {"claims": CLAIMS, "as_published": PUBLISHED, "ablations": {"without": without}}
    (paper_entry,) = read_entries([write(tmp_path, "net", track="cifar100-classification", **fields)])
    return paper_entry


def runs(entry: PaperEntry, accuracies: list[float], **timing: Any) -> list[Record]:
    """Return runs whose as-published accuracy is 5 points higher, with a deviation of 5.1 points over batches."""
    records = []
    for seed, accuracy in enumerate(accuracies):
        record = make_record("net", seed, accuracy, claims=CLAIMS)
        assert record.evaluation is not None
        published = {**record.evaluation.as_published, "std_over_batches": 0.051}
        evaluation = record.evaluation.model_copy(update={"as_published": published})
        times = record.timing.model_copy(update={"evaluation_seconds": 10.0, **timing})
        changes = {"evaluation": evaluation, "timing": times, "as_published": entry.manifest.as_published}
        records.append(record.model_copy(update=changes))
    return records


def cells(text: str, *starts: str) -> list[str]:
    """Return the cells of the only row that begins with ``starts``."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    (row,) = [row for row in rows if row[: len(starts)] == list(starts)]
    return row


def test_committed_document_is_current() -> None:
    rows, tried = summarize(committed_records("results/runs")), summarize(committed_records("results/tuning"))
    text = (REPOSITORY / "docs" / "reproduction.md").read_text(encoding="utf-8")
    update_command = "run `bench reproduction submissions/* > docs/reproduction.md`"
    assert text == reproduction_text(read_entries(SUBMISSIONS), rows, tried_rows(tried)), update_command


def test_every_claim_has_a_verdict(entry: PaperEntry) -> None:
    text = reproduction_text([entry], summarize(runs(entry, [0.451, 0.455, 0.447])))
    assert (
        "**Parameter counts of networks that were run: 1 of 1 equal. Other claims (3): 2 reproduced" in text
        and ", 1 not run.**" in text
    )
    assert cells(text, "net", "parameters")[-1] == "reproduced"
    assert cells(text, "net", "top-1, as published") == [
        "net",
        "top-1, as published",
        "50.00 ± 4.20 %",
        "50.10 ± 0.40 % (n=3)",
        "+0.10 [-0.57, +0.77]",
        "[48.11, 52.09]",
        "45.10 ± 0.40 %",
        "reproduced",
    ]
    assert cells(text, "net", "train loss")[3] == "2.000 ± 0.000 (n=3)"  # of the last logged window only
    assert cells(text, "net/without", "top-1")[2:] == ["40.00 %", "–", "–", "–", "–", "not run"]
    assert "net/without | parameters" not in text  # counts of variants that were not run are not listed


def test_one_seed_or_other_data_is_inconclusive(entry: PaperEntry) -> None:
    (one,) = runs(entry, [0.45])
    text = reproduction_text([entry], summarize([one]))
    assert cells(text, "net", "top-1, as published")[-1] == "inconclusive: one seed has no standard deviation"
    assert one.data is not None
    data = one.data.model_copy(update={"name": "style", "stand_in_for": "cifar100"})
    stand_in_runs = [record.model_copy(update={"data": data}) for record in runs(entry, [0.45, 0.46])]
    text = reproduction_text([entry], summarize(stand_in_runs))
    assert cells(text, "net", "top-1, as published")[-1].startswith("inconclusive: on cifar100 in place of")
    assert cells(text, "net", "parameters")[-1] == "reproduced"  # a count does not depend on images


def test_deviation_table_has_paper_batches_chance_and_seeds(entry: PaperEntry) -> None:
    text = reproduction_text([entry], summarize(runs(entry, [0.451, 0.455, 0.447])))
    # By chance: √(0.5 · 0.5 / 100), in points.
    row = ["net", "top-1", "4.20", "batches of one run", "5.10", "5.00", "0.40"]
    assert cells(text, "net", "top-1", "4.20") == row


def test_chance_deviation_defaults_to_the_training_batch_size(tmp_path: Path) -> None:
    claims = {name: {"mean": 0.5, "std": 0.04, "over": "batches"} for name in ("top1_accuracy", "train_accuracy")}
    (entry,) = read_entries([write(tmp_path, "net", track="cifar100-classification", claims=claims)])
    text = reproduction_text([entry], summarize([make_record("net", 0, 0.45, claims=claims)]))
    for name in ("top-1", "train accuracy"):  # √(0.5 · 0.5 / 128), in points
        assert cells(text, "net", name, "4.00") == ["net", name, "4.00", "batches", "–", "4.42", "–"]


def test_cost_table_shares_energy_between_concurrent_runs(entry: PaperEntry) -> None:
    records = runs(entry, [0.45, 0.46], training_seconds=3590.0, training_joules=80_000.0)
    sole_run, shared_run = records
    shared_run = shared_run.model_copy(update={"environment": {**shared_run.environment, "jobs_side_by_side": 2}})
    text = reproduction_text([entry], summarize([sole_run, shared_run]))
    # 80 kJ of the device per run; one run shared it with another. 2 × (3590 + 10) s are two hours.
    assert cells(text, "net", "2") == [
        "net", "2", "A CPU, 1 thr", "2, –", "3,590 ± 0", "10 ± 0", "44.7", "60.0 ± 28.3", "2.0",
    ]  # fmt: skip
    assert cells(reproduction_text([entry], summarize(runs(entry, [0.4]))), "net", "1")[7] == "–"


def test_variants_are_compared_with_the_base(entry: PaperEntry) -> None:
    base = runs(entry, [0.45, 0.46, 0.47])
    without = [make_record("net", seed, 0.40 + 0.01 * seed, variant="without") for seed in range(3)]
    text = reproduction_text([entry], summarize([*base, *without]))
    row = cells(text, "without (`without`)")
    assert row[3:5] == ["41.00 ± 1.00 (n=3)", "-5.00 [-5.00, -5.00] (n=3) *"]


def test_short_profiles_are_left_out(entry: PaperEntry) -> None:
    text = reproduction_text([entry], summarize([make_record("net", 0, 0.5, profile="quick", claims=CLAIMS)]))
    assert "0 inconclusive, 3 not run" in text and "## Cost" not in text


def test_command_prints_or_checks_the_document(tmp_path: Path, entry: PaperEntry) -> None:
    for record in runs(entry, [0.451, 0.455]):
        write_record(record_path(tmp_path / "results", record.identity, record.protocol), record)
    arguments = ("reproduction", tmp_path / "net", "--results", tmp_path / "results")
    completed = bench(*arguments)
    assert (
        completed.returncode == 0
        and "**Parameter counts of networks that were run: 1 of 1 equal. Other claims (3)" in completed.stdout
    )
    file = tmp_path / "reproduction.md"
    file.write_text(completed.stdout)
    assert bench(*arguments, "--check", file).returncode == 0
    file.write_text(completed.stdout.replace("reproduced", "refuted"))
    stale = bench(*arguments, "--check", file)
    assert stale.returncode == ExitCode.REGRESSION and "is out of date; run `bench reproduction" in stale.stderr
