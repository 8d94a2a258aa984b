"""The page of measurements has a place for every table, and tables say what was measured and what was not."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page
from benchmarks.growth import MEASURED, SIZES
from benchmarks.versus import versus

MADE_UP: dict[str, Any] = {
    "datetime": "2026-01-02T03:04:05",
    "machine_info": {
        "capbench": {
            "device": "Some CPU",
            "cores": 2,
            "memory_bytes": 2**34,
            "system": "Linux 6",
            "python": "3.12.0",
            "packages": {"torch": "2.15.0", "lpips": None},
        }
    },
    "benchmarks": [
        {
            "name": "test_one",
            "fullname": "benchmarks/test_some.py::test_one",
            "stats": {"median": 0.002, "q1": 0.0019, "q3": 0.0021},
            "extra_info": {
                "what": "one",
                "goal": 6.0,
                "against": {
                    "a": {"ratio": 7.123, "low": 6.9, "high": 7.3, "seconds": 0.0142},
                    "b": {"ratio": 0.5, "low": 0.4, "high": 0.6, "seconds": 0.001},
                },
            },
        },
        {"name": "test_start", "stats": {"median": 0.1, "q1": 0.09, "q3": 0.11}, "extra_info": {"what": "bench"}},
    ],
}


def test_what_was_measured_on_a_gpu_has_a_table_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On such a machine nothing else is measured; the rest of the page stays as it is."""
    there = copy.deepcopy(MADE_UP)
    there["machine_info"]["capbench"]["device"] = "NVIDIA H100"
    before = page.PAGE.read_text()
    for name in ("MEASURED", "GROWTH", "ON_GPU", "PAGE"):
        monkeypatch.setattr(page, name, tmp_path / name)
    page.ON_GPU.write_text(json.dumps(there))
    page.PAGE.write_text(before)
    page.main()
    after = page.PAGE.read_text()
    (table,) = re.findall("<!-- gpu -->.*?<!-- end of gpu -->", after, re.DOTALL)
    assert "NVIDIA H100, 2 cores" in table and "**7.12** [6.90, 7.30]" in table
    assert re.sub("<!-- gpu -->.*?<!-- end of gpu -->", "", after, flags=re.DOTALL) == re.sub(
        "<!-- gpu -->.*?<!-- end of gpu -->", "", before, flags=re.DOTALL
    )


def test_tables_show_ratio_interval_goal_and_what_was_not_measured() -> None:
    first, second = page.beside(MADE_UP)
    assert first == ("one", "a", "**7.12** [6.90, 7.30]", "2 ms", "14.2 ms", "6")
    assert second == ("", "b", "**0.50** [0.40, 0.60]", "2 ms", "1 ms", "")
    assert list(page.alone(MADE_UP)) == [("bench", "100 ms", "90 ms to 110 ms")]
    assert page.machine(MADE_UP).startswith(
        "Some CPU, 2 cores, 16 GiB, Linux, Python 3.12.0, torch 2.15.0; 2026-01-02"
    )
    grown = page.growth({"records": {"1000": {"seconds": 2.0, "peak_bytes": 5e7}}})
    assert re.search(r"records +\| 1,000 +\| 2 s +\| 2 ms +\| 50 MB", grown)


def test_the_page_has_a_place_for_each_table() -> None:
    text = page.PAGE.read_text()
    for name in ("machine", "beside", "alone", "growth", "gpu"):
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- end of {name} -->") == 1
    assert set(MEASURED) == set(SIZES)


@pytest.mark.parametrize(
    ("seconds", "text"), [(1234.0, "1,234 s"), (0.5, "500 ms"), (2e-6, "2 µs"), (5e-9, "5 ns")]
)
def test_times_have_three_digits(seconds: float, text: str) -> None:
    assert page.time_text(seconds) == text


def test_rivals_go_by_turns() -> None:
    order: list[str] = []

    class Stats:
        data = [0.0] * 6

    class Fixture:
        """As much of pytest-benchmark's fixture as is used."""

        extra_info: dict[str, object] = {}
        stats = type("Outer", (), {"stats": Stats})

        def pedantic(self, target: object, setup: object, rounds: int) -> None:
            assert callable(target) and callable(setup)
            for index in range(rounds):
                setup()
                target()
                Stats.data[index] = 1e-9

    work = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    versus(Fixture(), lambda: order.append("ours"), work, what="made up", rounds=6)  # type: ignore[arg-type]
    assert order == ["a", "b", "ours"] * 7  # once unmeasured
    assert set(Fixture.extra_info["against"]) == {"a", "b"}  # type: ignore[call-overload]
