"""``bench run`` on generators: what cannot be measured yet is measured later, beside real images."""

import os
from pathlib import Path

import pytest

from bench.contract.records import REAL_IMAGES, Record, read_record, record_paths
from tests.making import bench, write_generator, write_generator_track


def records(results: Path) -> dict[str, Record]:
    return {record.identity.submission: record for record in map(read_record, record_paths(results))}


@pytest.mark.weights
def test_weights_that_come_later(metric_weights: Path, tmp_path: Path) -> None:
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
    without = bench(*command)
    assert without.returncode == 0
    assert "some metrics of samples will be null: weights inception-2015-12-05, lpips-alex" in without.stderr
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
    found = records(results)
    assert set(found) == {"honest", REAL_IMAGES}
    scored, floor = found["honest"], found[REAL_IMAGES]
    assert scored.evaluation is not None and floor.evaluation is not None
    assert scored.not_measured == {} and scored.timing.attempt == 2 and scored.ranked
    assert scored.training == first.training
    assert scored.evaluation.metrics["fid_40"] > floor.evaluation.metrics["fid_40"]
    assert not floor.ranked and floor.cost is None and "packages" in floor.environment
    assert scored.timing.sampling_images_per_s and scored.timing.scoring_seconds
    assert scored.timing.seconds_per_10000_samples == pytest.approx(1e4 / scored.timing.sampling_images_per_s)
    folder = next(results.rglob("samples.png")).parent
    pictures = {path.name for path in folder.rglob("*.png")}
    assert {"samples.png", "interpolation-linear.png", "interpolation-slerp.png", "nearest-train.png"} <= pictures
    assert {"step-000001.png", "step-000006.png"} <= pictures and "classes.png" not in pictures

    table = bench("compare", "--results", results, "--table", "csv").stdout
    assert "real-images" in table and "kid" in table
    assert "nothing to do" in bench(*command, BENCH_WEIGHTS=str(metric_weights)).stderr


def test_a_submission_may_not_be_called_as_real_images_are(tmp_path: Path) -> None:
    write_generator(tmp_path, REAL_IMAGES)
    done = bench("run", tmp_path / REAL_IMAGES, "--track", write_generator_track(tmp_path), "--results", tmp_path)
    assert done.returncode == 2 and "stands for real images" in done.stderr


def test_a_floor_needs_weights_and_a_generation_track(tmp_path: Path) -> None:
    done = bench("floor", "--track", "cifar100-open", "--results", tmp_path)
    assert done.returncode == 2 and "give a generation track: cifar100-generation" in done.stderr
    done = bench("floor", "--results", tmp_path, "--embedded", BENCH_WEIGHTS=os.devnull)
    assert done.returncode == 2 and "bench fetch all" in done.stderr


def test_fetch_knows_its_words() -> None:
    done = bench("fetch", "resnet")
    assert done.returncode == 2 and "give inception, lpips, all" in done.stderr
