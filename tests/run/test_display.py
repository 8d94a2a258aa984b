"""What is shown while a command works: a live table on a terminal, JSON lines elsewhere."""

import io
import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from bench.contract.jobs import Progress, Verification
from bench.run.display import Display, JsonLines, LiveTable, duration
from bench.run.plan import State
from tests.report.making_records import make_record


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (0, "0:00"), (59.6, "1:00"), (75, "1:15"), (4000, "1:06:40"), (-3, "0:00")]
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def play(display: Display, tick: Any = None) -> None:
    """One run that works and one that fails."""
    record = make_record("net", 0, 0.5, params=10)
    entry: Any = SimpleNamespace(
        found=SimpleNamespace(name="net"),
        variant="base",
        label="net",
        claims=record.claims,
        protocol=record.protocol,
    )
    entry.verification = Verification(config={}, cost=record.cost, problems=[], environment={})
    jobs: list[Any] = [
        SimpleNamespace(entry=entry, seed=seed, label=f"net seed {seed}", path=f"seed{seed}.json")
        for seed in (0, 1)
    ]
    plan: Any = SimpleNamespace(
        entries=[entry],
        settings=SimpleNamespace(profile="quick", device="cpu", jobs=2, threads=1),
        jobs=lambda *states: jobs if State.TO_DO in states or not states else [],
        estimate_seconds=lambda: 75.0,
    )
    display.planned(plan)
    display.verified(entry)
    display.estimated(plan)
    for job in jobs:
        display.started(job)
        display.progress(job, Progress(phase="train", done=1, total=1000))
        display.progress(job, Progress(phase="train", done=500, total=1000, loss=1.25))
    if tick:
        tick()
    display.finished(jobs[0], record)
    display.finished(jobs[1], make_record("net", 1, None))
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


def test_progress_is_thinned_out() -> None:
    stream = io.StringIO()
    play(JsonLines(stream, interval=1000.0))
    assert stream.getvalue().count('"progress"') == 2  # the first of each job


def test_lines_of_a_long_run_become_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr("bench.run.display.time.monotonic", lambda: float(next(seconds)))
    stream, found = io.StringIO(), SimpleNamespace(name="net")
    job: Any = SimpleNamespace(entry=SimpleNamespace(found=found, variant="base"), seed=0, label="net seed 0")
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
    for word in ("entry", "seed", "step/s", "loss", "ETA", "net", "500/1,000", "1.250", "2 runs to go"):
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
