"""Errors that a user can cause, and the exit codes of ``bench``.

    BenchError                      exit code
    ├── UsageError                  2   a wrong option, path or input file
    │   ├── ManifestError           2   submission.yaml or a track file violates its schema
    │   ├── DataError               2   a data file is missing, truncated or not the official one
    │   └── ResultsError            2   the results folder cannot be read or written
    ├── RunFailed                   3   a run failed: exception, signal, timeout or NaN
    ├── ContractError               4   a submission violates the interface
    └── NothingToDo                 5   nothing was selected, or nothing was measured

Every message is one line: what failed, where, the value found, the values allowed, and what to do.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of ``bench``. If several apply, the highest one counts."""

    OK = 0  # everything that was asked for is done
    REGRESSION = 1  # a gate or a claim failed
    USAGE = 2  # a wrong option, file or folder, or missing data
    RUN_FAILED = 3  # a run failed; its record has the reason
    CONTRACT = 4  # a submission exceeds a cap or violates the interface
    NOTHING = 5  # nothing was selected, or nothing could be judged
    INTERRUPTED = 130  # by Ctrl-C; after SIGTERM the command ends with 143


class BenchError(Exception):
    """Base class of errors that are reported as one line instead of a traceback."""

    exit_code = ExitCode.USAGE


class UsageError(BenchError):
    """A command-line option, or a path given there, is invalid."""


class ManifestError(UsageError):
    """A YAML file violates its schema; the message names the file and the field."""


class DataError(UsageError):
    """A data file is missing, truncated or altered; the message says how to get it."""


class ResultsError(UsageError):
    """The results folder cannot be written, or a record in it cannot be read."""


class RunFailed(BenchError):
    """A run ended without a result; its record contains the reason."""

    exit_code = ExitCode.RUN_FAILED


class ContractError(BenchError):
    """A submission violates the interface: wrong shape, NaN, hidden state, missing method."""

    exit_code = ExitCode.CONTRACT


class NothingToDo(BenchError):
    """Nothing matched, or nothing was measured; this has its own exit code, so that it never counts as a pass."""

    exit_code = ExitCode.NOTHING
