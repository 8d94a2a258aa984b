"""Paths of records, and reading and writing of records with checks."""

from collections.abc import Iterator
from pathlib import Path, PurePath

from pydantic import ValidationError

from bench.contract.documents.checksum import checksummed_bytes, verify_checksum, write_document
from bench.contract.documents.schema import parse_json
from bench.contract.documents.validation import describe_validation_error
from bench.contract.records.consistency import contradictions
from bench.contract.records.record import READABLE_VERSIONS, SCHEMA_VERSION, Identity, Record
from bench.contract.tracks import Protocol
from bench.errors import ResultsError, RunFailed
from bench.text import one_line

# Maximum length of a record. One with 100 curves and 1,000 classes has 1 % of that.
MAX_CHARACTERS = 2**24


def relative_record_path(identity: Identity, protocol: Protocol) -> str:
    """Return the path of a run's record relative to the results folder."""
    folder = f"runs/{protocol.track}/{identity.submission}/{identity.variant}"
    return f"{folder}/seed{identity.seed}-{identity.hash}.json"


def record_path(results: Path, identity: Identity, protocol: Protocol) -> Path:
    """Return the path of a run's record: ``RESULTS/runs/<track>/<submission>/<variant>/seed<k>-<hash8>.json``."""
    return results / relative_record_path(identity, protocol)


def check_record(record: Record) -> bytes:
    """Return the bytes of a record's file, with checksum, after checking that it can be read again.

    Raises:
        RunFailed: If it contains NaN, an infinity or invalid text, or contradicts itself.
    """
    try:
        content = checksummed_bytes(record)
        parse_json(content)
        problem = next(contradictions(record), None)
    except (ValueError, ArithmeticError) as error:
        raise RunFailed(
            f"the run's results contain an invalid number or text: {one_line(str(error), 200)}"
        ) from None
    if problem is not None:
        raise RunFailed(f"the run's results contradict themselves: {problem}")
    return content


def write_record(path: Path, record: Record) -> None:
    """Check a record and write it with its checksum, atomically.

    Raises:
        ResultsError: If the folder cannot be written.
        RunFailed: If the record fails ``check_record``.
    """
    write_document(path, check_record(record), option="--results")


def read_record(path: Path) -> Record:
    """Read a record and check its schema, checksum and consistency.

    Raises:
        ResultsError: If it is unreadable, truncated, altered, of another schema version, or contradicts itself.
    """
    if path.exists() and not path.is_file():
        raise ResultsError(f"{path}: not a file; move it away")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        text = ""  # not UTF-8; parse_record reports it
    if len(text) > MAX_CHARACTERS:
        raise ResultsError(
            f"{path}: {len(text):,} characters, a record has at most {MAX_CHARACTERS:,}; move it away"
        )
    return parse_record(text, path)


class NewerRecord(ResultsError):
    """A newer version of the harness wrote the record; it must not be replaced."""


def parse_record(text: str, path: Path | str) -> Record:
    """Parse a record and check it as ``read_record`` does; ``path`` is its name in error messages."""
    try:
        content = parse_json(text)
    except ValueError as error:
        reason = one_line(str(error), 100)
        raise ResultsError(
            f"{path}: not a JSON record, or a truncated one ({reason}); move it away and run again"
        ) from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerRecord(
            f"{path}: schema_version {version}, this version reads {SCHEMA_VERSION}; update capbench"
        )
    if version not in READABLE_VERSIONS:
        raise ResultsError(
            f"{path}: schema_version {version!r}, this version reads {SCHEMA_VERSION}; move it away and run again"
        )
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise ResultsError(describe_validation_error(path, error)) from None
    try:
        verify_checksum(content, path, remedy="run it again")
        problem = next(contradictions(record), None)
    except (ValueError, ArithmeticError) as error:  # NaN, an infinity, or a number too large to compute with
        problem = str(error)
    if problem is not None:
        raise ResultsError(f"{path}: contradicts itself: {problem}; no run wrote this record, run it again")
    return record


def record_paths(results: Path) -> Iterator[Path]:
    """Yield the paths of all current records in a results folder, sorted, without earlier attempts."""
    for path in sorted((results / "runs").glob("*/*/*/seed*.json")):
        if is_current(path):
            yield path


def is_current(path: PurePath) -> bool:
    """Return whether a file name is that of a current record, not of an earlier attempt."""
    return path.suffix == ".json" and ".attempt" not in path.name
