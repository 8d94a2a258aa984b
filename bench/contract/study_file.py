"""A study's file: SQLite, as Optuna keeps it; looked into before Optuna, which would add its tables to any."""

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
TABLES = {"studies", "trials"}  # some of Optuna's


def study_storage(path: Path, *, wait_seconds: float = 5.0) -> optuna.storages.RDBStorage:
    """What Optuna reads and writes a study's file by; made if it is not there.

    Args:
        path: Of the file, of whatever characters.
        wait_seconds: For another process that writes.

    Raises:
        ResultsError: If the file is of something else, of another version of Optuna, or damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with naming(path):
        if path.exists() and path.stat().st_size:
            with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if tables and not tables >= TABLES:
                some = ", ".join(sorted(tables)[:3])
                raise ResultsError(f"{path}: no study of Optuna, for it has {some}; move it away")

        # By a function rather than by address: in an address some characters mean something.
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(path.resolve(), timeout=wait_seconds, check_same_thread=False)

        return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool})


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Meanwhile whatever goes wrong with a study is told in one line: Optuna and its database raise of all kinds.

    Raises:
        ResultsError: Naming the file.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        why = one_line(f"{type(error).__name__}: {error}", 200)
        raise ResultsError(f"{path}: cannot be used ({why}); move it away") from None
