"""Artifacts of a run beside its record: weights, log, sheets of images, and samples during training."""

import contextlib
import shutil
from pathlib import Path

import numpy as np

from bench.contract.jobs.files import CHECKPOINT, PICTURES, PROGRESS_FOLDER, WEIGHTS
from bench.errors import RunFailed
from bench.harness.executors.local import LOG
from bench.harness.planning.plan import Job
from bench.harness.results.evaluation import load_array
from bench.pictures import save_sheet


def copy_artifacts(job: Job, work: Path) -> None:
    """Copy artifacts out of the work folder, not move them: a crash before the record must lose nothing."""
    for path in (work / "train" / WEIGHTS, work / LOG):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path, job.folder / path.name)
    for picture in PICTURES:
        for path in (work / phase / picture.array for phase in ("evaluate", "score")):
            if not path.exists():
                continue
            images = load_array(path)
            if images.shape[1:] != job.entry.dataset.used.image_shape or images.dtype != np.uint8:
                raise RunFailed(
                    f"{picture.array}: found {images.shape} {images.dtype}, not uint8 in the data set's shape"
                )
            save_sheet(images, job.folder / picture.png, picture.columns)
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(work / "train" / PROGRESS_FOLDER, job.folder / PROGRESS_FOLDER, dirs_exist_ok=True)
    (work / "train" / CHECKPOINT).unlink(missing_ok=True)
