"""pytest-benchmark files as a baseline of speed; one file is written by pytest-benchmark."""

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
    ("seconds", "iqr", "code", "expected_output"),
    [
        (0.0100, 0.0001, ExitCode.OK, "1 pass"),
        (0.0090, 0.0001, ExitCode.OK, "+11.1 %"),
        (0.0108, 0.0001, ExitCode.OK, "-7.4 %"),
        (0.0110, 0.0001, ExitCode.NOTHING, "-9.1 %"),  # with 1 % of scatter on both sides it may exceed the limit
        (0.0100, 0.0020, ExitCode.NOTHING, "+0.0 %"),
        (0.0125, 0.0001, ExitCode.REGRESSION, "-20.0 %"),
        (0.0125, 0.0100, ExitCode.NOTHING, "too noisy: interquartile ranges of 1% and 80%"),
    ],
)
def test_slowdown_beyond_the_limit_and_the_scatter_fails(
    tmp_path: Path,
    seconds: float,
    iqr: float,
    code: ExitCode,
    expected_output: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = write(tmp_path / "before.json", {"benchmarks/test_a.py::test_a": 0.010})
    now = write(tmp_path / "now.json", {"benchmarks/test_a.py::test_a": seconds}, iqr)
    assert check(tmp_path, before, now) == code
    assert expected_output in capsys.readouterr().out


def test_missing_benchmark_or_other_machine_is_open(tmp_path: Path) -> None:
    before = write(tmp_path / "before.json", {"a": 0.01, "b": 0.01})
    assert check(tmp_path, before, write(tmp_path / "now.json", {"a": 0.01})) == ExitCode.NOTHING
    other = write(tmp_path / "other.json", {"a": 0.01, "b": 0.01}, cpu="Another")
    assert check(tmp_path, before, other) == ExitCode.NOTHING
    with pytest.raises(NothingToDo, match="nothing to compare with"):
        check(tmp_path, write(tmp_path / "none.json", {}), before)


def test_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_file_of_pytest_benchmark_is_read(tmp_path: Path) -> None:
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
    # Without the variables of this session: in a worker of pytest-xdist, pytest-benchmark does not measure.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    content = read_benchmarks(tmp_path / "out.json")
    assert [item.fullname for item in content.benchmarks] == ["test_it.py::test_it"]
    assert content.benchmarks[0].stats.median > 0 and "cores" in content.device
    files = (str(tmp_path / "out.json"), "throughput:-99%")  # on a busy machine it scatters by more than 10 %
    assert check_command(tmp_path, *files, benchmarks=tmp_path / "out.json") == ExitCode.OK
