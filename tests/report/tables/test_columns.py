"""Any column: by name, a metric, a field of the record."""

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


def test_a_speed_is_one_for_each_verification() -> None:
    """Five seeds after one verification have its speed, once; two verifications have a median between them."""
    first = [with_speed(make_record("a", seed), median_per_s=4000.0) for seed in range(4)]
    (row,) = summarize([*first, with_speed(make_record("a", 4), median_per_s=3000.0)])
    assert [rate.median_per_s for rate in row.speeds] == [3000.0, 4000.0]
    assert row.images_per_s == 3500.0
    third = with_speed(make_record("a", 5), median_per_s=4100.0)
    (row,) = summarize([*row.records, third])
    assert row.images_per_s == 4000.0


def table(records: list[Record], keys: str, sort: str = "score") -> list[dict[str, str]]:
    text = comparison_text(summarize(records), table="csv", keys=keys.split(","), sort=sort)
    return list(csv.DictReader(io.StringIO(text)))


def test_metrics_and_fields(records: list[Record]) -> None:
    a, b = table(records, "submission,nll,config.batch_size,config.rate,config.name,training.epochs")
    assert (a["nll"], a["nll_std"], a["nll_n"]) == ("1.5", "0.0", "2")
    assert a["config.batch_size"] == "128" and a["training.epochs"] == "25.6"  # shared by all seeds
    assert float(a["config.rate"]) == pytest.approx(0.15) and a["config.rate_n"] == "2"  # differs
    assert a["config.name"] == "x, y" and b["config.name"] == ""


def test_text_shows_percent_and_as_many_digits_as_the_spread_has(records: list[Record]) -> None:
    text = comparison_text(summarize(records), table="github", keys=["top1_accuracy", "nll", "config.rate"])
    assert "top1_accuracy %" in text and "50.50 ± 0.71 (n=2)" in text and "1.500 ± 0.000 (n=2)" in text
    assert "0.150 ± 0.071 (n=2)" in text


@pytest.mark.parametrize(
    ("sort", "first"), [("nll", "a"), ("-score", "b"), ("config.batch_size", "a"), ("-submission", "b")]
)
def test_sorting_by_any_column(records: list[Record], sort: str, first: str) -> None:
    assert table(records, "submission", sort)[0]["submission"] == first


def test_one_that_no_record_has(records: list[Record]) -> None:
    message = r"column 'config\.speed': no record has it; available: the columns submission, params.*nll"
    with pytest.raises(UsageError, match=message):
        table(records, "submission,config.speed")


def test_a_speed_says_that_the_machine_was_busy_unless_one_was_measured_in_quiet() -> None:
    busy = [make_record("busy", seed, background_load=0.4) for seed in range(3)]
    some = [make_record("some", seed, background_load=0.4 if seed < 2 else 0.01) for seed in range(3)]
    text = comparison_text(summarize([*busy, *some]), table="github", keys=["submission", "images_per_s"])
    assert "4,001 (busy machine)" in text and text.count("busy machine") == 1
    assert "4,002" in text  # of the one seed whose speed nothing disturbed, not the median of all three


def test_a_machine_that_was_busy_for_all_is_said_once() -> None:
    busy = [make_record(name, 0, background_load=0.4) for name in ("one", "another")]
    text = comparison_text(summarize(busy), table="github", keys=["submission", "images_per_s"])
    assert "images/s on A CPU, 1 thr, busy machine" in text and text.count("busy machine") == 1
