"""Several things at once: as many as there is room for, in order, and none given up for another's failure."""

import signal
import threading
import time

import pytest

from bench.harness.executors.concurrency import side_by_side


def test_never_more_than_there_is_room_for_and_everything_is_done() -> None:
    lock, running, most, begun = threading.Lock(), [0], [0], list[int]()

    def work(item: int) -> None:
        with lock:
            begun.append(item)
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1

    lefts: list[int] = []

    def room(left: int) -> int:
        lefts.append(left)
        return 3 if left < 4 else 2

    side_by_side(work, range(7), room)
    assert sorted(begun) == list(range(7)) and begun[0] in (0, 1)
    assert most[0] == 3 and max(lefts) == 7 and min(lefts) >= 1


def test_a_failure_is_raised_once_all_have_ended() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 0:
            raise ValueError("no such luck")
        done.append(item)

    with pytest.raises(ValueError, match="no such luck"):
        side_by_side(work, range(5), lambda left: 1)
    assert done == [1, 2, 3, 4]


def test_what_follows_from_one_is_begun_after_those_that_wait() -> None:
    begun: list[str] = []

    def work(item: str) -> list[str]:
        begun.append(item)
        return [item + "'", item + "''"] if len(item) == 1 else []

    side_by_side(work, ["a", "b"], lambda left: 1)
    assert begun == ["a", "b", "a'", "a''", "b'", "b''"]


def test_those_that_wait_are_sorted_whenever_one_comes() -> None:
    begun: list[int] = []

    def work(item: int) -> list[int]:
        begun.append(item)
        return [5, 2] if item == 1 else []

    side_by_side(work, [1, 4, 3], lambda left: 1, rank=lambda item: item)
    assert begun == [1, 2, 3, 4, 5]


def test_what_follows_does_not_wait_for_all_of_the_first() -> None:
    followed = threading.Event()

    def work(item: str) -> list[str]:
        if item == "slow":
            assert followed.wait(30)
        if item == "follows":
            followed.set()
        return ["follows"] if item == "quick" else []

    side_by_side(work, ["slow", "quick"], lambda left: 2)


def test_an_interruption_stops_what_runs_and_begins_nothing_more() -> None:
    stop, begun = threading.Event(), list[int]()

    def work(item: int) -> None:
        begun.append(item)
        assert stop.wait(30)

    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, range(5), lambda left: 2, tick=tick, stop=stop.set)
    assert sorted(begun) == [0, 1]


def test_a_second_interruption_does_not_break_the_first_one_off() -> None:
    stop, ended = threading.Event(), list[int]()

    def work(item: int) -> None:
        assert stop.wait(30)
        ended.append(item)

    def tick() -> None:
        raise KeyboardInterrupt

    def stop_it() -> None:
        signal.raise_signal(signal.SIGINT)
        stop.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            side_by_side(work, range(2), lambda left: 2, tick=tick, stop=stop_it)
        assert sorted(ended) == [0, 1]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
