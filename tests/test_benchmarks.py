"""The page of speed measurements (`benchmarks/page.py`) and the interleaved timing (`benchmarks/versus.py`)."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page
from benchmarks.growth import MEASURED, SIZES
from benchmarks.versus import versus

RESULTS: dict[str, Any] = {
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


def test_gpu_measurements_update_only_the_gpu_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU machine measures nothing else, so the other tables of the page must not change."""
    gpu_results = copy.deepcopy(RESULTS)
    gpu_results["machine_info"]["capbench"]["device"] = "NVIDIA H100"
    before = page.PAGE.read_text()
    for name in ("MEASURED", "GROWTH", "ON_GPU", "PAGE"):
        monkeypatch.setattr(page, name, tmp_path / name)
    page.ON_GPU.write_text(json.dumps(gpu_results))
    page.PAGE.write_text(before)
    page.main()
    after = page.PAGE.read_text()
    (table,) = re.findall("<!-- gpu -->.*?<!-- end of gpu -->", after, re.DOTALL)
    assert "NVIDIA H100, 2 cores" in table and "**7.12** [6.90, 7.30]" in table
    assert re.sub("<!-- gpu -->.*?<!-- end of gpu -->", "", after, flags=re.DOTALL) == re.sub(
        "<!-- gpu -->.*?<!-- end of gpu -->", "", before, flags=re.DOTALL
    )


def test_tables_show_ratio_interval_and_goal() -> None:
    first, second = page.beside(RESULTS)
    assert first == ("one", "a", "**7.12** [6.90, 7.30]", "2 ms", "14.2 ms", "6")
    assert second == ("", "b", "**0.50** [0.40, 0.60]", "2 ms", "1 ms", "")
    assert list(page.alone(RESULTS)) == [("bench", "100 ms", "90 ms to 110 ms")]
    assert page.machine(RESULTS).startswith(
        "Some CPU, 2 cores, 16 GiB, Linux, Python 3.12.0, torch 2.15.0; 2026-01-02"
    )
    growth = page.growth({"records": {"1000": {"seconds": 2.0, "peak_bytes": 5e7}}})
    assert re.search(r"records +\| 1,000 +\| 2 s +\| 2 ms +\| 50 MB", growth)


def test_page_has_markers_for_each_table() -> None:
    text = page.PAGE.read_text()
    for name in ("machine", "beside", "alone", "growth", "gpu"):
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- end of {name} -->") == 1
    assert set(MEASURED) == set(SIZES)


@pytest.mark.parametrize(
    ("seconds", "text"), [(1234.0, "1,234 s"), (0.5, "500 ms"), (2e-6, "2 µs"), (5e-9, "5 ns")]
)
def test_times_have_three_significant_digits(seconds: float, text: str) -> None:
    assert page.time_text(seconds) == text


def test_alternatives_are_timed_in_interleaved_rounds() -> None:
    order: list[str] = []

    class Stats:
        data = [0.0] * 6

    class Fixture:
        """The part of pytest-benchmark's fixture that ``versus`` uses."""

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
    assert order == ["a", "b", "ours"] * 7  # one warm-up round, six measured
    assert set(Fixture.extra_info["against"]) == {"a", "b"}  # type: ignore[call-overload]
