"""Table columns: predefined ones, metrics, and fields of the record."""

import csv
import io

import pytest

from bench.contract.records.record import Record
from bench.errors import UsageError
from bench.report.compare import comparison_text
from bench.report.records.aggregate import summarize
from tests.report.making_records import make_record


@pytest.fixture
def records() -> list[Record]:
    runs = [make_record("a", seed, 0.5 + seed / 100) for seed in range(2)]
    runs[1] = runs[1].model_copy(update={"config": {"batch_size": 128, "rate": 0.1, "name": "x"}})
    runs[0] = runs[0].model_copy(update={"config": {"batch_size": 128, "rate": 0.2, "name": "y"}})
    return [*runs, make_record("b", 0, 0.4)]


def with_speed(record: Record, **rate: float) -> Record:
    measured = record.timing.inference_images_per_s
    assert measured is not None
    timing = record.timing.model_copy(update={"inference_images_per_s": measured.model_copy(update=rate)})
    return record.model_copy(update={"timing": timing})


def test_speed_counts_once_per_verification() -> None:
    """Seeds after one verification share its speed, which counts once; the median is over verifications."""
    first = [with_speed(make_record("a", seed), median_per_s=4000.0) for seed in range(4)]
    (row,) = summarize([*first, with_speed(make_record("a", 4), median_per_s=3000.0)])
    assert [rate.median_per_s for rate in row.speeds] == [3000.0, 4000.0]
    assert row.images_per_s == 3500.0
    third = with_speed(make_record("a", 5), median_per_s=4100.0)
    (row,) = summarize([*row.records, third])
    assert row.images_per_s == 4000.0


def table(records: list[Record], keys: str, sort: str = "score") -> list[dict[str, str]]:
    text = comparison_text(summarize(records), table_format="csv", keys=keys.split(","), sort=sort)
    return list(csv.DictReader(io.StringIO(text)))


def test_columns_of_metrics_and_record_fields(records: list[Record]) -> None:
    a, b = table(records, "submission,nll,config.batch_size,config.rate,config.name,training.epochs")
    assert (a["nll"], a["nll_std"], a["nll_n"]) == ("1.5", "0.0", "2")
    assert a["config.batch_size"] == "128" and a["training.epochs"] == "25.6"  # shared by all seeds
    assert float(a["config.rate"]) == pytest.approx(0.15) and a["config.rate_n"] == "2"  # differs
    assert a["config.name"] == "x, y" and b["config.name"] == ""


def test_text_has_percent_and_digits_by_the_deviation(records: list[Record]) -> None:
    text = comparison_text(summarize(records), table_format="github", keys=["top1_accuracy", "nll", "config.rate"])
    assert "top1_accuracy %" in text and "50.50 ± 0.71 (n=2)" in text and "1.500 ± 0.000 (n=2)" in text
    assert "0.150 ± 0.071 (n=2)" in text


@pytest.mark.parametrize(
    ("sort", "first"), [("nll", "a"), ("-score", "b"), ("config.batch_size", "a"), ("-submission", "b")]
)
def test_sorting_by_any_column(records: list[Record], sort: str, first: str) -> None:
    assert table(records, "submission", sort)[0]["submission"] == first


def test_unknown_column_is_refused(records: list[Record]) -> None:
    message = r"column 'config\.speed': no record has it; available: the columns submission, params.*nll"
    with pytest.raises(UsageError, match=message):
        table(records, "submission,config.speed")


def test_speed_is_marked_as_busy_unless_one_seed_was_without_load() -> None:
    busy = [make_record("busy", seed, background_load=0.4) for seed in range(3)]
    partly_busy = [make_record("some", seed, background_load=0.4 if seed < 2 else 0.01) for seed in range(3)]
    text = comparison_text(
        summarize([*busy, *partly_busy]), table_format="github", keys=["submission", "images_per_s"]
    )
    assert "4,001 (busy machine)" in text and text.count("busy machine") == 1
    assert "4,002" in text  # of the one seed without background load, not the median of all three


def test_busy_machine_of_all_rows_is_stated_once() -> None:
    busy = [make_record(name, 0, background_load=0.4) for name in ("one", "another")]
    text = comparison_text(summarize(busy), table_format="github", keys=["submission", "images_per_s"])
    assert "; inference on A CPU, 1 thr, busy machine" in text and text.count("busy machine") == 1
