"""Every record of a results folder, and a line for each that cannot be read."""

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract.origins import unpacked, with_origin
from bench.contract.records import Record, read_record, record_name, record_paths
from bench.errors import ResultsError
from bench.report.index import WORTH, brief, record_index
from bench.text import one_line


def read_all(results: Path) -> tuple[list[Record], list[str]]:
    """Every readable record under ``results``, and a line for each that is not, or is not where its run belongs.

    A copy of a record under another name would count as another seed.
    """
    return _read(results, list(record_paths(results)), read_record)


def say_unreadable(problems: Iterable[str]) -> None:
    """Print on standard error which records a command goes without."""
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)


def read_brief(results: Path) -> tuple[list[Record], list[str]]:
    """The same without curves and per-class figures, and quickly: what was checked before is not checked again."""
    paths = list(record_paths(results))
    if len(paths) < WORTH:
        return _read(results, paths, lambda path: brief(read_record(path)))
    place = results.resolve()
    with record_index() as index:
        return _read(results, paths, lambda path: index.read(place / path.relative_to(results)))


def _read(results: Path, paths: list[Path], read: Callable[[Path], Record]) -> tuple[list[Record], list[str]]:
    records, problems, marks = [], [], unpacked(results)
    with _without_garbage_collection():
        for path in paths:
            try:
                record = read(path)
            except ResultsError as error:
                problems.append(one_line(str(error)))  # the path too may be no text
                continue
            own = record_name(record.identity, record.protocol)
            if path == results / own:
                records.append(with_origin(record, path, marks))
            else:
                problems.append(one_line(f"{path}: is the record of {own}; a copy does not count, remove it"))
    return records, problems


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Nothing that is read becomes garbage; looking for it, now or later, takes longer the more there is."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
