"""Turns: the checks of parallel verifications overlap, and none of them runs while another one measures speeds."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.contract.jobs.files import TURN, WAITING_FOR_TURN
from bench.contract.jobs.reports import Progress
from bench.harness.executors import turns as module
from bench.harness.executors.limits import Limits, Watch
from bench.harness.executors.local import Stopped
from bench.harness.executors.turns import Turn, Turns

WAITING = Progress(phase=WAITING_FOR_TURN, done=0, total=1)


class Verifications:
    """Threads that behave like verification processes; they count how many check and how many measure."""

    def __init__(self, folder: Path, other_phases: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.turns = folder, Turns(threading.Event())
        self.checking = self.measuring = 0
        self.concurrent: list[int] = []
        monkeypatch.setattr(module, "count_running_phases", lambda: other_phases + self.checking + self.measuring)

    def verify(self, name: str, check: Callable[[], object], *, events: int = 2, fails: bool = False) -> Turn:
        """Check, then wait for the turn and measure; report the wait ``events`` times, as processes do."""
        folder = self.folder / name
        folder.mkdir()
        with self.turns.turn(name, folder) as turn:
            assert self.measuring == 0
            self.checking += 1
            check()
            self.turns.on_event(turn, Progress(phase="other", done=0, total=1))
            assert not (folder / TURN).exists()
            if fails:
                self.checking -= 1
                return turn
            for _ in range(events):
                self.turns.on_event(turn, WAITING)
            while not (folder / TURN).exists():
                time.sleep(0.001)
            self.checking, self.measuring = self.checking - 1, self.measuring + 1
            time.sleep(0.01)
            assert self.measuring == 1
            assert all(other.state == "waiting" for other in self.turns._turns if other is not turn)
            self.measuring -= 1
        return turn


def test_checks_overlap_and_measurements_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Verifications(tmp_path, 0, monkeypatch)
    together = threading.Barrier(4, timeout=60)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(run.verify, str(i), together.wait, fails=i == 2) for i in range(4)]
        for future in futures:
            future.result()
    assert run.turns._turns == [] and run.measuring == 0


def test_verification_that_starts_later_waits_for_the_end_of_a_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More verifications than threads: each that ends lets another one start, while others wait to measure."""
    run = Verifications(tmp_path, 0, monkeypatch)
    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(run.verify, str(i), lambda: time.sleep(0.002)) for i in range(12)]:
            future.result()


@pytest.mark.parametrize("others", [0, 3])
def test_only_phases_of_other_commands_count_as_concurrent(
    others: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Verifications(tmp_path, others, monkeypatch)
    together = threading.Barrier(2, timeout=60)
    with ThreadPoolExecutor(2) as pool:
        turns = [future.result() for future in [pool.submit(run.verify, str(i), together.wait) for i in range(2)]]
    assert [turn.concurrent for turn in turns] == [others, others]


def test_stop_ends_the_wait_for_the_start(tmp_path: Path) -> None:
    stop = threading.Event()
    turns = Turns(stop)
    with turns.turn("a", tmp_path) as turn:
        turns.on_event(turn, WAITING)
        assert (tmp_path / TURN).exists()
        stop.set()
        with pytest.raises(Stopped), turns.turn("b", tmp_path):
            pass
    with turns.turn("c", tmp_path):  # nothing is left of the one that was stopped
        pass


def test_waiting_for_others_does_not_count_as_time_of_a_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "count_running_phases", lambda: 0)
    turns = Turns(threading.Event())
    (tmp_path / "quick").mkdir()
    with turns.turn("slow", tmp_path / "slow"), turns.turn("quick", tmp_path / "quick") as quick:
        now[0] += 5
        turns.on_event(quick, WAITING)
        assert turns.long_ones() == [] and quick.waited() == 0
        now[0] += 70
        assert turns.long_ones() == ["slow: verification has been checking for 1 min"]
        assert turns.long_ones() == [] and quick.waited() == 70
        limits = Limits(seconds=20, waited=quick.waited)
        watch = Watch(0, "verify", limits)
        watch.started = 1000.0
        assert watch.exceeded() is None  # 75 s, of which 70 waiting
        slow = next(turn for turn in turns._turns if turn is not quick)
        turns.on_event(slow, WAITING)
        assert slow.state == "measuring"
        now[0] += 16
        assert quick.waited() == 86 and watch.exceeded() is None
    assert quick.waited() == 86
