"""Reading all records of a results folder, with a message per unreadable one."""

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract.records.files import read_record, record_paths, relative_record_path
from bench.contract.records.origin import unpacked, with_origin
from bench.contract.records.record import Record
from bench.errors import ResultsError
from bench.report.records.cache import FEWEST_INDEXED, brief, record_index
from bench.text import one_line


def read_all(results: Path) -> tuple[list[Record], list[str]]:
    """Return every readable record under ``results``, and a message per unreadable or misplaced one.

    A copy of a record under another name would count as another seed, so only the run's own path is accepted.
    """
    return _read(results, list(record_paths(results)), read_record)


def warn_unreadable(problems: Iterable[str]) -> None:
    """Print the messages about skipped records to standard error."""
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)


def read_brief(results: Path) -> tuple[list[Record], list[str]]:
    """Return the same as ``read_all`` without curves and per-class results, faster: unchanged files are cached."""
    paths = list(record_paths(results))
    if len(paths) < FEWEST_INDEXED:
        return _read(results, paths, lambda path: brief(read_record(path)))
    folder = results.resolve()
    with record_index() as index:
        return _read(results, paths, lambda path: index.read(folder / path.relative_to(results)))


def _read(results: Path, paths: list[Path], read: Callable[[Path], Record]) -> tuple[list[Record], list[str]]:
    records, problems, marks = [], [], unpacked(results)
    with _without_garbage_collection():
        for path in paths:
            try:
                record = read(path)
            except ResultsError as error:
                problems.append(one_line(str(error)))  # a path may contain control characters
                continue
            expected = relative_record_path(record.identity, record.protocol)
            if path == results / expected:
                records.append(with_origin(record, path, marks))
            else:
                problems.append(one_line(f"{path}: belongs at {expected}; a copy does not count, remove it"))
    return records, problems


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Disable garbage collection while records are read: it would free nothing, and slow it down."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
