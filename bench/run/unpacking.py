"""``bench unpack``: what another machine packed, added to a results folder.

It was made elsewhere, so nothing is taken on trust that a local run would not have to show. The archive is read to
its end before anything is written, so that a flipped bit is found out; only files come in that a run leaves, each
of a size that a run could leave; records have to be whole and to lie where their run belongs, weights to be those
that their record was made with, and pictures to be some.
"""

import gzip
import re
import shutil
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from bench.contract.jobs import CHECKPOINT, WEIGHTS, WORK
from bench.contract.origins import ANY, mark_unpacked
from bench.contract.records import LONGEST, Record, parse_record, record_name
from bench.errors import ExitCode, ResultsError
from bench.files import atomic_path, hash_file, write_bytes
from bench.locks import InUse, locked
from bench.pictures import why_no_picture
from bench.run.carry import SAMPLED, TRAINING, is_artifact, is_work, readable
from bench.text import one_line

RUN = re.compile(r"(?P<run>runs/(?:[a-z0-9][a-z0-9_.-]{0,99}/){3}seed\d{1,18}-[0-9a-f]{8})(?P<rest>\.json|/.+)")
LARGEST_BYTES = 2**30  # of a file: a compressed archive could hold anything
LARGEST_PICTURE = 2**25
SWOLLEN = 100  # times its own size that an archive may hold
SMALL_BYTES = 2**28  # that any may hold
CHUNK = 2**20


@dataclass
class Arrived:
    """What ``unpack`` did."""

    records: int = 0
    unfinished: int = 0
    files: int = 0  # weights, pictures and logs
    known: int = 0  # records that were here already
    refused: list[str] = field(default_factory=list)  # a line each


def unpack(archive: Path, results: Path) -> Arrived:
    """Add what is in ``archive`` to a results folder; nothing that is here is replaced but a failed run's record.

    Raises:
        ResultsError: If the archive is damaged or none, or the folder cannot be written.
    """
    _read_to_its_end(archive)
    arrived = Arrived()
    try:
        with tarfile.open(archive, "r:gz") as tar:
            runs = _by_run(tar, arrived)
            _refuse_a_rest(tar, archive)
            for run, members in runs.items():
                _unpack_run(tar, results / run, members, arrived)
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise ResultsError(
            f"{archive}: not a whole archive of `bench pack` ({one_line(str(error), 200)})"
        ) from None
    except OSError as error:
        raise ResultsError(f"{error.filename or archive}: {error.strerror or error}") from None
    return arrived


def _read_to_its_end(archive: Path) -> None:
    """Fail unless all of the archive can be read and its checksum is right: that stands at its end."""
    read = 0
    try:
        most = max(SMALL_BYTES, SWOLLEN * archive.stat().st_size)
        with gzip.open(archive) as stream:
            while chunk := stream.read(CHUNK):
                read += len(chunk)
                if read > most:
                    raise ResultsError(
                        f"{archive}: holds over {SWOLLEN} times its own size; no archive of `bench pack` does"
                    )
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ResultsError(
            f"{archive}: damaged, or not an archive of `bench pack` ({error}); nothing came"
        ) from None
    except OSError as error:
        raise ResultsError(f"{archive}: cannot be read ({error.strerror})") from None


def _by_run(tar: tarfile.TarFile, arrived: Arrived) -> dict[str, dict[str, tarfile.TarInfo]]:
    """Run -> what is in the archive of it, by the rest of the name; anything else is refused."""
    runs: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in tar:
        match = RUN.fullmatch(member.name)
        if match is None or not member.isreg() or member.issparse() or not _is_expected(match["rest"]):
            arrived.refused.append(f"{one_line(member.name, 200)}: nothing that a run leaves; left out")
            continue
        allowed = _allowed(match["rest"])
        if member.size > allowed:
            arrived.refused.append(f"{member.name}: {member.size:,} bytes, at most {allowed:,}; left out")
            continue
        runs.setdefault(match["run"], {})[match["rest"]] = member
    return runs


def _refuse_a_rest(tar: tarfile.TarFile, archive: Path) -> None:
    """Fail if anything follows what was read as the last file: then that was the last before a damaged place."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    while chunk := tar.fileobj.read(CHUNK):
        if chunk.strip(b"\0"):
            raise ResultsError(f"{archive}: damaged after byte {tar.offset:,} of its content; nothing came")


def _is_expected(rest: str) -> bool:
    name = rest.removeprefix("/")
    return rest == ".json" or is_artifact(name) or is_work(name)


def _allowed(rest: str) -> int:
    return LONGEST if rest == ".json" else LARGEST_PICTURE if rest.endswith(".png") else LARGEST_BYTES


def _unpack_run(tar: tarfile.TarFile, folder: Path, members: dict[str, tarfile.TarInfo], arrived: Arrived) -> None:
    try:
        with locked(folder.with_suffix(".lock"), seconds=0):
            came = ".json" in members and _unpack_record(tar, folder, members.pop(".json"), arrived)
            _unpack_files(tar, folder, members, arrived, with_artifacts=came)
    except InUse:
        arrived.refused.append(f"{folder}: is running here; left as it is")


def _unpack_record(tar: tarfile.TarFile, folder: Path, member: tarfile.TarInfo, arrived: Arrived) -> bool:
    """Whether the record here is now that of the archive."""
    file, path = tar.extractfile(member), folder.with_suffix(".json")
    assert file is not None  # only regular files came so far
    content = file.read()
    try:
        record = parse_record(content.decode("utf-8", "replace"), member.name)
    except ResultsError as error:
        arrived.refused.append(str(error))
        return False
    own = record_name(record.identity, record.protocol)
    if own != member.name:
        arrived.refused.append(f"{member.name}: is the record of {own}; left out")
        return False
    here = readable(path)
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
    record = readable(folder.with_suffix(".json"))
    done = record is not None and record.status == "ok"
    if work and (record is None or not done or record.not_measured):
        if any((folder / name).exists() for name in (TRAINING / CHECKPOINT, SAMPLED)):
            arrived.refused.append(f"{folder}: was begun here too; what is here stays")
        else:
            arrived.unfinished += 1
            mark_unpacked(folder.with_suffix(".json"), ANY, Path(str(tar.name)).name)
            for rest, member in work.items():
                _write_file(tar, member, folder / rest[1:], None, arrived)
    if done and with_artifacts:
        for rest in sorted(members.keys() - work.keys()):
            if not (folder / rest[1:]).exists():
                arrived.files += _write_file(tar, members[rest], folder / rest[1:], record, arrived)


def _write_file(
    tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, record: Record | None, arrived: Arrived
) -> bool:
    """Write a file, unless it is not what its record or its name says; whether it was."""
    try:
        with atomic_path(target) as partial:
            source = tar.extractfile(member)
            assert source is not None
            with partial.open("wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
            _refuse_another(partial, target.name, record)
    except ValueError as error:
        arrived.refused.append(f"{member.name}: {error}; left out")
        return False
    return True


def _refuse_another(path: Path, name: str, record: Record | None) -> None:
    why = why_no_picture(path) if name.endswith(".png") else None
    if why is not None:
        raise ValueError(why)
    trained = record.training if record is not None else None
    if name == WEIGHTS and trained is not None and hash_file(path) != trained.weights_sha256:
        raise ValueError("not the weights that its record was made with")


def unpack_command(archives: list[Path], results: Path) -> ExitCode:
    """Unpack each, and say what came; 2 if something was left out, or an archive is damaged."""
    left_out = False
    for archive in archives:
        try:
            arrived = unpack(archive, results)
        except ResultsError as error:
            if len(archives) == 1:
                raise
            print(f"✗ {error}")
            left_out = True
            continue
        print(
            f"{archive.name}: {arrived.records} records, {arrived.unfinished} unfinished runs and {arrived.files} "
            f"other files came; {arrived.known} records were here already"
        )
        for line in arrived.refused:
            print(f"✗ {line}")
        left_out = left_out or bool(arrived.refused)
    return ExitCode.USAGE if left_out else ExitCode.OK
