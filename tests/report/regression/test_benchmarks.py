"""Files of pytest-benchmark as a baseline of speed; one of them is really made by it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ExitCode, NothingToDo, UsageError
from bench.report.regression.benchmarks import read_benchmarks
from bench.report.regression.check import check_command

LIMIT = "throughput:-10%"


def write(path: Path, medians: dict[str, float], iqr: float = 0.0001, cpu: str = "A CPU") -> Path:
    benchmarks = [{"fullname": name, "stats": {"median": value, "iqr": iqr}} for name, value in medians.items()]
    content: dict[str, Any] = {"machine_info": {"cpu": {"brand_raw": cpu, "count": 2}}, "benchmarks": benchmarks}
    path.write_text(json.dumps(content))
    return path


def check(tmp_path: Path, before: Path, now: Path) -> ExitCode:
    return check_command(tmp_path / "results", str(before), LIMIT, benchmarks=now)


@pytest.mark.parametrize(
    ("seconds", "iqr", "code", "shown"),
    [
        (0.0100, 0.0001, ExitCode.OK, "1 pass"),
        (0.0090, 0.0001, ExitCode.OK, "+11.1 %"),
        (0.0108, 0.0001, ExitCode.OK, "-7.4 %"),
        (0.0110, 0.0001, ExitCode.NOTHING, "-9.1 %"),  # with 1 % of scatter on either side it may be too much
        (0.0100, 0.0020, ExitCode.NOTHING, "+0.0 %"),
        (0.0125, 0.0001, ExitCode.REGRESSION, "-20.0 %"),
        (0.0125, 0.0100, ExitCode.NOTHING, "too noisy: interquartile ranges of 1% and 80%"),
    ],
)
def test_slower_by_more_than_allowed_and_than_it_scatters(
    tmp_path: Path, seconds: float, iqr: float, code: ExitCode, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = write(tmp_path / "before.json", {"benchmarks/test_a.py::test_a": 0.010})
    now = write(tmp_path / "now.json", {"benchmarks/test_a.py::test_a": seconds}, iqr)
    assert check(tmp_path, before, now) == code
    assert shown in capsys.readouterr().out


def test_what_is_missing_or_of_another_machine_never_passes(tmp_path: Path) -> None:
    before = write(tmp_path / "before.json", {"a": 0.01, "b": 0.01})
    assert check(tmp_path, before, write(tmp_path / "now.json", {"a": 0.01})) == ExitCode.NOTHING
    other = write(tmp_path / "other.json", {"a": 0.01, "b": 0.01}, cpu="Another")
    assert check(tmp_path, before, other) == ExitCode.NOTHING
    with pytest.raises(NothingToDo, match="nothing to compare with"):
        check(tmp_path, write(tmp_path / "none.json", {}), before)


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = write(tmp_path / "good.json", {"a": 0.01})
    bad = tmp_path / "bad.json"
    bad.write_text("[")
    with pytest.raises(UsageError, match=r"bad\.json: not a pytest-benchmark file"):
        check(tmp_path, bad, good)
    bad.write_text('{"benchmarks": [{}]}')
    with pytest.raises(UsageError, match="field `machine_info` is missing"):
        check(tmp_path, bad, good)
    with pytest.raises(UsageError, match=r"absent\.json: cannot be read"):
        check(tmp_path, tmp_path / "absent.json", good)
    with pytest.raises(UsageError, match="needs a throughput limit"):
        check_command(tmp_path, str(good), "params:0", benchmarks=good)
    with pytest.raises(UsageError, match="is not a pytest-benchmark file"):
        check_command(tmp_path, "main", LIMIT, benchmarks=good)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="create one with `make bench-speed`"):
        check_command(tmp_path, str(good), LIMIT)


def test_a_file_that_pytest_benchmark_made(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(benchmark):\n    benchmark(sum, range(1000))\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--benchmark-json=out.json",
        "test_it.py",
    ]
    # Not as a part of the session around it, which may be one of several workers: those do not measure.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    found = read_benchmarks(tmp_path / "out.json")
    assert [item.fullname for item in found.benchmarks] == ["test_it.py::test_it"]
    assert found.benchmarks[0].stats.median > 0 and "cores" in found.device
    files = (str(tmp_path / "out.json"), "throughput:-99%")  # on a busy machine it scatters by more than a tenth
    assert check_command(tmp_path, *files, benchmarks=tmp_path / "out.json") == ExitCode.OK
