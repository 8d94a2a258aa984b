"""``bench unpack``: add the contents of an archive of ``bench pack`` to a results folder.

An archive comes from another machine, so its contents are not trusted. It is read to its end before anything is
written, so that a flipped bit is detected. Only files that a run writes are accepted, up to a maximum size.
Records must be valid and have the path of their run, weights must have the hash in their record, and pictures must
be PNG images.
"""

import gzip
import re
import shutil
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from bench.contract.jobs.files import CHECKPOINT, WEIGHTS, WORK
from bench.contract.records.files import MAX_CHARACTERS, parse_record, relative_record_path
from bench.contract.records.origin import ANY, forget_origin, mark_unpacked
from bench.contract.records.record import Record
from bench.errors import ExitCode, ResultsError
from bench.files import atomic_path, hash_file, write_bytes
from bench.harness.bounded_archives import CHUNK, TooLarge, chunks_up_to, has_unread_content
from bench.harness.results.packing import SAMPLED, TRAINING, is_artifact, is_work, try_read_record
from bench.locks import InUse, locked
from bench.pictures import why_no_picture
from bench.text import one_line

RUN = re.compile(r"(?P<run>runs/(?:[a-z0-9][a-z0-9_.-]{0,99}/){3}seed\d{1,18}-[0-9a-f]{8})(?P<suffix>\.json|/.+)")
MAX_FILE_BYTES = 2**30  # per file, against decompression bombs
MAX_PICTURE_BYTES = 2**25
MAX_EXPANSION = 100  # most uncompressed bytes per byte of an archive
MIN_ALLOWED_BYTES = 2**28  # uncompressed bytes that an archive of any size may hold


@dataclass
class UnpackReport:
    """The counts of what ``unpack`` added, and what it refused."""

    records: int = 0
    unfinished: int = 0
    files: int = 0  # weights, pictures and logs
    known: int = 0  # records that existed already
    refused: list[str] = field(default_factory=list)  # one line per refused file or run


def unpack(archive: Path, results: Path, *, own: bool = False) -> UnpackReport:
    """Add the contents of ``archive`` to a results folder. Replace only the records of failed runs.

    Args:
        archive: Of ``bench pack``.
        results: The results folder.
        own: Whether its owner made the runs, on another machine; otherwise they are marked, and do not rank.

    Raises:
        ResultsError: If the archive is damaged or not an archive, or the folder cannot be written.
    """
    _read_to_its_end(archive)
    report = UnpackReport()
    try:
        with tarfile.open(archive, "r:gz") as tar:
            runs = _by_run(tar, report)
            _check_nothing_follows(tar, archive)
            for run, members in runs.items():
                _unpack_run(tar, results / run, members, report, own=own)
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise ResultsError(
            f"{archive}: not a complete archive of `bench pack` ({one_line(str(error), 200)})"
        ) from None
    except OSError as error:
        raise ResultsError(f"{error.filename or archive}: {error.strerror or error}") from None
    return report


def _read_to_its_end(archive: Path) -> None:
    """Raise unless the whole archive is readable and its checksum, at its end, is right."""
    try:
        limit = max(MIN_ALLOWED_BYTES, MAX_EXPANSION * archive.stat().st_size)
        with gzip.open(archive) as stream:
            for _ in chunks_up_to(stream, limit):
                pass
    except TooLarge:
        raise ResultsError(
            f"{archive}: expands to over {MAX_EXPANSION} times its size; no archive of `bench pack`"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ResultsError(
            f"{archive}: damaged, or not an archive of `bench pack` ({error}); nothing unpacked"
        ) from None
    except OSError as error:
        raise ResultsError(f"{archive}: cannot be read ({error.strerror})") from None


def _by_run(tar: tarfile.TarFile, report: UnpackReport) -> dict[str, dict[str, tarfile.TarInfo]]:
    """Group the archive's files: run -> path after the run's name -> member. Refuse all other files."""
    runs: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in tar:
        match = RUN.fullmatch(member.name)
        if match is None or not member.isreg() or member.issparse() or not _is_expected(match["suffix"]):
            report.refused.append(f"{one_line(member.name, 200)}: not a file of a run; skipped")
            continue
        allowed = _max_bytes(match["suffix"])
        if member.size > allowed:
            report.refused.append(f"{member.name}: {member.size:,} bytes, at most {allowed:,}; skipped")
            continue
        runs.setdefault(match["run"], {})[match["suffix"]] = member
    return runs


def _check_nothing_follows(tar: tarfile.TarFile, archive: Path) -> None:
    """Raise if data follow the last file that was read: then reading ended at a damaged header."""
    if has_unread_content(tar):
        raise ResultsError(f"{archive}: damaged after byte {tar.offset:,} of the content; nothing unpacked")


def _is_expected(suffix: str) -> bool:
    name = suffix.removeprefix("/")
    return suffix == ".json" or is_artifact(name) or is_work(name)


def _max_bytes(suffix: str) -> int:
    return (
        MAX_CHARACTERS if suffix == ".json" else MAX_PICTURE_BYTES if suffix.endswith(".png") else MAX_FILE_BYTES
    )


def _unpack_run(
    tar: tarfile.TarFile,
    folder: Path,
    members: dict[str, tarfile.TarInfo],
    report: UnpackReport,
    *,
    own: bool,
) -> None:
    try:
        with locked(folder.with_suffix(".lock"), seconds=0):
            record = members.pop(".json", None)
            record_unpacked = record is not None and _unpack_record(tar, folder, record, report, own=own)
            _unpack_files(tar, folder, members, report, with_artifacts=record_unpacked, own=own)
    except InUse:
        report.refused.append(f"{folder}: this run is running here; skipped")


def _unpack_record(
    tar: tarfile.TarFile, folder: Path, member: tarfile.TarInfo, report: UnpackReport, *, own: bool
) -> bool:
    """Unpack a record. Return whether the results folder now has the archive's record of this run."""
    file, path = tar.extractfile(member), folder.with_suffix(".json")
    assert file is not None  # only regular files came so far
    content = file.read()
    try:
        record = parse_record(content.decode("utf-8", "replace"), member.name)
    except ResultsError as error:
        report.refused.append(str(error))
        return False
    expected = relative_record_path(record.identity, record.protocol)
    if expected != member.name:
        report.refused.append(f"{member.name}: the record belongs at {expected}; skipped")
        return False
    existing = try_read_record(path)
    if existing is not None and existing.checksum == record.checksum:
        report.known += 1
        if own:
            forget_origin(path)
        return True
    if existing is not None and (existing.status == "ok" or record.status != "ok"):
        report.refused.append(f"{path}: another record of this run exists; it is kept")
        return False
    if path.exists():
        suffix = ".unusable" if existing is None else f".attempt{existing.timing.attempt}.json"
        path.replace(path.with_suffix(suffix))
    if not own:
        mark_unpacked(path, record.checksum, Path(str(tar.name)).name)
    write_bytes(path, content)
    report.records += 1
    return True


def _unpack_files(
    tar: tarfile.TarFile,
    folder: Path,
    members: dict[str, tarfile.TarInfo],
    report: UnpackReport,
    *,
    with_artifacts: bool,
    own: bool,
) -> None:
    """Unpack a finished run's artifacts, or an unfinished run's work files unless the run was started here too."""
    work = {suffix: member for suffix, member in members.items() if suffix.startswith(f"/{WORK}/")}
    record = try_read_record(folder.with_suffix(".json"))
    finished = record is not None and record.status == "ok"
    if work and (record is None or not finished or record.not_measured):
        if any((folder / name).exists() for name in (TRAINING / CHECKPOINT, SAMPLED)):
            report.refused.append(f"{folder}: this run was started here too; its files here are kept")
        else:
            report.unfinished += 1
            if not own:
                mark_unpacked(folder.with_suffix(".json"), ANY, Path(str(tar.name)).name)
            for suffix, member in work.items():
                _write_file(tar, member, folder / suffix[1:], None, report)
    if finished and with_artifacts:
        for suffix in sorted(members.keys() - work.keys()):
            if not (folder / suffix[1:]).exists():
                report.files += _write_file(tar, members[suffix], folder / suffix[1:], record, report)


def _write_file(
    tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, record: Record | None, report: UnpackReport
) -> bool:
    """Write a file, unless it contradicts its record or its name. Return whether it was written."""
    try:
        with atomic_path(target) as partial:
            source = tar.extractfile(member)
            assert source is not None
            with partial.open("wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
            _check_content(partial, target.name, record)
    except ValueError as error:
        report.refused.append(f"{member.name}: {error}; skipped")
        return False
    return True


def _check_content(path: Path, name: str, record: Record | None) -> None:
    """Raise ValueError if a picture is no PNG image, or weights do not have the hash in their record."""
    reason = why_no_picture(path) if name.endswith(".png") else None
    if reason is not None:
        raise ValueError(reason)
    training = record.training if record is not None else None
    if name == WEIGHTS and training is not None and hash_file(path) != training.weights_sha256:
        raise ValueError("the weights do not have the hash in their record")


def unpack_command(archives: list[Path], results: Path, *, own: bool = False) -> ExitCode:
    """Unpack archives and print a summary of each. Return 2 if a file was skipped or an archive is damaged."""
    incomplete = False
    for archive in archives:
        try:
            report = unpack(archive, results, own=own)
        except ResultsError as error:
            if len(archives) == 1:
                raise
            print(f"✗ {error}")
            incomplete = True
            continue
        print(
            f"{archive.name}: {report.records} records, {report.unfinished} unfinished runs and {report.files} "
            f"other files unpacked; {report.known} records existed already"
        )
        if not own and (report.records or report.unfinished):
            print("marked as made elsewhere: they do not rank (--own, for runs of your own)")
        for line in report.refused:
            print(f"✗ {line}")
        incomplete = incomplete or bool(report.refused)
    return ExitCode.USAGE if incomplete else ExitCode.OK
