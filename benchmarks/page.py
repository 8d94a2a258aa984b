"""``python -m benchmarks.page``: put what was measured last into docs/performance.md, between its marks."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tabulate import tabulate

from bench.files import REPOSITORY, write_bytes

PAGE = REPOSITORY / "docs" / "performance.md"
MEASURED, GROWTH = (REPOSITORY / ".benchmarks" / name for name in ("now.json", "growth.json"))
ON_GPU = REPOSITORY / "benchmarks" / "gpu.json"  # committed once it was measured
BESIDE = ("what", "beside", "times as fast", "ours", "theirs", "goal")


def main() -> None:
    """Rewrite the tables of which there are measurements here."""
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
    """``page`` with texts between their marks."""
    for name, text in sections.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        page, count = re.subn(pattern, lambda _, t=f"{begin}\n{text}\n{end}": t, page, flags=re.DOTALL)
        assert count == 1, name
    return page


def grid(titles: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return str(tabulate(list(rows), headers=titles, tablefmt="pipe", disable_numparse=True))


def machine(measured: dict[str, Any]) -> str:
    """What it was measured on."""
    found = measured["machine_info"]["capbench"]
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items() if version)
    memory = f"{found['memory_bytes'] / 2**30:.0f} GiB"
    date = measured["datetime"][:10]
    return (
        f"{found['device']}, {found['cores']} cores, {memory}, {found['system'].split()[0]}, Python "
        f"{found['python']}, {packages}; {date}."
    )


def times_as_fast(found: dict[str, float]) -> str:
    """A ratio with its interval."""
    return f"**{found['ratio']:.2f}** [{found['low']:.2f}, {found['high']:.2f}]"


def beside(measured: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row a rival."""
    for benchmark in measured["benchmarks"]:
        info, first = benchmark["extra_info"], True
        for name, found in info.get("against", {}).items():
            goal = f"{info['goal']:g}" if first and info["goal"] else ""
            ours = time_text(benchmark["stats"]["median"])
            what = info["what"] if first else ""
            yield what, name, times_as_fast(found), ours, time_text(found["seconds"]), goal
            first = False


def alone(measured: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row for each benchmark without a rival."""
    for benchmark in measured["benchmarks"]:
        if "against" not in benchmark["extra_info"]:
            stats = benchmark["stats"]
            what = benchmark["extra_info"].get("what", benchmark["name"].removeprefix("test_").replace("_", " "))
            yield what, time_text(stats["median"]), f"{time_text(stats['q1'])} to {time_text(stats['q3'])}"


def growth(measured: dict[str, dict[str, dict[str, float]]]) -> str:
    """A row for each size of each thing."""
    rows = (
        (
            what if index == 0 else "",
            f"{int(size):,}",
            time_text(found["seconds"]),
            time_text(found["seconds"] / int(size)),
            f"{found['peak_bytes'] / 1e6:,.0f} MB",
        )
        for what, sizes in measured.items()
        for index, (size, found) in enumerate(sizes.items())
    )
    return grid(("against", "how many", "time", "each", "peak memory of the process"), rows)


def time_text(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds / size < 1000 else f"{seconds / size:,.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


if __name__ == "__main__":
    main()
