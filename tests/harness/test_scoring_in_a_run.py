"""``bench run`` on generators: what cannot be measured yet is measured later, beside real images."""

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
    scored, real_images = found["honest"], found[REAL_IMAGES]
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


DRAW = ("run", "--device", "cpu", "--seeds", 1, "--jobs", 2)  # a thread


def drawn_without_weights(folder: Path) -> tuple[Path, Path]:
    """Results with a generator's run that has samples and no figures, and its track."""
    track, results = write_generator_track(folder), folder / "there"
    write_generator(folder, "honest")
    done = bench(*DRAW, folder / "honest", "--track", track, "--results", results)
    assert done.returncode == 0, done.stderr
    return results, track


def carried(there: Path, here: Path, *options: str) -> None:
    archive = there.parent / "there.tar.gz"
    done = bench("pack", archive, "--results", there, *options)
    assert done.returncode == 0, done.stderr
    done = bench("unpack", archive, "--results", here)
    assert done.returncode == 0, done.stderr


@pytest.mark.weights
@pytest.mark.parametrize("recorded", [True, False])
def test_samples_are_scored_where_they_are_brought(recorded: bool, metric_weights: Path, tmp_path: Path) -> None:
    """Drawn on a GPU whose time was over before they were scored, with a record of the rest or without one."""
    there, track = drawn_without_weights(tmp_path)
    here, weights = tmp_path / "here", {"BENCH_WEIGHTS": str(metric_weights)}
    as_on_a_gpu(there, tmp_path / "honest", track, recorded=recorded)
    score = ("score", tmp_path / "honest", "--track", track, "--results", here, "--threads", 1)
    if recorded:  # samples stay where they are if nothing is said
        carried(there, here)
        assert "nothing to do: no unscored samples" in bench(*score, **weights).stdout
        shutil.rmtree(here)
    carried(there, here, "--samples")
    for _ in range(2):  # what has its figures is not asked for them again
        done = bench(*score, **weights)
        assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    (record,) = records(here).values()
    assert record.identity.device_type == "cuda" and record.not_measured == {} and record.ranked
    assert record.environment["scored_on"]["device_type"] == "cpu"
    assert (
        record.cost is not None and record.training is not None and record.timing.training_steps_per_s is not None
    )
    assert record.evaluation is not None and record.evaluation.metrics["fid_40"] > 0
    assert not list(here.rglob("work"))
    assert (next(here.rglob("samples.png")).parent / "nearest-train.png").exists()
    if not recorded:
        return
    alike = bench(*DRAW, tmp_path / "honest", "--track", track, "--results", there, **weights)
    assert alike.returncode == 0, alike.stderr
    found = [record for record in map(read_record, record_paths(there)) if record.cost is not None]
    (on_cpu,) = [record for record in found if record.identity.device_type == "cpu"]
    assert on_cpu.evaluation is not None
    assert on_cpu.evaluation.metrics == pytest.approx(record.evaluation.metrics)


def as_on_a_gpu(results: Path, submission: Path, track: Path, *, recorded: bool) -> None:
    """Have the one run of ``results`` been drawn on a GPU."""
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
def test_samples_of_other_code_are_not_given_to_this_one(metric_weights: Path, tmp_path: Path) -> None:
    there, track = drawn_without_weights(tmp_path)
    with (tmp_path / "honest" / "model.py").open("a") as file:
        file.write("OTHER = 1\n")
    done = bench(
        "score", tmp_path / "honest", "--track", track, "--results", there, BENCH_WEIGHTS=str(metric_weights)
    )
    assert done.returncode == 2, done
    assert "its samples come from other code, settings or data than the current ones" in done.stderr
    assert list(there.rglob("samples.npy"))


def test_a_submission_may_not_be_called_as_real_images_are(tmp_path: Path) -> None:
    write_generator(tmp_path, REAL_IMAGES)
    done = bench("run", tmp_path / REAL_IMAGES, "--track", write_generator_track(tmp_path), "--results", tmp_path)
    assert done.returncode == 2 and "reserved for real images" in done.stderr


def test_a_floor_needs_weights_and_a_generation_track(tmp_path: Path) -> None:
    done = bench("score-real", "--track", "cifar100-open", "--results", tmp_path)
    assert done.returncode == 2 and "give a generation track: cifar100-generation" in done.stderr
    done = bench("score-real", "--results", tmp_path, "--embedded", BENCH_WEIGHTS=os.devnull)
    assert done.returncode == 2 and "bench fetch all" in done.stderr


def test_fetch_knows_its_words() -> None:
    done = bench("fetch", "resnet")
    assert done.returncode == 2 and "give inception, lpips, all" in done.stderr
