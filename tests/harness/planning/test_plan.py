"""Which data set is used where the real one is absent, real images beside samples, the estimate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.contract.jobs.files import SPEC
from bench.contract.jobs.reports import GpuLoad, Verification
from bench.contract.jobs.spec import Execution
from bench.contract.manifest import REAL_IMAGES
from bench.contract.records.record import Throughput
from bench.contract.tracks import load_tracks
from bench.data import cifar100
from bench.errors import DataError, UsageError
from bench.files import write_bytes
from bench.harness.config import RunConfig
from bench.harness.planning.datasets import DatasetResolver, choose_data
from bench.harness.planning.devices import choose_device, choose_jobs, runs_that_fit, usable_cores
from bench.harness.planning.plan import Plan, State
from bench.harness.planning.planner import make_plan
from bench.harness.submissions.discovery import discover
from tests.making import write_generator, write_generator_track


def test_only_smoke_falls_back_to_drawn_images(tmp_path: Path) -> None:
    track = load_tracks()["addnist-classification"]
    assert choose_data(track, "smoke", tmp_path, embedded=False) == "shapes20x28"
    with pytest.raises(DataError, match="data set addnist is not in"):
        choose_data(track, "official", tmp_path, embedded=False)
    assert choose_data(track, "official", tmp_path, embedded=True) == "shapes20x28"
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (folder / f"{split}-{kind}-ubyte").touch()
    assert choose_data(track, "official", tmp_path, embedded=False) == "addnist-style"
    (tmp_path / "addnist").mkdir()
    for split in ("train", "valid", "test"):
        for kind in "xy":
            (tmp_path / "addnist" / f"{split}_{kind}.npy").touch()
    assert choose_data(track, "smoke", tmp_path, embedded=False) == "addnist"


def test_devices_and_jobs() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="--device 'tpu'"):
        choose_device("tpu")
    cores = usable_cores()
    assert choose_jobs(None, "cpu", 100) == (cores, 1)  # a thread each
    assert choose_jobs(None, "cpu", 1) == (1, cores)
    assert choose_jobs(None, "cuda", 100) == (cores, 1)  # until it is known how many the GPU bears
    assert choose_jobs(1, "cuda", 100) == (1, cores)  # for what is left to the CPU


def test_a_gpu_bears_as_many_runs_as_leave_it_no_pause() -> None:
    gib = 2**30
    light, heavy = GpuLoad(busy=0.25, memory_bytes=gib), GpuLoad(busy=0.9, memory_bytes=3 * gib)
    assert runs_that_fit([light], 80 * gib) == 4
    assert runs_that_fit([light, light], 80 * gib) == 4
    assert runs_that_fit([heavy], 80 * gib) == 2  # the pauses of one are filled by the other
    assert runs_that_fit([GpuLoad(busy=1.0, memory_bytes=gib)], 80 * gib) == 1
    assert runs_that_fit([light, heavy], 80 * gib) == 2
    assert runs_that_fit([light], 5 * gib) == 2  # by its memory, less a tenth and each process's context
    assert runs_that_fit([light], gib) == 1
    assert runs_that_fit([], 80 * gib) is None


def generators(folder: Path, results: Path) -> Plan:
    tracks = load_tracks(write_generator_track(folder))
    found, _ = discover([write_generator(folder, name) for name in ("one", "another")], tracks)
    config = RunConfig(profile="quick", seeds="2", device="cpu", results=results, data_root=folder, jobs=1)
    return make_plan(found, config)


def test_real_images_are_scored_once_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.harness.planning.planner.missing", lambda *wanted: None)
    plan = generators(tmp_path, tmp_path / "results")
    assert plan.problems == [] and len(plan.jobs(State.TO_DO)) == 4 and plan.notices == []
    (real_images,) = plan.real_images
    assert (
        real_images.identity.submission == REAL_IMAGES and real_images.entry.protocol == plan.entries[0].protocol
    )
    assert real_images.path.parent.parts[-3:] == ("tiny-generation", REAL_IMAGES, "base")
    assert real_images not in plan.jobs()


def test_without_weights_that_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.harness.planning.planner.missing", lambda *wanted: "no weights here")
    plan = generators(tmp_path, tmp_path / "results")
    assert plan.real_images == [] and plan.notices == ["some metrics of samples will be null: no weights here"]


def test_the_estimate_has_training_sampling_and_scoring(tmp_path: Path) -> None:
    plan = generators(tmp_path, tmp_path / "results")
    assert plan.estimate_seconds() is None
    rates = [
        Throughput(
            median_per_s=speed, iqr_per_s=0.0, blocks=1, calls_per_block=1, items_per_call=1, dtype="float32"
        )
        for speed in (2.0, 10.0)
    ]
    for entry in plan.entries:
        entry.verification = Verification(
            config={},
            cost=None,
            problems=[],
            environment={},
            training_steps_per_s=rates[0],
            inference_images_per_s=rates[1],
        )
    # Twelve steps at two a second, forty samples at ten, a fifth of a second each to score them, and the start.
    assert plan.estimate_seconds() == pytest.approx(4 * (6 + 4 + 8 + 10))


def test_a_run_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    plan = generators(tmp_path, tmp_path / "results")
    job = plan.jobs()[0]
    assert job.execution(plan.config) == Execution()
    job.entry.verification = Verification(
        config={}, cost=None, problems=[], environment={}, execution=Execution(compiled=True)
    )
    assert job.execution(plan.config) == Execution(compiled=True)
    begun = job.spec(plan.config).model_copy(update={"execution": Execution(precision="bf16")})
    write_bytes(begun.work / "train" / SPEC, begun.model_dump_json().encode())
    # Not compiled, as it was begun; the precision is the identity's, whatever the file says.
    assert job.execution(plan.config) == Execution()


def test_precision_is_part_of_a_run_and_compiling_is_not(tmp_path: Path) -> None:
    plan = generators(tmp_path, tmp_path / "results")
    rounded = make_plan([entry.source for entry in plan.entries], replace(plan.config, precision="bf16"))
    compiled = make_plan([entry.source for entry in plan.entries], replace(plan.config, compile="on"))
    paths = [[job.path for job in one.jobs()] for one in (plan, rounded, compiled)]
    assert paths[0] == paths[2]
    assert not set(paths[0]) & set(paths[1])


def test_near_duplicates_are_known_where_their_list_lies(
    tmp_path: Path, real_data: Path, near_duplicates_root: Path
) -> None:
    track = load_tracks()["cifar100-classification"]
    official, quick = track.profile("official"), track.profile("quick")
    assert DatasetResolver(real_data).resolve(track, official, "cifar100").near_duplicates is None
    (tmp_path / cifar100.FOLDER).symlink_to(real_data / cifar100.FOLDER)
    (tmp_path / "cifair").symlink_to(near_duplicates_root / "cifair")
    sets = DatasetResolver(tmp_path)
    marked = sets.resolve(track, official, "cifar100").near_duplicates
    assert marked is not None and marked.sum() == 891
    assert sets.resolve(track, quick, "cifar100").near_duplicates is None  # of test images only
    some = sets.resolve(
        track, official.model_copy(update={"evaluation_images": 1_000}), "cifar100"
    ).near_duplicates
    assert some is not None and np.array_equal(some, marked[::10])


def test_a_profile_may_have_data_of_its_own(tmp_path: Path) -> None:
    tracks, sets = load_tracks(), DatasetResolver(tmp_path)
    for name in ("cifar100-classification", "addnist-classification"):
        data = choose_data(tracks[name], "demo", tmp_path, embedded=False)
        assert data == "shapes10x16"
        # The same images stand for other ones in each track.
        used = sets.resolve(tracks[name], tracks[name].profile("demo"), data).used
        assert used.stand_in_for == tracks[name].data
