"""Concurrent execution of work items in threads, with a limit on how many run at once."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

ItemT = TypeVar("ItemT")
POLL_SECONDS = 0.5
MAX_THREADS = 1024  # of the pool, which starts a thread only when it is needed


@contextmanager
def _ignore_interrupts() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM, so that a second Ctrl-C does not interrupt an orderly shutdown.

    Only the main thread receives signals and may set their handlers; in another one there is nothing to ignore.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def side_by_side(
    function: Callable[[ItemT], Iterable[ItemT] | None],
    items: Iterable[ItemT],
    slots: Callable[[int], int],
    *,
    rank: Callable[[ItemT], Any] | None = None,
    tick: Callable[[], None] = lambda: None,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Call ``function`` on every item, in threads.

    Args:
        function: Processes an item and may return further items. If calls raise, the first error is raised after
            all items have ended.
        items: In the order in which they start.
        slots: Returns how many items may run at once, given how many are not finished.
        rank: Sort key of the waiting items, smallest first; None for the order in which they arrived.
        tick: Called about every ``POLL_SECONDS`` while items run.
        stop: Called on Ctrl-C, SIGTERM or an exception of this thread; it must make the running items end soon.

    Raises:
        KeyboardInterrupt: After Ctrl-C or SIGTERM, once all running items have ended. Further signals until then
            are ignored.
    """
    waiting, running, errors = list(items), set[Future[Iterable[ItemT] | None]](), list[BaseException]()
    with ThreadPoolExecutor(max_workers=MAX_THREADS) as pool:
        try:
            while waiting or running:
                unfinished = len(waiting) + len(running)
                while waiting and len(running) < slots(unfinished):
                    running.add(pool.submit(function, waiting.pop(0)))
                ended, running = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in ended:
                    error = future.exception()
                    if error is not None:
                        errors.append(error)
                    else:
                        waiting += future.result() or ()
                if rank is not None:
                    waiting.sort(key=rank)
                tick()
        except BaseException:  # KeyboardInterrupt, or what a caller's signal handler raises, such as a timeout
            with _ignore_interrupts():
                stop()
                pool.shutdown(wait=True, cancel_futures=True)
            raise
    for error in errors:
        raise error
