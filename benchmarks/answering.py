"""What a process of a benchmark does: it says ``ready``, and answers each line with the seconds of its work."""

import os
import sys
import time
from collections.abc import Callable


def answer(work: Callable[[], object], *, warm_up: int = 2) -> None:
    """Answer until standard input ends; a line ends with how often to do the work."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for _ in range(warm_up):
        work()
    print("ready", file=answers)
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line.split()[1])):
            work()
        print(repr(time.perf_counter() - started), file=answers)
