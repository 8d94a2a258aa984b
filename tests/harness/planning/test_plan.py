"""Planning: data sets and fallbacks, devices and parallel runs, real images, estimates, execution settings."""

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
from bench.harness.execution_state import ExecutionState
from bench.harness.planning.datasets import DatasetResolver, choose_data
from bench.harness.planning.devices import choose_device, choose_jobs, runs_that_fit, usable_cores
from bench.harness.planning.plan import Plan, Planned
from bench.harness.planning.planner import make_plan
from bench.harness.submissions.discovery import discover
from tests.making import write_generator, write_generator_track


def test_only_smoke_falls_back_to_synthetic_images(tmp_path: Path) -> None:
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


def test_device_jobs_and_threads_are_chosen() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="--device 'tpu'"):
        choose_device("tpu")
    cores = usable_cores()
    assert choose_jobs(None, "cpu", 100) == (cores, 1)  # one thread each
    assert choose_jobs(None, "cpu", 1) == (1, cores)
    assert choose_jobs(None, "cuda", 100) == (cores, 1)  # until the GPU's load is measured
    assert choose_jobs(1, "cuda", 100) == (1, cores)  # all cores for the CPU part of one run


def test_runs_that_fit_on_a_gpu_follow_load_and_memory() -> None:
    gib = 2**30
    light, heavy = GpuLoad(busy=0.25, memory_bytes=gib), GpuLoad(busy=0.9, memory_bytes=3 * gib)
    assert runs_that_fit([light], 80 * gib) == 4
    assert runs_that_fit([light, light], 80 * gib) == 4
    assert runs_that_fit([heavy], 80 * gib) == 2  # the second run uses the first one's idle time
    assert runs_that_fit([GpuLoad(busy=1.0, memory_bytes=gib)], 80 * gib) == 1
    assert runs_that_fit([light, heavy], 80 * gib) == 2
    assert runs_that_fit([light], 5 * gib) == 2  # limited by memory: 90 % of it, less one CUDA context per process
    assert runs_that_fit([light], gib) == 1
    assert runs_that_fit([], 80 * gib) is None


def generators(folder: Path, results: Path) -> Plan:
    tracks = load_tracks(write_generator_track(folder))
    sources, _ = discover([write_generator(folder, name) for name in ("one", "another")], tracks)
    config = RunConfig(profile="quick", seeds="2", device="cpu", results=results, data_root=folder, jobs=1)
    return make_plan(sources, config)


def test_real_images_are_scored_once_per_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.harness.planning.planner.missing", lambda *wanted: None)
    plan = generators(tmp_path, tmp_path / "results")
    assert plan.problems == [] and len(plan.in_state(Planned.TO_DO)) == 4 and plan.notices == []
    (real_images,) = plan.real_images
    assert (
        real_images.identity.submission == REAL_IMAGES and real_images.entry.protocol == plan.entries[0].protocol
    )
    assert real_images.path.parent.parts[-3:] == ("tiny-generation", REAL_IMAGES, "base")
    assert real_images not in plan.jobs


def test_missing_weights_are_reported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.harness.planning.planner.missing", lambda *wanted: "no weights here")
    plan = generators(tmp_path, tmp_path / "results")
    assert plan.real_images == [] and plan.notices == ["some metrics of samples will be null: no weights here"]


def test_estimate_sums_training_sampling_and_scoring(tmp_path: Path) -> None:
    plan = generators(tmp_path, tmp_path / "results")
    state = ExecutionState(plan)
    assert state.estimate_seconds() is None
    rates = [
        Throughput(
            median_per_s=speed, iqr_per_s=0.0, blocks=1, calls_per_block=1, items_per_call=1, dtype="float32"
        )
        for speed in (2.0, 10.0)
    ]
    for entry in plan.entries:
        state.verifications[entry] = Verification(
            config={},
            cost=None,
            problems=[],
            environment={},
            training_steps_per_s=rates[0],
            inference_images_per_s=rates[1],
        )
    # 12 steps at 2 per second, 40 samples at 10 per second, 0.2 s per sample to score, and 10 s to start; 4 runs.
    assert state.estimate_seconds() == pytest.approx(4 * (6 + 4 + 8 + 10))


def test_resumed_run_keeps_its_execution_settings(tmp_path: Path) -> None:
    plan = generators(tmp_path, tmp_path / "results")
    job = plan.jobs[0]
    assert job.execution(plan.config, None) == Execution()
    verification = Verification(
        config={}, cost=None, problems=[], environment={}, execution=Execution(compiled=True)
    )
    assert job.execution(plan.config, verification) == Execution(compiled=True)
    earlier = job.spec(plan.config).model_copy(update={"execution": Execution(precision="bf16")})
    write_bytes(earlier.work / "train" / SPEC, earlier.model_dump_json().encode())
    # Not compiled, as in the earlier part of the run; the precision is the identity's, whatever the file says.
    assert job.execution(plan.config, verification) == Execution()


def test_precision_changes_the_run_identity_and_compilation_does_not(tmp_path: Path) -> None:
    plan = generators(tmp_path, tmp_path / "results")
    reduced = make_plan([entry.source for entry in plan.entries], replace(plan.config, precision="bf16"))
    compiled = make_plan([entry.source for entry in plan.entries], replace(plan.config, compile="on"))
    paths = [[job.path for job in variant.jobs] for variant in (plan, reduced, compiled)]
    assert paths[0] == paths[2]
    assert not set(paths[0]) & set(paths[1])


def test_near_duplicates_are_marked_if_their_list_exists(
    tmp_path: Path, real_data: Path, near_duplicates_root: Path
) -> None:
    track = load_tracks()["cifar100-classification"]
    official, quick = track.profile("official"), track.profile("quick")
    assert DatasetResolver(real_data).resolve(track, official, "cifar100").near_duplicates is None
    (tmp_path / cifar100.FOLDER).symlink_to(real_data / cifar100.FOLDER)
    (tmp_path / "cifair").symlink_to(near_duplicates_root / "cifair")
    resolver = DatasetResolver(tmp_path)
    marked = resolver.resolve(track, official, "cifar100").near_duplicates
    assert marked is not None and marked.sum() == 891
    # The list names test images only; the quick profile evaluates on validation.
    assert resolver.resolve(track, quick, "cifar100").near_duplicates is None
    subset = resolver.resolve(
        track, official.model_copy(update={"evaluation_images": 1_000}), "cifar100"
    ).near_duplicates
    assert subset is not None and np.array_equal(subset, marked[::10])


def test_profile_may_use_its_own_data_set(tmp_path: Path) -> None:
    tracks, resolver = load_tracks(), DatasetResolver(tmp_path)
    for name in ("cifar100-classification", "addnist-classification"):
        data = choose_data(tracks[name], "demo", tmp_path, embedded=False)
        assert data == "shapes10x16"
        # In each track the same images stand in for other data.
        used = resolver.resolve(tracks[name], tracks[name].profile("demo"), data).used
        assert used.stand_in_for == tracks[name].data
