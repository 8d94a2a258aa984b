"""Several things at once, as many as there is room for."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

ItemT = TypeVar("ItemT")
POLL_SECONDS = 0.5


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
    function: Callable[[ItemT], object],
    items: Sequence[ItemT],
    room: Callable[[int], int],
    *,
    tick: Callable[[], None] = lambda: None,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Call ``function`` on every item, in threads.

    Args:
        function: Whatever it raises is raised once all have ended.
        items: In the order in which they are begun.
        room: How many at a time, of how many that are left.
        tick: Called while there is nothing to do but wait.
        stop: Called on Ctrl-C or SIGTERM, so that what is running ends soon.

    Raises:
        KeyboardInterrupt: After one of these, once all that was running has ended. Another meanwhile does nothing.
    """
    waiting, running, done = list(items), set[Future[object]](), list[Future[object]]()
    with ThreadPoolExecutor(max_workers=len(items) or 1) as pool:
        try:
            while waiting or running:
                left = len(waiting) + len(running)
                while waiting and len(running) < room(left):
                    running.add(pool.submit(function, waiting.pop(0)))
                ended, running = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                done += ended
                tick()
        except KeyboardInterrupt:
            with _patience():
                stop()
                pool.shutdown(wait=True, cancel_futures=True)
            raise
    for future in done:
        future.result()
