"""Tables fit a terminal of 80 columns, whatever the names and reasons are."""

import pytest

from bench.contract.records.record import Record
from bench.report.compare import comparison_text
from bench.report.records.aggregate import summarize
from tests.report.making_records import make_record

LONG = "a-name-" * 14


def thirty() -> list[Record]:
    records = [make_record(f"net{n:02}", seed, 0.5 + n / 100) for n in range(27) for seed in range(2)]
    records += [make_record(LONG, seed, 0.4) for seed in range(2)]
    return [*records, make_record("failed", 0, None, reason="ValueError: " + "many words " * 30)]


@pytest.mark.parametrize("width", [70, 80, 100, 140, 160])
def test_lines_fit_and_say_what_is_left_out(width: int) -> None:
    text = comparison_text(summarize(thirty()), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "a-name-" in text and "net26" in text and "76.00" in text and "error: ValueError" in text
    assert ("Left out for want of room: MMACs, inference images/s" in " ".join(text.split())) == (width < 160)


def test_table_that_fits_stays_as_it_is() -> None:
    records = summarize([make_record("a", seed, 0.5) for seed in range(2)])
    wide = comparison_text(records, width=200)
    assert wide.split("\n\n")[1] == comparison_text(records).split("\n\n")[1] and "Left out" not in wide


def test_room_is_given_back_to_names_and_reasons() -> None:
    short = comparison_text(summarize(thirty()), width=80)
    long = comparison_text(summarize(thirty()), width=120)
    assert LONG[:40] not in short and "many words many words many words …" not in short
    assert LONG[:30] in long and len(max(long.splitlines(), key=len)) > 80
