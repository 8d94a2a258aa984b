"""The errors that a user can cause, and the exit codes of the command.

    BenchError                      exit code
    ├── UsageError                  2   a wrong option, path or file of the user's
    │   ├── ManifestError           2   submission.yaml or a track file does not fit its schema
    │   ├── DataError               2   a data file is absent, truncated or not the official one
    │   └── ResultsError            2   the results folder cannot be read or written
    ├── RunFailed                   3   a run raised, was killed, timed out or diverged
    ├── ContractError               4   a submission breaks the interface
    │   └── CapError                4   a submission exceeds a cap
    └── NothingToDo                 5   nothing was selected, or nothing was measured

Every message is one line: what, where, found against allowed, what to do.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    REGRESSION = 1  # a gate or a claim failed
    USAGE = 2
    RUN_FAILED = 3
    CONTRACT = 4
    NOTHING = 5
    INTERRUPTED = 130  # by Ctrl-C; after SIGTERM the command ends with 143


class BenchError(Exception):
    """Base of all errors that end in one readable line instead of a traceback."""

    exit_code = ExitCode.USAGE


class UsageError(BenchError):
    """The command line, or a path on it, cannot be used."""


class ManifestError(UsageError):
    """A YAML file does not fit its schema; the message names the file and the field."""


class DataError(UsageError):
    """A data file is absent, truncated or altered; the message says how to get it."""


class ResultsError(UsageError):
    """The results folder cannot be written, or a record in it cannot be read."""


class RunFailed(BenchError):
    """A run ended without a result; the reason is in its record."""

    exit_code = ExitCode.RUN_FAILED


class ContractError(BenchError):
    """A submission does not keep the interface: wrong shape, NaN, hidden state, missing method."""

    exit_code = ExitCode.CONTRACT


class CapError(ContractError):
    """A submission has more parameters, or stores more scalars, than its track allows."""


class NothingToDo(BenchError):
    """Nothing matched, or nothing was measured: its own outcome, never a pass."""

    exit_code = ExitCode.NOTHING
