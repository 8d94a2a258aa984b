"""Choice of a command's progress display."""

import sys
from typing import Literal, get_args

from bench.errors import UsageError
from bench.harness.progress.base import Display
from bench.harness.progress.json_lines import JsonLines
from bench.harness.progress.lines import Lines
from bench.harness.progress.quiet import Quiet
from bench.harness.progress.unfailing import Unfailing

LogFormat = Literal["auto", "lines", "json", "quiet"]


def choose_display(log_format: str = "auto") -> Display:
    """Create the display for a ``--log-format``.

    Args:
        log_format: ``auto`` (live table on a terminal, else log lines), ``lines``, ``json``, ``quiet``.

    Raises:
        UsageError: If ``log_format`` has another value.
    """
    if log_format not in get_args(LogFormat):
        raise UsageError(f"--log-format {log_format!r}: give auto, lines, json or quiet")
    if log_format == "quiet" or sys.stderr is None or sys.stderr.closed:  # as in some notebooks and services
        return Unfailing(Quiet())
    if log_format == "json":
        return Unfailing(JsonLines())
    if log_format == "lines" or not getattr(sys.stderr, "isatty", bool)():
        return Unfailing(Lines())
    from bench.harness.progress.live_table import LiveTable

    return Unfailing(LiveTable())
