"""The part of a job's data that each phase gets: submission code does not learn where the data sets' files are."""

import os
from pathlib import Path
from typing import get_args

import pytest

from bench.contract.datasets import DataSource
from bench.contract.jobs.files import Phase
from bench.contract.jobs.spec import ArrayFile, JobData
from bench.harness.executors.local import SANDBOXED, _phase_data

ARRAY = ArrayFile(path=Path("part.npy"), sha256="0" * 64)
DATA = JobData(
    name="mine",
    root=Path("/data"),
    source=DataSource(
        name="mine", format="npz", path="a.npz", test_path="hidden.npz", channels=1, size=8, classes=2
    ),
    train_images=ARRAY,
    train_labels=ARRAY,
    evaluation_images=ARRAY,
    image_shape=(1, 8, 8),
    num_classes=2,
    channel_mean=(0.5,),
    channel_std=(0.25,),
)


@pytest.mark.parametrize("phase", get_args(Phase))
def test_paths_of_data_sets_are_hidden_from_submission_code(phase: Phase) -> None:
    data = _phase_data(DATA, phase)
    if phase in SANDBOXED:
        assert "hidden.npz" not in data.model_dump_json() and data.root == Path(os.devnull)
    else:
        assert (data.source, data.root) == (DATA.source, DATA.root)


def test_training_gets_no_evaluation_images_and_evaluation_no_training_set() -> None:
    assert _phase_data(DATA, "train").evaluation_images is None
    evaluation = _phase_data(DATA, "evaluate")
    assert evaluation.train_images is None and evaluation.train_labels is None
