"""``bench pack`` and ``bench unpack``: records, and what unfinished runs go on from, to another machine and back.

What is unpacked was made elsewhere, so nothing is taken on trust that a local run would not have to show: records
have to be whole and to lie where their run belongs; of an unfinished run its training travels (a checkpoint is
read without executing anything in it), so that it is evaluated on the machine that writes its record. Samples
travel if that is wanted, and their record says that they were drawn on one machine and scored on another.
"""

import contextlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from filelock import FileLock, Timeout

from bench.contract.jobs import (
    AS_PUBLISHED_SAMPLES,
    BEGUN,
    CHECKPOINT,
    PICTURES,
    PROGRESS_FOLDER,
    REPORT,
    SAMPLES,
    SPEC,
    WEIGHTS,
    WORK,
)
from bench.contract.origins import ANY, mark_unpacked
from bench.contract.records import Record, parse_record, read_record, record_name, record_paths
from bench.errors import ExitCode, NothingToDo, ResultsError
from bench.files import atomic_path, write_bytes
from bench.run.executors.bundle import add_bytes

RUN = re.compile(r"(?P<run>runs/(?:[a-z0-9][a-z0-9_.-]*/){3}seed\d+-[0-9a-f]{8})(?P<rest>\.json|/.+)")
TRAINING, EVALUATION = PurePosixPath(WORK, "train"), PurePosixPath(WORK, "evaluate")
RESUMED_FROM = (TRAINING / SPEC, TRAINING / CHECKPOINT)
# What a generator's samples are scored from, and a record of them is written from (``bench score``).
SAMPLED = EVALUATION / REPORT["evaluate"]
SCORED_FROM = (
    PurePosixPath(WORK, BEGUN),
    *(TRAINING / name for name in (SPEC, REPORT["train"], WEIGHTS)),
    SAMPLED,
    *(EVALUATION / name for name in (SPEC, SAMPLES, AS_PUBLISHED_SAMPLES)),
    *(EVALUATION / picture.array for picture in PICTURES),
)
LARGEST_BYTES = 2**30  # of a file: a compressed archive could hold anything


class Packed(NamedTuple):
    """What ``pack`` put into an archive."""

    records: int
    unfinished: int
    sampled: int  # runs whose samples are not scored yet


@dataclass
class Arrived:
    """What ``unpack`` did."""

    records: int = 0
    unfinished: int = 0
    files: int = 0  # weights, pictures and logs
    known: int = 0  # records that were here already
    refused: list[str] = field(default_factory=list)  # a line each


def pack(results: Path, output: Path, *, artifacts: bool = False, samples: bool = False) -> Packed:
    """Write a ``.tar.gz`` of all records, and of what unfinished runs go on from.

    Args:
        results: The results folder.
        output: The file to write; replaced if it is there.
        artifacts: Also weights, pictures and logs.
        samples: Also those that are not scored yet: 30 MB per 10,000 of 3 × 32 × 32.

    Raises:
        NothingToDo: If there is none of it.
        ResultsError: If the file cannot be written.
    """
    records = list(record_paths(results))
    unfinished = list(_unfinished(results))
    sampled = list(unscored(results)) if samples else []
    if not records and not unfinished and not sampled:
        raise NothingToDo(f"{results}: no runs; `bench run` makes them")
    paths = [*records, *(path for folder in unfinished for path in _resumed_from(folder))]
    if artifacts:
        paths += [path for record in records for path in _kept(record.with_suffix(""))]
    paths += [path for folder in sampled for path in _scored_from(folder) if path not in paths]
    try:
        with atomic_path(output) as partial, tarfile.open(partial, "w:gz", compresslevel=6) as tar:
            for path in paths:
                _add(tar, path, path.relative_to(results).as_posix())
    except OSError as error:
        raise ResultsError(f"{output}: cannot be written ({error.strerror})") from None
    return Packed(len(records), len(unfinished), len(sampled))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """A file as it is now, without its owner and times; one that is gone meanwhile is left out."""
    with contextlib.suppress(FileNotFoundError):
        add_bytes(tar, name, path.read_bytes())


def _unfinished(results: Path) -> Iterator[Path]:
    """Folders of runs that have a checkpoint and no result."""
    for checkpoint in sorted((results / "runs").glob(f"*/*/*/seed*/{TRAINING / CHECKPOINT}")):
        folder = checkpoint.parents[len(TRAINING.parts)]
        if not _is_done(folder.with_suffix(".json")):
            yield folder


def unscored(results: Path) -> Iterator[Path]:
    """Folders of runs whose samples wait to be scored, for want of time or of the metric networks' weights."""
    for report in sorted((results / "runs").glob(f"*/*/*/seed*/{SAMPLED}")):
        folder = report.parents[len(SAMPLED.parts) - 1]
        record = _readable(folder.with_suffix(".json"))
        is_scored = record is not None and record.status == "ok" and not record.not_measured
        if not is_scored and (folder / EVALUATION / SAMPLES).exists():
            yield folder


def _scored_from(folder: Path) -> list[Path]:
    return [*(path for name in SCORED_FROM if (path := folder / name).exists()), *_progress(folder)]


def _is_done(path: Path) -> bool:
    record = _readable(path)
    return record is not None and record.status == "ok"


def _readable(path: Path) -> Record | None:
    with contextlib.suppress(ResultsError):
        return read_record(path)
    return None


def _resumed_from(folder: Path) -> list[Path]:
    return [*(folder / name for name in RESUMED_FROM), *_progress(folder)]


def _progress(folder: Path) -> list[Path]:
    return sorted((folder / TRAINING / PROGRESS_FOLDER).glob("*.png"))


def _kept(folder: Path) -> list[Path]:
    """What lies beside a record, without what its processes leave for one another."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.relative_to(folder).parts[0] != WORK
    ]


def unpack(archive: Path, results: Path) -> Arrived:
    """Add what is in ``archive`` to a results folder; nothing that is here is replaced but a failed run's record.

    Raises:
        ResultsError: If the archive cannot be read, or the folder cannot be written.
    """
    arrived = Arrived()
    try:
        with tarfile.open(archive, "r:gz") as tar:
            runs = _by_run(tar, arrived)
            for run, members in runs.items():
                _unpack_run(tar, results / run, members, arrived)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ResultsError(f"{archive}: not a whole archive of `bench pack` ({error})") from None
    except OSError as error:
        raise ResultsError(f"{error.filename or archive}: {error.strerror or error}") from None
    return arrived


def _by_run(tar: tarfile.TarFile, arrived: Arrived) -> dict[str, dict[str, tarfile.TarInfo]]:
    """Run -> what is in the archive of it, by the rest of the name; anything else is refused."""
    runs: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in tar:
        match = RUN.fullmatch(member.name)
        if match is None or not member.isreg() or not _is_expected(match["rest"]):
            arrived.refused.append(f"{member.name}: nothing that a run leaves; left out")
            continue
        if member.size > LARGEST_BYTES:
            arrived.refused.append(f"{member.name}: {member.size:,} bytes, at most {LARGEST_BYTES:,}; left out")
            continue
        runs.setdefault(match["run"], {})[match["rest"]] = member
    return runs


def _is_expected(rest: str) -> bool:
    """Whether a file belongs there: a record, what training goes on from, or an artifact."""
    path = PurePosixPath(rest.removeprefix("/"))
    if rest == ".json":
        return True
    if ".." in path.parts or rest != f"/{path}":
        return False
    is_progress = path.parent == TRAINING / PROGRESS_FOLDER and path.suffix == ".png"
    return path.parts[0] != WORK or path in (*RESUMED_FROM, *SCORED_FROM) or is_progress


def _unpack_run(tar: tarfile.TarFile, folder: Path, members: dict[str, tarfile.TarInfo], arrived: Arrived) -> None:
    lock = folder.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            came = ".json" in members and _unpack_record(tar, folder, members.pop(".json"), arrived)
            _unpack_files(tar, folder, members, arrived, with_artifacts=came)
    except Timeout:
        arrived.refused.append(f"{folder}: is running here; left as it is")


def _unpack_record(tar: tarfile.TarFile, folder: Path, member: tarfile.TarInfo, arrived: Arrived) -> bool:
    """Whether the record here is now that of the archive."""
    content, path = _content(tar, member), folder.with_suffix(".json")
    try:
        record = parse_record(content.decode("utf-8", "replace"), member.name)
    except ResultsError as error:
        arrived.refused.append(str(error))
        return False
    own = record_name(record.identity, record.protocol)
    if own != member.name:
        arrived.refused.append(f"{member.name}: is the record of {own}; left out")
        return False
    here = _readable(path)
    if here is not None and here.checksum == record.checksum:
        arrived.known += 1
        return True
    if here is not None and (here.status == "ok" or record.status != "ok"):
        arrived.refused.append(f"{path}: there is another record of this run; it stays")
        return False
    if path.exists():
        suffix = ".unusable" if here is None else f".attempt{here.timing.attempt}.json"
        path.replace(path.with_suffix(suffix))
    mark_unpacked(path, record.checksum, Path(str(tar.name)).name)
    write_bytes(path, content)
    arrived.records += 1
    return True


def _unpack_files(
    tar: tarfile.TarFile,
    folder: Path,
    members: dict[str, tarfile.TarInfo],
    arrived: Arrived,
    *,
    with_artifacts: bool,
) -> None:
    """Of a finished run its artifacts; of one that lacks something what it goes on from, unless that is here."""
    work = {rest: member for rest, member in members.items() if rest.startswith(f"/{WORK}/")}
    record = _readable(folder.with_suffix(".json"))
    done = record is not None and record.status == "ok"
    if work and (record is None or not done or record.not_measured):
        if any((folder / name).exists() for name in (TRAINING / CHECKPOINT, SAMPLED)):
            arrived.refused.append(f"{folder}: was begun here too; what is here stays")
        else:
            arrived.unfinished += 1
            mark_unpacked(folder.with_suffix(".json"), ANY, Path(str(tar.name)).name)
            for rest, member in work.items():
                write_bytes(folder / rest[1:], _content(tar, member))
    if done and with_artifacts:
        for rest in members.keys() - work.keys():
            if not (folder / rest[1:]).exists():
                arrived.files += 1
                write_bytes(folder / rest[1:], _content(tar, members[rest]))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # only regular files came so far
    return file.read()


def unpack_command(archives: list[Path], results: Path) -> ExitCode:
    """Unpack each, and say what came; 2 if something was left out."""
    left_out = False
    for archive in archives:
        arrived = unpack(archive, results)
        print(
            f"{archive.name}: {arrived.records} records, {arrived.unfinished} unfinished runs and {arrived.files} "
            f"other files came; {arrived.known} records were here already"
        )
        for line in arrived.refused:
            print(f"✗ {line}")
        left_out = left_out or bool(arrived.refused)
    return ExitCode.USAGE if left_out else ExitCode.OK
