"""A cache of validated records without their curves: reading 10,000 records again takes 1 s instead of 5 s.

An entry is valid for the file's size, times and inode, as in git's index: a changed record is read and validated
again. The index lies in the user's cache folder and is optional.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.contract.records.files import read_record
from bench.contract.records.record import Curves, Record
from bench.files import cache_folder

VERSION = 3  # of the stored content and of the record's validation; a new number invalidates all entries
FEWEST_INDEXED = 200  # with fewer records the index costs more time than it saves
# Fields that all seeds of a submission, and often all records, share: stored once, and one object in memory.
SHARED = (
    "protocol", "task", "config", "claims", "as_published", "data", "cost", "environment", "not_measured",
    "metric_weights", "unranked_because",
)  # fmt: skip
TABLES = (
    f"CREATE TABLE IF NOT EXISTS records_{VERSION} (path TEXT PRIMARY KEY, state TEXT, own TEXT, shared TEXT)",
    f"CREATE TABLE IF NOT EXISTS shared_{VERSION} (hash TEXT PRIMARY KEY, content TEXT)",
)
ALL_FIELDS = set(Record.model_fields)


def brief(record: Record) -> Record:
    """Return the record without its long lists, which no table needs."""
    training, evaluation = record.training, record.evaluation
    short: dict[str, Any] = {
        "training": training and training.model_copy(update={"curves": Curves(steps=[], values={})}),
        "evaluation": evaluation and evaluation.model_copy(update={"per_class_accuracy": [], "correct": None}),
        "sources": {},
        "log_tail": [],
    }
    return record.model_copy(update=short)


class RecordIndex:
    """An index of brief records by path. An error of the index causes a cache miss, never a wrong record."""

    def __init__(self, file: Path) -> None:
        self._shared: dict[str, dict[str, Any]] = {}
        self._connection: sqlite3.Connection | None = None
        with contextlib.suppress(OSError, sqlite3.Error):
            file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(file, timeout=0.2)
            for table in TABLES:
                connection.execute(table)
            self._connection = connection

    def read(self, path: Path) -> Record:
        """Return the brief record at the absolute ``path``, validated now or since its file last changed.

        Raises:
            ResultsError: As ``read_record`` does.
        """
        try:
            state = _state(path)
        except OSError:
            return brief(read_record(path))  # raises the error with its message
        cached = self._find(str(path), state)
        if cached is not None:
            return cached
        record = brief(read_record(path))
        self._store(str(path), state, record)
        return record

    def close(self) -> None:
        """Commit the new entries."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.commit()
            self._connection.close()

    def _find(self, path: str, state: str) -> Record | None:
        if self._connection is None:
            return None
        query = f"SELECT own, shared FROM records_{VERSION} WHERE path = ? AND state = ?"
        with contextlib.suppress(sqlite3.Error, ValidationError, ValueError, TypeError, KeyError):
            for own_fields, shared_key in self._connection.execute(query, (path, state)):
                fields = {**self._common(shared_key), **_validated(json.loads(own_fields))}
                return Record.model_construct(ALL_FIELDS, **fields)
        return None

    def _common(self, key: str) -> dict[str, Any]:
        """Return the shared fields under ``key``: the same objects for all records that share them."""
        if key not in self._shared:
            assert self._connection is not None
            query = f"SELECT content FROM shared_{VERSION} WHERE hash = ?"
            (content,) = self._connection.execute(query, (key,)).fetchone()
            self._shared[key] = _validated(json.loads(content))
        return self._shared[key]

    def _store(self, path: str, state: str, record: Record) -> None:
        if self._connection is None:
            return
        shared = record.model_dump_json(include=set(SHARED))
        key = hashlib.sha256(shared.encode()).hexdigest()
        own_fields = record.model_dump_json(exclude=set(SHARED))
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute(f"INSERT OR IGNORE INTO shared_{VERSION} VALUES (?, ?)", (key, shared))
            self._connection.execute(
                f"REPLACE INTO records_{VERSION} VALUES (?, ?, ?, ?)", (path, state, own_fields, key)
            )


ADAPTERS: dict[str, TypeAdapter[Any]] = {}  # field of a record -> its validator


def _validated(fields: dict[str, Any]) -> dict[str, Any]:
    """Validate JSON data as the values of a record's fields."""
    for name in fields.keys() - ADAPTERS.keys():
        annotation: Any = Record.model_fields[name].annotation
        ADAPTERS[name] = TypeAdapter(annotation)
    return {name: ADAPTERS[name].validate_python(value) for name, value in fields.items()}


def _state(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


@contextlib.contextmanager
def record_index() -> Iterator[RecordIndex]:
    """Open the index in the user's cache folder."""
    index = RecordIndex(cache_folder() / "records.sqlite")
    try:
        yield index
    finally:
        index.close()
