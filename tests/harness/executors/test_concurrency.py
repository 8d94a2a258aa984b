"""`side_by_side`: parallel items within the slots, in order; errors and interrupts."""

import signal
import threading

import pytest

from bench.harness.executors.concurrency import side_by_side


def test_all_items_run_within_the_number_of_slots() -> None:
    changed, running, most, started = threading.Condition(), [0], [0], list[int]()

    def work(item: int) -> None:
        with changed:
            started.append(item)
            running[0] += 1
            most[0] = max(most[0], running[0])
            changed.notify_all()
            if item >= 4:  # the last three run at once
                assert changed.wait_for(lambda: most[0] == 3, timeout=600)
            running[0] -= 1

    unfinished_counts: list[int] = []

    def slots(unfinished: int) -> int:
        unfinished_counts.append(unfinished)
        return 3 if unfinished < 4 else 2

    side_by_side(work, range(7), slots)
    assert sorted(started) == list(range(7)) and started[0] in (0, 1)
    assert most[0] == 3 and max(unfinished_counts) == 7 and min(unfinished_counts) >= 1


def test_first_error_is_raised_after_all_items_have_ended() -> None:
    completed: list[int] = []

    def work(item: int) -> None:
        if item == 0:
            raise ValueError("item failed")
        completed.append(item)

    with pytest.raises(ValueError, match="item failed"):
        side_by_side(work, range(5), lambda unfinished: 1)
    assert completed == [1, 2, 3, 4]


def test_further_items_start_after_waiting_ones() -> None:
    started: list[str] = []

    def work(item: str) -> list[str]:
        started.append(item)
        return [item + "'", item + "''"] if len(item) == 1 else []

    side_by_side(work, ["a", "b"], lambda unfinished: 1)
    assert started == ["a", "b", "a'", "a''", "b'", "b''"]


def test_waiting_items_are_sorted_by_rank() -> None:
    started: list[int] = []

    def work(item: int) -> list[int]:
        started.append(item)
        return [5, 2] if item == 1 else []

    side_by_side(work, [1, 4, 3], lambda unfinished: 1, rank=lambda item: item)
    assert started == [1, 2, 3, 4, 5]


def test_further_items_do_not_wait_for_unrelated_items() -> None:
    further_started = threading.Event()

    def work(item: str) -> list[str]:
        if item == "slow":
            assert further_started.wait(30)
        if item == "further":
            further_started.set()
        return ["further"] if item == "quick" else []

    side_by_side(work, ["slow", "quick"], lambda unfinished: 2)


def test_interrupt_stops_running_items_and_starts_no_more() -> None:
    stop, started = threading.Event(), list[int]()

    def work(item: int) -> None:
        started.append(item)
        assert stop.wait(30)

    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, range(5), lambda unfinished: 2, tick=tick, stop=stop.set)
    assert sorted(started) == [0, 1]


def test_second_interrupt_is_ignored_while_stopping() -> None:
    stop, ended = threading.Event(), list[int]()

    def work(item: int) -> None:
        assert stop.wait(30)
        ended.append(item)

    def tick() -> None:
        raise KeyboardInterrupt

    def interrupt_again() -> None:
        signal.raise_signal(signal.SIGINT)
        stop.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            side_by_side(work, range(2), lambda unfinished: 2, tick=tick, stop=interrupt_again)
        assert sorted(ended) == [0, 1]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_exception_of_the_main_thread_stops_the_running_items() -> None:
    """A caller's signal handler may raise anything, such as a timeout of its own."""
    stopped = threading.Event()

    def wait(item: int) -> None:
        stopped.wait(600)

    def tick() -> None:
        raise TimeoutError("the caller's")

    with pytest.raises(TimeoutError, match="the caller's"):
        side_by_side(
            lambda item: stopped.wait(600) and None, range(2), lambda unfinished: 2, tick=tick, stop=stopped.set
        )
    assert stopped.is_set()


def test_interrupt_in_another_thread_stops_the_running_items() -> None:
    stopped, errors = threading.Event(), list[BaseException]()

    def wait(item: int) -> None:
        stopped.wait(600)

    def tick() -> None:
        raise KeyboardInterrupt

    def run() -> None:
        try:
            side_by_side(
                lambda item: stopped.wait(600) and None, range(2), lambda n: 2, tick=tick, stop=stopped.set
            )
        except KeyboardInterrupt as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert stopped.is_set() and len(errors) == 1
