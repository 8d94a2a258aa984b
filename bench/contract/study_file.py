"""Optuna's SQLite file of a study, checked before Optuna opens it and adds its tables to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import optuna
from sqlalchemy.pool import NullPool

from bench.errors import BenchError, ResultsError
from bench.text import one_line

STUDY_NAME = "tune"
TABLES = {"studies", "trials"}  # two of Optuna's tables, to recognise its files


def study_storage(path: Path, *, wait_seconds: float = 5.0) -> optuna.storages.RDBStorage:
    """Open the Optuna storage of a study's file; create the file if it does not exist.

    Args:
        path: The file; its name may contain any characters.
        wait_seconds: Timeout while another process writes.

    Raises:
        ResultsError: If the file is not a study, is from an incompatible version of Optuna, or is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with study_errors(path):
        if path.exists() and path.stat().st_size:
            with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if tables and not tables >= TABLES:
                names = ", ".join(sorted(tables)[:3])
                raise ResultsError(f"{path}: not an Optuna study, it has the tables {names}; move it away")

        # A function instead of a URL, because some characters of a path have a meaning in a URL.
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(path.resolve(), timeout=wait_seconds, check_same_thread=False)

        return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool})


@contextmanager
def study_errors(path: Path) -> Iterator[None]:
    """Convert every exception of Optuna and its database in the block to a one-line ``ResultsError``.

    They raise many unrelated exception types, so all but ``BenchError`` are caught.

    Raises:
        ResultsError: With the name of the file.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}", 200)
        raise ResultsError(f"{path}: cannot be used ({reason}); move it away") from None
