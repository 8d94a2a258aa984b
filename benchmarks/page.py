"""``python -m benchmarks.page``: write the latest measurements into docs/performance.md, between its marks."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tabulate import tabulate

from bench.files import REPOSITORY, write_bytes

PAGE = REPOSITORY / "docs" / "performance.md"
MEASURED, GROWTH = (REPOSITORY / ".benchmarks" / name for name in ("now.json", "growth.json"))
ON_GPU = REPOSITORY / "benchmarks" / "gpu.json"  # committed after a measurement
BESIDE = ("what", "beside", "times as fast", "ours", "theirs", "goal")


def main() -> None:
    """Rewrite the tables for which this machine has measurements."""
    sections = {}
    if MEASURED.exists():
        measured = json.loads(MEASURED.read_text())
        sections["machine"] = machine(measured)
        sections["beside"] = grid(BESIDE, beside(measured))
        sections["alone"] = grid(("what", "median", "middle half of the rounds"), alone(measured))
    if GROWTH.exists():
        sections["growth"] = growth(json.loads(GROWTH.read_text()))
    if ON_GPU.exists():
        measured = json.loads(ON_GPU.read_text())
        sections["gpu"] = f"{machine(measured)}\n\n{grid(BESIDE, beside(measured))}"
    write_bytes(PAGE, with_sections(PAGE.read_text(), sections).encode())


def with_sections(page: str, sections: dict[str, str]) -> str:
    """Return ``page`` with each text inserted between the marks of its name."""
    for name, text in sections.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        page, count = re.subn(pattern, lambda _, t=f"{begin}\n{text}\n{end}": t, page, flags=re.DOTALL)
        assert count == 1, name
    return page


def grid(titles: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return str(tabulate(list(rows), headers=titles, tablefmt="pipe", disable_numparse=True))


def machine(measured: dict[str, Any]) -> str:
    """Return a line that describes the machine, its packages and the date."""
    info = measured["machine_info"]["capbench"]
    packages = ", ".join(f"{name} {version}" for name, version in info["packages"].items() if version)
    memory = f"{info['memory_bytes'] / 2**30:.0f} GiB"
    date = measured["datetime"][:10]
    return (
        f"{info['device']}, {info['cores']} cores, {memory}, {info['system'].split()[0]}, Python "
        f"{info['python']}, {packages}; {date}."
    )


def times_as_fast(speedup: dict[str, float]) -> str:
    """Return a ratio with its interval."""
    return f"**{speedup['ratio']:.2f}** [{speedup['low']:.2f}, {speedup['high']:.2f}]"


def beside(measured: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield one row per alternative that a benchmark is compared with."""
    for benchmark in measured["benchmarks"]:
        info, first = benchmark["extra_info"], True
        for name, speedup in info.get("against", {}).items():
            goal = f"{info['goal']:g}" if first and info["goal"] else ""
            ours = time_text(benchmark["stats"]["median"])
            what = info["what"] if first else ""
            yield what, name, times_as_fast(speedup), ours, time_text(speedup["seconds"]), goal
            first = False


def alone(measured: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield one row per benchmark without an alternative."""
    for benchmark in measured["benchmarks"]:
        if "against" not in benchmark["extra_info"]:
            stats = benchmark["stats"]
            what = benchmark["extra_info"].get("what", benchmark["name"].removeprefix("test_").replace("_", " "))
            yield what, time_text(stats["median"]), f"{time_text(stats['q1'])} to {time_text(stats['q3'])}"


def growth(measured: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the table with one row per size of each quantity."""
    rows = (
        (
            quantity if index == 0 else "",
            f"{int(size):,}",
            time_text(cost["seconds"]),
            time_text(cost["seconds"] / int(size)),
            f"{cost['peak_bytes'] / 1e6:,.0f} MB",
        )
        for quantity, sizes in measured.items()
        for index, (size, cost) in enumerate(sizes.items())
    )
    return grid(("against", "how many", "time", "each", "peak memory of the process"), rows)


def time_text(seconds: float) -> str:
    """Format a time with three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds / size < 1000 else f"{seconds / size:,.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


if __name__ == "__main__":
    main()
