"""``bench pack``: an archive of records and unfinished runs, to be unpacked on another machine.

For an unfinished run, the archive holds its training checkpoint, which is read without executing code from it. The
other machine finishes and evaluates the run, and writes its record. Samples are packed on request; their record
then says that they were drawn on one machine and scored on another.
"""

import contextlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bench.contract.jobs.files import (
    AS_PUBLISHED_SAMPLES,
    CHECKPOINT,
    PICTURES,
    PROGRESS_FOLDER,
    REPORT,
    RUN_CONTEXT,
    SAMPLES,
    SPEC,
    WEIGHTS,
    WORK,
)
from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from bench.errors import NothingToDo, ResultsError
from bench.files import atomic_path
from bench.harness.executors.local import LOG, LOG_BYTES
from bench.harness.executors.remote.staging import add_bytes

TRAINING, EVALUATION = PurePosixPath(WORK, "train"), PurePosixPath(WORK, "evaluate")
RESUME_FILES = (TRAINING / SPEC, TRAINING / CHECKPOINT)
# The files from which ``bench score`` scores a generator's samples and writes its record.
SAMPLED = EVALUATION / REPORT["evaluate"]
SCORING_FILES = (
    PurePosixPath(WORK, RUN_CONTEXT),
    *(TRAINING / name for name in (SPEC, REPORT["train"], WEIGHTS)),
    SAMPLED,
    *(EVALUATION / name for name in (SPEC, SAMPLES, AS_PUBLISHED_SAMPLES)),
    *(EVALUATION / picture.array for picture in PICTURES),
)
# Files in a record's folder after its run.
ARTIFACTS = (LOG, WEIGHTS, *(picture.png for picture in PICTURES))
PROGRESS = re.compile(rf"{PROGRESS_FOLDER}/step-\d{{1,12}}\.png")


class PackReport(NamedTuple):
    """The counts of runs that ``pack`` put into an archive."""

    records: int
    unfinished: int
    sampled: int  # runs with samples that are not scored yet


def pack(results: Path, output: Path, *, artifacts: bool = False, samples: bool = False) -> PackReport:
    """Write a ``.tar.gz`` of all records, and of the files from which unfinished runs resume.

    Args:
        results: The results folder.
        output: The file to write; an existing file is replaced.
        artifacts: Also pack weights, pictures and logs.
        samples: Also pack samples that are not scored yet: 30 MB per 10,000 images of 3 × 32 × 32.

    Raises:
        NothingToDo: If there are no runs.
        ResultsError: If the file cannot be written.
    """
    records = list(record_paths(results))
    unfinished = list(_unfinished(results))
    sampled = list(unscored(results)) if samples else []
    if not records and not unfinished and not sampled:
        raise NothingToDo(f"{results}: no runs; `bench run` makes them")
    paths = [*records, *(path for folder in unfinished for path in _resume_files(folder))]
    if artifacts:
        paths += [path for record in records for path in _artifacts(record.with_suffix(""))]
    paths += [path for folder in sampled for path in _scoring_files(folder) if path not in paths]
    try:
        with atomic_path(output) as partial, tarfile.open(partial, "w:gz", compresslevel=6) as tar:
            for path in paths:
                _add(tar, path, path.relative_to(results).as_posix())
    except OSError as error:
        raise ResultsError(f"{output}: cannot be written ({error.strerror})") from None
    return PackReport(len(records), len(unfinished), len(sampled))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file without owner and times; of a log, only its end. Skip a file that no longer exists."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if path.name == LOG:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        add_bytes(tar, name, file.read())


def _unfinished(results: Path) -> Iterator[Path]:
    """Yield the folders of runs that have a checkpoint but no finished record."""
    for checkpoint in sorted((results / "runs").glob(f"*/*/*/seed*/{TRAINING / CHECKPOINT}")):
        folder = checkpoint.parents[len(TRAINING.parts)]
        if not _is_finished(folder.with_suffix(".json")):
            yield folder


def unscored(results: Path) -> Iterator[Path]:
    """Yield the folders of runs with unscored samples: interrupted, or without weights of a metric network."""
    for report in sorted((results / "runs").glob(f"*/*/*/seed*/{SAMPLED}")):
        folder = report.parents[len(SAMPLED.parts) - 1]
        record = try_read_record(folder.with_suffix(".json"))
        is_scored = record is not None and record.status == "ok" and not record.not_measured
        if not is_scored and (folder / EVALUATION / SAMPLES).exists():
            yield folder


def _scoring_files(folder: Path) -> list[Path]:
    return [*(path for name in SCORING_FILES if (path := folder / name).exists()), *_progress(folder)]


def _is_finished(path: Path) -> bool:
    record = try_read_record(path)
    return record is not None and record.status == "ok"


def try_read_record(path: Path) -> Record | None:
    """Read the record at ``path``; return None if it is missing or cannot be read."""
    with contextlib.suppress(ResultsError):
        return read_record(path)
    return None


def _resume_files(folder: Path) -> list[Path]:
    return [*(folder / name for name in RESUME_FILES), *_progress(folder)]


def _progress(folder: Path) -> list[Path]:
    return sorted((folder / TRAINING / PROGRESS_FOLDER).glob("*.png"))


def _artifacts(folder: Path) -> list[Path]:
    """List the artifacts in a record's folder, without the files of its work folder."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and is_artifact(path.relative_to(folder).as_posix())
    ]


def is_artifact(name: str) -> bool:
    """Return whether ``name``, a path with slashes below a record's folder, is an artifact of a run."""
    return name in ARTIFACTS or PROGRESS.fullmatch(name) is not None


def is_work(name: str) -> bool:
    """Return whether ``name`` is a file of a work folder from which a run resumes or its samples are scored."""
    path = PurePosixPath(name)
    in_training = path.relative_to(TRAINING).as_posix() if path.is_relative_to(TRAINING) else ""
    known = path in (*RESUME_FILES, *SCORING_FILES) or PROGRESS.fullmatch(in_training) is not None
    return known and name == str(path)
