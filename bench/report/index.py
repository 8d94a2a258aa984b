"""Records that were checked once, without their curves: reading ten thousand again takes a second instead of five.

What is kept is tied to the file's size, times and inode, as git ties its index: a record that was touched is read
and checked anew. The index is a cache in the user's cache folder, and everything works without it.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.contract.records import Curves, Record, read_record
from bench.files import cache_folder

VERSION = 2  # of what is kept, and of what is checked when it is read; another number forgets all
WORTH = 200  # records from which on an index saves more than it takes
# What the seeds of a submission, and often all records, have in common: kept once, and one object in memory.
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
    """The record without its long lists, which no table shows."""
    training, evaluation = record.training, record.evaluation
    short: dict[str, Any] = {
        "training": training and training.model_copy(update={"curves": Curves(steps=[], values={})}),
        "evaluation": evaluation and evaluation.model_copy(update={"per_class_accuracy": [], "correct": None}),
        "sources": {},
        "log_tail": [],
    }
    return record.model_copy(update=short)


class RecordIndex:
    """Brief records by path. Whatever fails with the index itself makes it forgetful, never wrong."""

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
        """The brief record at ``path``, which is absolute, checked now or when its file was last different.

        Raises:
            ResultsError: As ``read_record`` does.
        """
        try:
            state = _state(path)
        except OSError:
            return brief(read_record(path))  # which says what is wrong
        known = self._find(str(path), state)
        if known is not None:
            return known
        record = brief(read_record(path))
        self._keep(str(path), state, record)
        return record

    def close(self) -> None:
        """Write what was learnt."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.commit()
            self._connection.close()

    def _find(self, path: str, state: str) -> Record | None:
        if self._connection is None:
            return None
        query = f"SELECT own, shared FROM records_{VERSION} WHERE path = ? AND state = ?"
        with contextlib.suppress(sqlite3.Error, ValidationError, ValueError, TypeError, KeyError):
            for own, shared in self._connection.execute(query, (path, state)):
                fields = {**self._common(shared), **_checked(json.loads(own))}
                return Record.model_construct(ALL_FIELDS, **fields)
        return None

    def _common(self, key: str) -> dict[str, Any]:
        """The shared part under ``key`` as the fields of a record: one object for all that have it."""
        if key not in self._shared:
            assert self._connection is not None
            query = f"SELECT content FROM shared_{VERSION} WHERE hash = ?"
            (content,) = self._connection.execute(query, (key,)).fetchone()
            self._shared[key] = _checked(json.loads(content))
        return self._shared[key]

    def _keep(self, path: str, state: str, record: Record) -> None:
        if self._connection is None:
            return
        shared = record.model_dump_json(include=set(SHARED))
        key = hashlib.sha256(shared.encode()).hexdigest()
        own = record.model_dump_json(exclude=set(SHARED))
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute(f"INSERT OR IGNORE INTO shared_{VERSION} VALUES (?, ?)", (key, shared))
            self._connection.execute(
                f"REPLACE INTO records_{VERSION} VALUES (?, ?, ?, ?)", (path, state, own, key)
            )


KINDS: dict[str, TypeAdapter[Any]] = {}


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Plain data as the values of a record's fields."""
    for name in fields.keys() - KINDS.keys():
        annotation: Any = Record.model_fields[name].annotation
        KINDS[name] = TypeAdapter(annotation)
    return {name: KINDS[name].validate_python(value) for name, value in fields.items()}


def _state(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


@contextlib.contextmanager
def record_index() -> Iterator[RecordIndex]:
    """This user's index."""
    index = RecordIndex(cache_folder() / "records.sqlite")
    try:
        yield index
    finally:
        index.close()
