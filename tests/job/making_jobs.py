"""Job specifications for tests that run a phase within the test process."""

from pathlib import Path
from typing import Any

from bench.contract.jobs.spec import JobData, JobSpec
from bench.contract.tracks import load_tracks, protocol_of
from bench.data import store
from bench.data.arrays import write_array
from tests.making import write_generator, write_generator_track, write_submission, write_track


def make_spec(
    folder: Path, name: str = "tiny_net", changes: dict[str, str] | None = None, **fields: Any
) -> JobSpec:
    """Return a job of the tiny track on drawn images; ``fields`` replace fields of the specification."""
    track = load_tracks(write_track(folder))["tiny"]
    train, test = (store.load("shapes4x16", part, folder) for part in ("train", "test"))
    work = folder / f"work-{name}"
    work.mkdir()
    spec = JobSpec(
        submission=name,
        folder=write_submission(folder, name, changes),
        variant="base",
        overrides={},
        seed=0,
        protocol=protocol_of(track, "official", "shapes4x16"),
        steps=track.profiles["official"].steps,
        data=JobData(
            name="shapes4x16",
            root=folder,
            train_images=write_array(train.images, folder / "parts", "train-images"),
            train_labels=write_array(train.labels, folder / "parts", "train-labels"),
            evaluation_images=write_array(test.images, folder / "parts", "test-images"),
            image_shape=(3, 16, 16),
            num_classes=4,
            channel_mean=(0.5, 0.5, 0.5),
            channel_std=(0.25, 0.25, 0.25),
        ),
        as_published=None,
        device="cpu",
        threads=1,
        work=work,
        speed_seconds=0.0,
    )
    return spec.model_copy(update=fields)


def make_generator_spec(folder: Path, changes: dict[str, str] | None = None, **fields: Any) -> JobSpec:
    """Return a job of the tiny generator, with 40 samples."""
    track = load_tracks(write_generator_track(folder))["tiny-generation"]
    spec = make_spec(folder)
    return spec.model_copy(
        update={
            "folder": write_generator(folder, "generator", changes),
            "protocol": protocol_of(track, "official", "shapes4x16"),
            **fields,
        }
    )
