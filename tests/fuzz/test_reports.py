"""Whatever one record says, if it is sealed: every report is made, names it, or shows it; none comes down."""

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
from tests.fuzz.changing import changed, sealed
from tests.report.making_contest import contest, generator, write_contest
from tests.report.making_records import make_record

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # each example makes many reports: none is shrunk
SOME = settings(max_examples=20, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
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
DRAWN = ("leaderboard", "plot curves --output plots", "plot pareto --output plots", "plot ablation --output plots")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contest")
    few = [
        record for record in contest() if record.identity.submission in ("wide", "moody", "ddpm", "real-images")
    ]
    write_contest(folder, few)
    return folder


def outcome(monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str, str]:
    """The exit code of a command, and what it printed."""
    monkeypatch.setattr("sys.argv", ["bench", *map(str, words)])
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue(), error.getvalue()


def try_reports(
    results: Path, monkeypatch: pytest.MonkeyPatch, content: Any, place: Path, reports: tuple[str, ...]
) -> None:
    """Have reports made while a record of this content lies where it belongs, or at ``place`` if it is none."""
    text = json.dumps(sealed(content))
    try:
        record = parse_record(text, place)
        own = record_path(results, record.identity, record.protocol)
    except BenchError:
        own = place  # every report has to name it and go on
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(text)
    try:
        for report in reports:
            words = [str(results) if word == "BASE" else word for word in shlex.split(report)]
            code, out, error = outcome(monkeypatch, *words, "--results", results)
            assert not report.startswith("check") or code != ExitCode.REGRESSION, "against itself nothing is worse"
            assert code in {int(known) for known in ExitCode}, (report, code)
            assert "Traceback" not in error and "\x1b" not in out + error, report
            if report == "compare":
                assert "wide" in out, "the others are shown"
    finally:
        own.unlink(missing_ok=True)


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda record: f"{record.identity.submission}-{record.status}")
@pytest.mark.filterwarnings("default")
def test_one_odd_record_takes_no_report_down(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, original: Record
) -> None:
    monkeypatch.chdir(tmp_path)
    place = record_path(results, original.identity, original.protocol)

    @SOME
    @given(content=changed(original.model_dump(mode="json")))
    def tables(content: Any) -> None:
        try_reports(results, monkeypatch, content, place, REPORTS)

    @settings(SOME, max_examples=2)
    @given(content=changed(original.model_dump(mode="json")))
    def drawings(content: Any) -> None:
        try_reports(results, monkeypatch, content, place, DRAWN)

    tables()
    drawings()


def test_the_records_that_are_changed_are_read() -> None:
    """Else the test above would try one thing only."""
    for original in ORIGINALS:
        content = sealed(original.model_dump(mode="json"))
        assert parse_record(json.dumps(content), "it").status == original.status
