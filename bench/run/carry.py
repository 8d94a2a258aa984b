"""``bench pack``: records, and what unfinished runs go on from, for another machine.

Of an unfinished run its training travels (a checkpoint is read without executing anything in it), so that it is
evaluated on the machine that writes its record. Samples travel if that is wanted, and their record says that they
were drawn on one machine and scored on another.
"""

import contextlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

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
from bench.contract.records import Record, read_record, record_paths
from bench.errors import NothingToDo, ResultsError
from bench.files import atomic_path
from bench.run.executors.bundle import add_bytes
from bench.run.executors.local import LOG, LOG_BYTES

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
# What lies beside a record once its run is over.
ARTIFACTS = (LOG, WEIGHTS, *(picture.png for picture in PICTURES))
PROGRESS = re.compile(rf"{PROGRESS_FOLDER}/step-\d{{1,12}}\.png")


class Packed(NamedTuple):
    """What ``pack`` put into an archive."""

    records: int
    unfinished: int
    sampled: int  # runs whose samples are not scored yet


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
    """A file as it is now, without its owner and times, of a log its end; one that is gone now is left out."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if path.name == LOG:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        add_bytes(tar, name, file.read())


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
        record = readable(folder.with_suffix(".json"))
        is_scored = record is not None and record.status == "ok" and not record.not_measured
        if not is_scored and (folder / EVALUATION / SAMPLES).exists():
            yield folder


def _scored_from(folder: Path) -> list[Path]:
    return [*(path for name in SCORED_FROM if (path := folder / name).exists()), *_progress(folder)]


def _is_done(path: Path) -> bool:
    record = readable(path)
    return record is not None and record.status == "ok"


def readable(path: Path) -> Record | None:
    """The record at ``path``; None if there is none, or it cannot be read."""
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
        if path.is_file() and not path.is_symlink() and is_artifact(path.relative_to(folder).as_posix())
    ]


def is_artifact(name: str) -> bool:
    """Whether a run leaves a file of this name, with slashes, beside its record."""
    return name in ARTIFACTS or PROGRESS.fullmatch(name) is not None


def is_work(name: str) -> bool:
    """Whether it is a file in a run's work folder that the run could go on from."""
    path = PurePosixPath(name)
    in_training = path.relative_to(TRAINING).as_posix() if path.is_relative_to(TRAINING) else ""
    known = path in (*RESUMED_FROM, *SCORED_FROM) or PROGRESS.fullmatch(in_training) is not None
    return known and name == str(path)
