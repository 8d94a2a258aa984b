"""Fuzzing of reports: with one mutated record of valid checksum, every report ends with a known exit code."""

import contextlib
import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from bench.cli import main
from bench.contract.records.files import parse_record, record_path
from bench.contract.records.record import Record
from bench.errors import BenchError, ExitCode
from tests.fuzz.mutations import mutated, with_valid_checksum
from tests.report.making_contest import contest, generator, write_contest
from tests.report.making_records import make_record

# Each example makes many reports, so shrinking would take too long.
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
SETTINGS = settings(
    max_examples=20, deadline=None, phases=WITHOUT_SHRINKING, suppress_health_check=list(HealthCheck)
)
ORIGINALS = [
    make_record(
        "forged", 5, 0.6, variant="odd", claims={"params": 84_194, "top1_accuracy": {"mean": 0.5, "std": 0.1}}
    ),
    make_record("forged", 6, None),
    generator("forged-gan", 0, 30.0),
]
REPORTS = (
    "compare", "compare --table markdown", "compare --table html", "compare --table latex", "compare --table csv",
    "compare --table json --images", "compare --against paper", "verdict", "verdict --table latex",
    "leaderboard --no-site", "status", "show forged", "check --baseline BASE",
)  # fmt: skip
PLOTS = ("leaderboard", "plot curves --output plots", "plot pareto --output plots", "plot ablation --output plots")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contest")
    selected = [
        record for record in contest() if record.identity.submission in ("wide", "moody", "ddpm", "real-images")
    ]
    write_contest(folder, selected)
    return folder


def outcome(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str, str]:
    """Run a command and return its exit code, stdout and stderr."""
    monkeypatch.setattr("sys.argv", ["bench", *map(str, arguments)])
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), pytest.raises(SystemExit) as raised:
        main()
    assert isinstance(raised.value.code, int)
    return raised.value.code, out.getvalue(), error.getvalue()


def try_reports(
    results: Path, monkeypatch: pytest.MonkeyPatch, content: Any, original_path: Path, reports: tuple[str, ...]
) -> None:
    """Make reports with a record of this content at its proper path, or at ``original_path`` if it is invalid."""
    text = json.dumps(with_valid_checksum(content))
    try:
        record = parse_record(text, original_path)
        path = record_path(results, record.identity, record.protocol)
    except BenchError:
        path = original_path  # every report must name it and continue
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    try:
        for report in reports:
            arguments = [str(results) if word == "BASE" else word for word in shlex.split(report)]
            code, out, error = outcome(monkeypatch, *arguments, "--results", results)
            assert not report.startswith("check") or code != ExitCode.REGRESSION, (
                "a comparison with itself found a regression"
            )
            assert code in {int(exit_code) for exit_code in ExitCode}, (report, code)
            assert "Traceback" not in error and "\x1b" not in out + error, report
            if report == "compare":
                assert "wide" in out, "the valid records are missing"
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda record: f"{record.identity.submission}-{record.status}")
@pytest.mark.filterwarnings("default")
def test_one_mutated_record_stops_no_report(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, original: Record
) -> None:
    monkeypatch.chdir(tmp_path)
    original_path = record_path(results, original.identity, original.protocol)

    @SETTINGS
    @given(content=mutated(original.model_dump(mode="json")))
    def tables(content: Any) -> None:
        try_reports(results, monkeypatch, content, original_path, REPORTS)

    @settings(SETTINGS, max_examples=2)
    @given(content=mutated(original.model_dump(mode="json")))
    def plots(content: Any) -> None:
        try_reports(results, monkeypatch, content, original_path, PLOTS)

    tables()
    plots()


def test_unmutated_records_are_valid() -> None:
    """Otherwise the test above would only try unreadable records."""
    for original in ORIGINALS:
        content = with_valid_checksum(original.model_dump(mode="json"))
        assert parse_record(json.dumps(content), "it").status == original.status
