"""Progress displays: a live table on a terminal, otherwise lines, and JSON on request."""

import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError
from rich.console import Console

from bench.cli.streams import Stream
from bench.contract.documents.schema import parse_json
from bench.contract.jobs.reports import Problem, Progress, Verification
from bench.errors import UsageError
from bench.harness.config import RunConfig
from bench.harness.executors.local import _events
from bench.harness.planning.plan import Planned
from bench.harness.progress.base import Display, duration
from bench.harness.progress.choose import choose_display
from bench.harness.progress.json_lines import JsonLines
from bench.harness.progress.lines import Lines
from bench.harness.progress.live_table import LiveTable
from bench.harness.progress.quiet import Quiet
from bench.harness.progress.unfailing import Unfailing
from tests.fuzz.mutations import PLAIN, mutated
from tests.report.making_records import make_record


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (0, "0:00"), (59.6, "1:00"), (75, "1:15"), (4000, "1:06:40"), (-3, "0:00")]
)
def test_durations_are_formatted(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def play(
    display: Display, tick: Any = None, *, name: str = "net", reason: str = "OSError: 5", loss: float = 1.25
) -> None:
    """Send the events of one successful and one failed run to ``display``."""
    record = make_record("net", 0, 0.5, params=10)
    entry: Any = SimpleNamespace(
        source=SimpleNamespace(name=name, track=SimpleNamespace(data="cifar100")),
        variant="base",
        label=name,
        claims=record.claims,
        protocol=record.protocol,
    )
    verification = Verification(config={}, cost=record.cost, problems=[], environment={})
    jobs: list[Any] = [
        SimpleNamespace(
            entry=entry, seed=n, label=f"{name} seed {n}", path=f"seed{n}.json", log=f"seed{n}/log.txt"
        )
        for n in (0, 1)
    ]
    plan: Any = SimpleNamespace(
        entries=[entry],
        config=RunConfig(profile="quick", device="cpu", jobs=2, threads=1),
        real_images=[],
        in_state=lambda state: jobs if state is Planned.TO_DO else [],
    )
    display.planned(plan)
    display.verified(entry, verification)
    display.estimated(2, 75.0)
    for job in jobs:
        display.started(job)
        display.progress(job, Progress(phase="train", done=1, total=1000))
        display.progress(job, Progress(phase="train", done=500, total=1000, loss=loss))
    if tick:
        tick()
    display.finished(jobs[0], record)
    display.finished(jobs[1], make_record("net", 1, None, reason=reason))
    display.message("[one] line")
    display.close()


def test_json_lines_are_json_and_complete() -> None:
    stream = io.StringIO()
    play(JsonLines(stream, interval=0.0))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        *("plan", "verified", "estimate", "started", "progress", "progress", "started", "progress", "progress"),
        *("finished", "finished", "message"),
    ]
    assert events[2]["seconds"] == 75.0 and events[5]["loss"] == 1.25
    assert events[9]["metrics"]["top1_accuracy"] == 0.5 and events[9]["record"] == "seed0.json"
    assert events[10]["status"] == "error" and events[10]["reason"] == "OSError: 5"


def play_lines(**options: Any) -> list[str]:
    stream = io.StringIO()
    play(Lines(stream, **options))
    return stream.getvalue().splitlines()


def test_lines_show_plan_progress_and_results(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(0.0, 10.0)  # each call of the clock advances it by 10 s
    monkeypatch.setattr("bench.harness.progress.lines.time.monotonic", lambda: next(seconds))
    lines = play_lines(interval=0.0)
    assert all(re.match(r"\d\d:\d\d:\d\d  \S", line) for line in lines)
    texts = [line[10:] for line in lines]
    assert texts[0].startswith("Plan: 2 runs to do; profile quick, data ")
    assert texts[1:3] == ["✓ net: 10 params, 2.85 MMACs", "2 runs, about 1:15 at the speed just measured"]
    assert texts[3:5] == ["net seed 0  started", "net seed 0  step 1/1,000"]
    # 499 of 1,000 steps took 10 s, so about 10 s remain.
    assert texts[5] == "net seed 0  step 500/1,000  loss 1.25  49.9 steps/s  0:10 left"
    assert texts[-3:] == [
        "✓ net seed 0: ok, top-1 50.00% on test  (1 of 2)",
        "✗ net seed 1: error: OSError: 5; log: seed1/log.txt  (2 of 2)",
        "[one] line",
    ]
    assert not any(line.startswith("{") for line in texts)


def test_short_run_prints_only_start_and_result() -> None:
    assert [line[10:].split("  ")[0] for line in play_lines()[3:]] == [
        *("net seed 0", "net seed 1"),
        *("✓ net seed 0: ok, top-1 50.00% on test", "✗ net seed 1: error: OSError: 5; log: seed1/log.txt"),
        "[one] line",
    ]


def test_display_follows_log_format_and_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, log_format, display_class in (
        (False, "auto", Lines),
        (False, "json", JsonLines),
        (True, "auto", LiveTable),
        (True, "lines", Lines),
        (True, "json", JsonLines),
    ):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
        display = choose_display(log_format)
        assert isinstance(display, Unfailing) and type(display.display) is display_class
    with pytest.raises(UsageError, match="--log-format 'xml': give auto, lines, json or quiet"):
        choose_display("xml")


def test_progress_events_keep_the_minimum_interval() -> None:
    stream = io.StringIO()
    play(JsonLines(stream, interval=1000.0))
    assert stream.getvalue().count('"progress"') == 2  # the first of each job


def reported_steps(text: str) -> list[int]:
    return [int(match.replace(",", "")) for match in re.findall(r"step ([\d,]+)/", text)]


def test_lines_of_a_long_run_become_less_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, stream = itertools.count(0.0, 0.5), io.StringIO()  # each call of the clock advances it by 0.5 s
    monkeypatch.setattr("bench.harness.progress.lines.time.monotonic", lambda: next(seconds))
    job, display = SimpleNamespace(label="net seed 0"), Lines(stream)
    for done in range(10_000):  # three hours of progress
        display.progress(job, Progress(phase="train", done=done, total=10_000))  # type: ignore[arg-type]
    reported = reported_steps(stream.getvalue())
    gaps = [later - earlier for earlier, later in itertools.pairwise(reported)]
    assert gaps == sorted(gaps) and reported[0] <= 20 and 50 < len(reported) < 120
    assert gaps[-1] == pytest.approx(0.05 * reported[-2], rel=0.05)


def test_json_lines_of_a_long_run_become_less_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr("bench.harness.progress.json_lines.time.monotonic", lambda: float(next(seconds)))
    stream, source = io.StringIO(), SimpleNamespace(name="net")
    job: Any = SimpleNamespace(entry=SimpleNamespace(source=source, variant="base"), seed=0, label="net seed 0")
    display = JsonLines(stream)
    for done in range(10_000):
        display.progress(job, Progress(phase="train", done=done, total=9_999))
    reported = [json.loads(line)["done"] for line in stream.getvalue().splitlines()]
    assert reported[:4] == [0, 5, 10, 15] and reported[-1] == 9_999
    gaps = [later - earlier for earlier, later in itertools.pairwise(reported[:-1])]
    # Every 5 s at first, later every 2 % of the elapsed time.
    assert gaps == sorted(gaps) and 150 < len(reported) < 300
    assert gaps[-1] == pytest.approx(0.02 * reported[-2], abs=1.5)


def test_live_table_shows_steps_rate_loss_and_remaining_runs() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    display = LiveTable(console)
    shown: list[str] = []

    def tick() -> None:
        table = Console(file=io.StringIO(), width=100)
        table.print(display._table())
        shown.append(table.file.getvalue())  # type: ignore[attr-defined]

    play(display, tick)
    for text in ("entry", "seed", "step/s", "loss", "ETA", "net", "500/1,000", "1.250", "2 runs left"):
        assert text in shown[0]
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    for text in (
        "2 runs to do",
        "10 params, 2.85 MMACs",
        "about 1:15",
        "top-1 50.00% on test",
        "error: OSError: 5",
    ):
        assert text in printed
    assert "[one] line" in printed  # brackets are not interpreted as markup


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_non_finite_loss_is_null_in_json(loss: float) -> None:
    stream = io.StringIO()
    play(JsonLines(stream, interval=0.0), loss=loss)
    lines = [parse_json(line) for line in stream.getvalue().splitlines()]
    assert [line["loss"] for line in lines if line["event"] == "progress"] == [None] * 4


EVIL = "[red]x[/] [/nothing] \x1b[2J\x1b]0;title\x07 \u202e \ud800 [bold"


@pytest.mark.parametrize("loss", [math.nan, 1e308])
def test_markup_and_escapes_from_a_submission_are_shown_as_text(loss: float) -> None:
    terminal = io.StringIO()
    live = LiveTable(Console(file=terminal, force_terminal=True, width=200, color_system=None))
    play(live, live.tick, name=EVIL, reason=EVIL, loss=loss)
    shown = terminal.getvalue()
    assert "[red]x[/] [/nothing]" in shown and r"\x1b[2J" in shown
    # Only the sequences of rich itself: hide and show the cursor, erase a line, move up.
    assert set(re.findall(r"\x1b.{0,3}", shown)) <= {"\x1b[?2", "\x1b[2K", "\x1b[1A"}
    assert "\x07" not in shown and "\u202e" not in shown and shown.encode()
    play(Lines(Stream(io.StringIO())), name=EVIL, reason=EVIL, loss=loss)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(content=mutated({"phase": "train", "done": 1, "total": 10, "loss": 0.5}) | PLAIN)
def test_any_event_from_a_submission_can_be_shown_or_is_skipped(content: Any) -> None:
    """A submission can write to the event pipe: invalid events are skipped, valid ones can be shown."""
    try:
        event = Progress.model_validate_json(json.dumps(content))
    except ValidationError:
        return
    terminal, lines = io.StringIO(), io.StringIO()
    for display in (
        LiveTable(Console(file=terminal, force_terminal=True, width=200)),
        JsonLines(lines, interval=0.0),
    ):
        entry = SimpleNamespace(label="net", source=SimpleNamespace(name="net"), variant="base")
        display.progress(SimpleNamespace(entry=entry, seed=0, label="net"), event)  # type: ignore[arg-type]
        display.tick()
        display.close()
    assert len(terminal.getvalue()) < 5_000
    assert all(parse_json(line) for line in lines.getvalue().splitlines())


def test_only_the_latest_of_many_pending_events_is_reported(tmp_path: Path) -> None:
    """Of 500 events that arrive together the last is reported."""
    reader, writer = os.pipe()
    line = Progress(phase="train", done=7, total=10).model_dump_json().encode() + b"\n"
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    os.write(writer, line * 500)
    os.close(writer)
    events = list(_events(reader, process, lambda: False))
    process.wait()
    assert 1 <= len(events) <= 3 and events[-1].done == 7


def test_quiet_shows_nothing_but_problems_without_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    play(Quiet())
    assert capsys.readouterr() == ("", "")
    display = choose_display("quiet")
    display.problem("net: no such profile")
    assert capsys.readouterr() == ("", "net: no such profile\n")
    stream = io.StringIO()
    Lines(stream).problem("net: no such profile")
    assert stream.getvalue().endswith("  ✗ net: no such profile\n")


def test_progress_is_quiet_without_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        display = choose_display("auto")
        assert isinstance(display, Unfailing) and type(display.display) is Quiet
        display.problem("net: no such profile")


@pytest.mark.parametrize(("status", "log"), [("error", ["✗ net: not run; log: seed0/log.txt"]), ("cap", [])])
@pytest.mark.parametrize("kind", ["lines", "live"])
def test_refused_submission_is_named_once_for_all_its_seeds(kind: str, status: Any, log: list[str]) -> None:
    stream = io.StringIO()
    display = Lines(stream) if kind == "lines" else LiveTable(Console(file=stream, width=200))
    record = make_record("net", 0, None, reason="too large").model_copy(update={"status": status})
    entry: Any = SimpleNamespace(label="net")
    problem = Problem(status=status, message="too large")
    display.verified(entry, Verification(config={}, cost=None, problems=[problem], environment={}))
    for seed in (0, 1, 2):
        job: Any = SimpleNamespace(entry=entry, label=f"net seed {seed}", log=f"seed{seed}/log.txt")
        display.finished(job, record)
    display.close()
    texts = [line.partition("  ")[2] if kind == "lines" else line for line in stream.getvalue().splitlines()]
    assert [text.strip() for text in texts if text.strip()] == ["✗ net: too large", *log]


def test_live_table_fits_80_columns_and_30_rows() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=30)
    display = LiveTable(console)
    for number in range(40):
        name = f"{number:02}-a-submission-with-a-long-name-" + "x" * 60
        job: Any = SimpleNamespace(entry=SimpleNamespace(label=name), seed=number, label=f"{name} seed {number}")
        display.started(job)
        display.progress(job, Progress(phase="train", done=123_456, total=1_000_000))
        display.progress(job, Progress(phase="train", done=223_456, total=1_000_000, loss=1.25))
    screen = Console(file=io.StringIO(), width=80, height=30)
    screen.print(display._table())
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    display.close()
    assert len(lines) <= 28 and max(map(len, lines)) <= 80
    assert "00-a-sub" in lines[1] and "223,456/1,000,000" in lines[1] and "1.250" in lines[1]
    assert "14 more are running" in lines[-1]
