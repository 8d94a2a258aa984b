"""Several things at once, as many as there is room for."""

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

ItemT = TypeVar("ItemT")
POLL_SECONDS = 0.5
THREADS = 1024  # at most; one is started when it is needed


@contextmanager
def _patience() -> Iterator[None]:
    """Without interruptions: what ends here does so by itself, and a second one would only break it off."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def side_by_side(
    function: Callable[[ItemT], Iterable[ItemT] | None],
    items: Iterable[ItemT],
    room: Callable[[int], int],
    *,
    rank: Callable[[ItemT], Any] | None = None,
    tick: Callable[[], None] = lambda: None,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Call ``function`` on every item, in threads.

    Args:
        function: May return further items. Whatever it raises is raised once all have ended.
        items: In the order in which they are begun.
        room: How many at a time, of how many that are left.
        rank: By what those that wait are sorted, the least first; None for the order in which they came.
        tick: Called while there is nothing to do but wait.
        stop: Called on Ctrl-C or SIGTERM, so that what is running ends soon.

    Raises:
        KeyboardInterrupt: After one of these, once all that was running has ended. Another meanwhile does nothing.
    """
    waiting, running, failed = list(items), set[Future[Iterable[ItemT] | None]](), list[BaseException]()
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        try:
            while waiting or running:
                left = len(waiting) + len(running)
                while waiting and len(running) < room(left):
                    running.add(pool.submit(function, waiting.pop(0)))
                ended, running = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in ended:
                    error = future.exception()
                    if error is not None:
                        failed.append(error)
                    else:
                        waiting += future.result() or ()
                if rank is not None:
                    waiting.sort(key=rank)
                tick()
        except KeyboardInterrupt:
            with _patience():
                stop()
                pool.shutdown(wait=True, cancel_futures=True)
            raise
    for error in failed:
        raise error
