"""Which display a command has."""

import sys
from typing import Literal, get_args

from bench.errors import UsageError
from bench.run.progress.base import Display
from bench.run.progress.json_lines import JsonLines
from bench.run.progress.lines import Lines
from bench.run.progress.unfailing import Unfailing

LogFormat = Literal["auto", "lines", "json"]


def choose_display(log_format: str = "auto") -> Display:
    """``auto`` for a live table on a terminal and lines elsewhere; ``lines`` or ``json`` wherever it is.

    Raises:
        UsageError: If it is none of these.
    """
    if log_format not in get_args(LogFormat):
        raise UsageError(f"--log-format {log_format!r}: give auto, lines or json")
    if log_format == "json":
        return Unfailing(JsonLines())
    if log_format == "lines" or not sys.stderr.isatty():
        return Unfailing(Lines())
    from bench.run.progress.live_table import LiveTable

    return Unfailing(LiveTable())
