"""``bench run`` and ``bench score`` on generators: metrics that need weights, also later or elsewhere."""

import os
import shutil
from pathlib import Path

import pytest

from bench.contract.manifest import REAL_IMAGES
from bench.contract.records.files import read_record, record_path, record_paths, write_record
from bench.contract.records.record import Record
from tests.making import bench, write_generator, write_generator_track


def records(results: Path) -> dict[str, Record]:
    return {record.identity.submission: record for record in map(read_record, record_paths(results))}


@pytest.mark.weights
def test_metrics_are_computed_once_weights_are_available(metric_weights: Path, tmp_path: Path) -> None:
    track, results = write_generator_track(tmp_path), tmp_path / "results"
    write_generator(tmp_path, "honest")
    command = [
        "run",
        tmp_path / "honest",
        "--track",
        track,
        "--results",
        results,
        "--device",
        "cpu",
        "--seeds",
        1,
        "--jobs",
        2,
    ]
    without_weights = bench(*command)
    assert without_weights.returncode == 0
    assert (
        "some metrics of samples will be null: weights inception-2015-12-05, lpips-alex" in without_weights.stderr
    )
    (first,) = records(results).values()
    assert first.status == "ok" and first.evaluation is not None and first.evaluation.metrics == {}
    assert "bench fetch" in first.not_measured["fid_40"] and first.unranked_because == ["FID is not measured"]
    assert bench(*command).stderr.count("nothing to do") == 1  # still without weights

    (work,) = results.rglob("work")
    report = work / "train" / "training.json"
    trained_at = report.stat().st_mtime_ns
    (work / "log.txt").write_text("before\n")
    with_weights = bench(*command, BENCH_WEIGHTS=str(metric_weights))
    assert with_weights.returncode == 0, with_weights.stderr
    assert '"phase": "train"' not in with_weights.stderr and '"phase": "sample"' not in with_weights.stderr
    assert trained_at and not work.exists()
    by_submission = records(results)
    assert set(by_submission) == {"honest", REAL_IMAGES}
    scored, real_images = by_submission["honest"], by_submission[REAL_IMAGES]
    assert scored.evaluation is not None and real_images.evaluation is not None
    assert scored.not_measured == {} and scored.timing.attempt == 2 and scored.ranked
    assert scored.training == first.training
    assert scored.evaluation.metrics["fid_40"] > real_images.evaluation.metrics["fid_40"]
    assert not real_images.ranked and real_images.cost is None and "packages" in real_images.environment
    assert scored.timing.sampling_images_per_s and scored.timing.scoring_seconds
    assert scored.timing.seconds_per_10000_samples == pytest.approx(1e4 / scored.timing.sampling_images_per_s)
    folder = next(results.rglob("samples.png")).parent
    pictures = {path.name for path in folder.rglob("*.png")}
    assert {"samples.png", "interpolation-linear.png", "interpolation-slerp.png", "nearest-train.png"} <= pictures
    assert {"step-000001.png", "step-000006.png"} <= pictures and "classes.png" not in pictures

    table = bench("compare", "--results", results, "--table", "csv").stdout
    assert "real-images" in table and "kid" in table
    assert "nothing to do" in bench(*command, BENCH_WEIGHTS=str(metric_weights)).stderr


DRAW = ("run", "--device", "cpu", "--seeds", 1, "--jobs", 2)  # one thread per job


def drawn_without_weights(folder: Path) -> tuple[Path, Path]:
    """Return results with one run that has samples but no metrics, and the track."""
    track, results = write_generator_track(folder), folder / "remote"
    write_generator(folder, "honest")
    result = bench(*DRAW, folder / "honest", "--track", track, "--results", results)
    assert result.returncode == 0, result.stderr
    return results, track


def transfer(remote: Path, local: Path, *options: str) -> None:
    archive = remote.parent / "remote.tar.gz"
    result = bench("pack", archive, "--results", remote, *options)
    assert result.returncode == 0, result.stderr
    result = bench("unpack", archive, "--results", local)
    assert result.returncode == 0, result.stderr


@pytest.mark.weights
@pytest.mark.parametrize("recorded", [True, False])
def test_samples_from_a_gpu_are_scored_on_another_machine(
    recorded: bool, metric_weights: Path, tmp_path: Path
) -> None:
    """The run drew samples on a GPU but did not score them; its record exists or was not written."""
    remote, track = drawn_without_weights(tmp_path)
    local, weights = tmp_path / "local", {"BENCH_WEIGHTS": str(metric_weights)}
    mark_as_drawn_on_a_gpu(remote, tmp_path / "honest", track, recorded=recorded)
    score = ("score", tmp_path / "honest", "--track", track, "--results", local, "--threads", 1)
    if recorded:  # `bench pack` leaves samples out without --samples
        transfer(remote, local)
        assert "nothing to do: no unscored samples" in bench(*score, **weights).stdout
        shutil.rmtree(local)
    transfer(remote, local, "--samples")
    for _ in range(2):  # the second call has nothing to do
        result = bench(*score, **weights)
        assert result.returncode == 0, result.stderr
    assert "nothing to do" in result.stdout
    (record,) = records(local).values()
    assert record.identity.device_type == "cuda" and record.not_measured == {} and record.ranked
    assert record.environment["scored_on"]["device_type"] == "cpu"
    assert (
        record.cost is not None and record.training is not None and record.timing.training_steps_per_s is not None
    )
    assert record.evaluation is not None and record.evaluation.metrics["fid_40"] > 0
    assert not list(local.rglob("work"))
    assert (next(local.rglob("samples.png")).parent / "nearest-train.png").exists()
    if not recorded:
        return
    repeated = bench(*DRAW, tmp_path / "honest", "--track", track, "--results", remote, **weights)
    assert repeated.returncode == 0, repeated.stderr
    scored = [record for record in map(read_record, record_paths(remote)) if record.cost is not None]
    (on_cpu,) = [record for record in scored if record.identity.device_type == "cpu"]
    assert on_cpu.evaluation is not None
    assert on_cpu.evaluation.metrics == pytest.approx(record.evaluation.metrics)


def mark_as_drawn_on_a_gpu(results: Path, submission: Path, track: Path, *, recorded: bool) -> None:
    """Change the one run in ``results`` as if it had run on a GPU, with or without a record."""
    (path,) = record_paths(results)
    record = read_record(path)
    identity = record.identity.model_copy(update={"device_type": "cuda"})
    moved = record_path(results, identity, record.protocol)
    path.with_suffix("").rename(moved.with_suffix(""))
    path.unlink()
    if recorded:
        write_record(moved, record.model_copy(update={"identity": identity}))
    for spec in moved.with_suffix("").rglob("spec.json"):
        spec.write_text(spec.read_text().replace('"device": "cpu"', '"device": "cuda:1"'))


@pytest.mark.weights
def test_samples_of_changed_code_are_refused(metric_weights: Path, tmp_path: Path) -> None:
    remote, track = drawn_without_weights(tmp_path)
    with (tmp_path / "honest" / "model.py").open("a") as file:
        file.write("OTHER = 1\n")
    result = bench(
        "score", tmp_path / "honest", "--track", track, "--results", remote, BENCH_WEIGHTS=str(metric_weights)
    )
    assert result.returncode == 2, result
    assert "its samples come from other code, settings or data than the current ones" in result.stderr
    assert list(remote.rglob("samples.npy"))


def test_submission_name_real_images_is_reserved(tmp_path: Path) -> None:
    write_generator(tmp_path, REAL_IMAGES)
    result = bench(
        "run", tmp_path / REAL_IMAGES, "--track", write_generator_track(tmp_path), "--results", tmp_path
    )
    assert result.returncode == 2 and "reserved for real images" in result.stderr


def test_scoring_real_images_needs_weights_and_a_generation_track(tmp_path: Path) -> None:
    result = bench("score-real", "--track", "cifar100-open", "--results", tmp_path)
    assert result.returncode == 2 and "give a generation track (cifar100-generation)" in result.stderr
    result = bench("score-real", "--results", tmp_path, "--embedded", BENCH_WEIGHTS=os.devnull)
    assert result.returncode == 2 and "bench fetch all" in result.stderr


def test_fetch_refuses_unknown_weights() -> None:
    result = bench("fetch", "resnet")
    assert result.returncode == 2 and "give inception, lpips, all" in result.stderr
