"""What is shown while a command works: a live table on a terminal, lines elsewhere, JSON on request."""

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
from bench.contract.jobs.reports import Progress, Verification
from bench.errors import UsageError
from bench.harness.config import RunConfig
from bench.harness.executors.local import _events
from bench.harness.planning.plan import State
from bench.harness.progress.base import Display, duration
from bench.harness.progress.choose import choose_display
from bench.harness.progress.json_lines import JsonLines
from bench.harness.progress.lines import Lines
from bench.harness.progress.live_table import LiveTable
from bench.harness.progress.unfailing import Unfailing
from tests.fuzz.changing import PLAIN, changed
from tests.report.making_records import make_record


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (0, "0:00"), (59.6, "1:00"), (75, "1:15"), (4000, "1:06:40"), (-3, "0:00")]
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def play(
    display: Display, tick: Any = None, *, name: str = "net", reason: str = "OSError: 5", loss: float = 1.25
) -> None:
    """One run that works and one that fails."""
    record = make_record("net", 0, 0.5, params=10)
    entry: Any = SimpleNamespace(
        source=SimpleNamespace(name=name, track=SimpleNamespace(data="cifar100")),
        variant="base",
        label=name,
        claims=record.claims,
        protocol=record.protocol,
    )
    entry.verification = Verification(config={}, cost=record.cost, problems=[], environment={})
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
        jobs=lambda *states: jobs if State.TO_DO in states or not states else [],
        estimate_seconds=lambda: 75.0,
    )
    display.planned(plan)
    display.verified(entry)
    display.estimated(plan)
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


def test_lines_are_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(0.0, 10.0)  # ten pass whenever somebody looks
    monkeypatch.setattr("bench.harness.progress.lines.time.monotonic", lambda: next(seconds))
    lines = play_lines(interval=0.0)
    assert all(re.match(r"\d\d:\d\d:\d\d  \S", line) for line in lines)
    texts = [line[10:] for line in lines]
    assert texts[0].startswith("Plan: 2 runs to do; profile quick, data ")
    assert texts[1:3] == ["✓ net: 10 params, 2.85 MMACs", "2 runs, about 1:15 at the speed just measured"]
    assert texts[3:5] == ["net seed 0  started", "net seed 0  step 1/1,000"]
    # Of 1,000 steps 499 in ten seconds: as many again are left.
    assert texts[5] == "net seed 0  step 500/1,000  loss 1.25  49.9 steps/s  0:10 left"
    assert texts[-3:] == [
        "✓ net seed 0: ok, top-1 50.00% on test  (1 of 2)",
        "✗ net seed 1: error: OSError: 5; log: seed1/log.txt  (2 of 2)",
        "[one] line",
    ]
    assert not any(line.startswith("{") for line in texts)


def test_a_short_run_has_no_lines_but_its_first_and_last() -> None:
    assert [line[10:].split("  ")[0] for line in play_lines()[3:]] == [
        *("net seed 0", "net seed 1"),
        *("✓ net seed 0: ok, top-1 50.00% on test", "✗ net seed 1: error: OSError: 5; log: seed1/log.txt"),
        "[one] line",
    ]


def test_a_format_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, words, kind in (
        (False, "auto", Lines),
        (False, "json", JsonLines),
        (True, "auto", LiveTable),
        (True, "lines", Lines),
        (True, "json", JsonLines),
    ):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
        display = choose_display(words)
        assert isinstance(display, Unfailing) and type(display.display) is kind
    with pytest.raises(UsageError, match="--log-format 'xml': give auto, lines or json"):
        choose_display("xml")


def test_progress_is_thinned_out() -> None:
    stream = io.StringIO()
    play(JsonLines(stream, interval=1000.0))
    assert stream.getvalue().count('"progress"') == 2  # the first of each job


def steps_told(text: str) -> list[int]:
    return [int(match.replace(",", "")) for match in re.findall(r"step ([\d,]+)/", text)]


def test_lines_of_a_long_run_become_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, stream = itertools.count(0.0, 0.5), io.StringIO()  # half a second passes whenever somebody looks
    monkeypatch.setattr("bench.harness.progress.lines.time.monotonic", lambda: next(seconds))
    job, display = SimpleNamespace(label="net seed 0"), Lines(stream)
    for done in range(10_000):  # three hours, of which the display looks twice a second
        display.progress(job, Progress(phase="train", done=done, total=10_000))  # type: ignore[arg-type]
    at = steps_told(stream.getvalue())
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert gaps == sorted(gaps) and at[0] <= 20 and 50 < len(at) < 120
    assert gaps[-1] == pytest.approx(0.05 * at[-2], rel=0.05)


def test_json_lines_of_a_long_run_become_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr("bench.harness.progress.json_lines.time.monotonic", lambda: float(next(seconds)))
    stream, found = io.StringIO(), SimpleNamespace(name="net")
    job: Any = SimpleNamespace(entry=SimpleNamespace(source=found, variant="base"), seed=0, label="net seed 0")
    display = JsonLines(stream)
    for done in range(10_000):
        display.progress(job, Progress(phase="train", done=done, total=9_999))
    at = [json.loads(line)["done"] for line in stream.getvalue().splitlines()]
    assert at[:4] == [0, 5, 10, 15] and at[-1] == 9_999
    gaps = [later - earlier for earlier, later in itertools.pairwise(at[:-1])]
    assert gaps == sorted(gaps) and 150 < len(at) < 300  # 5 s at first, a fiftieth of what has passed at last
    assert gaps[-1] == pytest.approx(0.02 * at[-2], abs=1.5)


def test_the_table_shows_entry_seed_steps_rate_loss_and_what_is_left() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    display = LiveTable(console)
    shown: list[str] = []

    def tick() -> None:
        table = Console(file=io.StringIO(), width=100)
        table.print(display._table())
        shown.append(table.file.getvalue())  # type: ignore[attr-defined]

    play(display, tick)
    for word in ("entry", "seed", "step/s", "loss", "ETA", "net", "500/1,000", "1.250", "2 runs left"):
        assert word in shown[0]
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for text in (
        "2 runs to do",
        "10 params, 2.85 MMACs",
        "about 1:15",
        "top-1 50.00% on test",
        "error: OSError: 5",
    ):
        assert text in said
    assert "[one] line" in said  # what comes from outside is not markup


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_null_in_json(loss: float) -> None:
    stream = io.StringIO()
    play(JsonLines(stream, interval=0.0), loss=loss)
    lines = [parse_json(line) for line in stream.getvalue().splitlines()]
    assert [line["loss"] for line in lines if line["event"] == "progress"] == [None] * 4


EVIL = "[red]x[/] [/nothing] \x1b[2J\x1b]0;title\x07 \u202e \ud800 [bold"


@pytest.mark.parametrize("loss", [math.nan, 1e308])
def test_whatever_a_submission_says_is_only_text(loss: float) -> None:
    terminal = io.StringIO()
    live = LiveTable(Console(file=terminal, force_terminal=True, width=200, color_system=None))
    play(live, live.tick, name=EVIL, reason=EVIL, loss=loss)
    shown = terminal.getvalue()
    assert "[red]x[/] [/nothing]" in shown and r"\x1b[2J" in shown
    # What rich itself sends: the cursor hidden and shown, lines erased, the cursor moved up.
    assert set(re.findall(r"\x1b.{0,3}", shown)) <= {"\x1b[?2", "\x1b[2K", "\x1b[1A"}
    assert "\x07" not in shown and "\u202e" not in shown and shown.encode()
    play(Lines(Stream(io.StringIO())), name=EVIL, reason=EVIL, loss=loss)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(content=changed({"phase": "train", "done": 1, "total": 10, "loss": 0.5}) | PLAIN)
def test_any_line_on_the_channel(content: Any) -> None:
    """A submission can write there too: what is no progress is passed over, and what is can be shown."""
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


def test_a_flood_on_the_channel_is_heard_as_one_word_at_a_time(tmp_path: Path) -> None:
    """Of what comes at once the last is taken."""
    reader, writer = os.pipe()
    line = Progress(phase="train", done=7, total=10).model_dump_json().encode() + b"\n"
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    os.write(writer, line * 500)
    os.close(writer)
    events = list(_events(reader, process, lambda: False))
    process.wait()
    assert 1 <= len(events) <= 3 and events[-1].done == 7
