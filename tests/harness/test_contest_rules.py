"""The rules of a track from ``bench verify`` and ``bench run`` to the leaderboard, on drawn images."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from tests.making import GENERATOR_TRACK, TRACK, bench, write_generator, write_submission, write_track

# Of the small classifier: a 3x3 convolution from 3 to 8 channels on 8 x 8 positions, and 4 outputs of 8 features.
MACS = 8 * 8 * 8 * 27 + 8 * 4
# Forward and weight gradients of both layers, and the input gradient of the second; 16 images, 2 FLOPs per MAC.
FLOPS_PER_STEP = 2 * 16 * (2 * 8 * 8 * 8 * 27 + 3 * 8 * 4)
# 276 parameters and two buffers of 8 as float32, and one int64, of batch normalisation; those of `Normalize` are
# made by its code, and are in no state dict.
BYTES = 4 * (276 + 16) + 8
USED = {
    "macs_per_image": (MACS, f"{MACS:,} MACs per image, cap "),
    "training_flops": (
        12 * FLOPS_PER_STEP,
        f"{12 * FLOPS_PER_STEP:,} training FLOPs ({FLOPS_PER_STEP:,} per step × 12 steps), cap ",
    ),
    "weight_bytes": (BYTES, f"{BYTES:,} bytes of weights, cap "),
    "images_seen": (16 * 12, "192 images seen (batch size 16 × 12 steps), cap "),
}


def track_with(folder: Path, caps: dict[str, int], rules: str = "") -> Path:
    listed = ", ".join(f"{name}: {cap}" for name, cap in caps.items())
    return write_track(folder, TRACK.replace("stored_scalars: 6000", f"stored_scalars: 6000, {listed}") + rules)


def records_of(results: Path) -> list[Record]:
    return [read_record(path) for path in record_paths(results)]


def test_counts_that_equal_the_caps_pass(tmp_path: Path) -> None:
    caps = {name: count for name, (count, _) in USED.items()}
    submission = write_submission(tmp_path, "net")
    verified = bench("verify", submission, "--track", track_with(tmp_path, caps), "--device", "cpu")
    assert verified.returncode == 0, verified.stdout
    for name, count in caps.items():
        assert f"{name}: {count:,}, cap {count:,}: within" in verified.stdout


@pytest.mark.parametrize("cap", USED)
def test_count_above_a_cap_is_found_before_training(tmp_path: Path, cap: str) -> None:
    count, message = USED[cap]
    submission, track = write_submission(tmp_path, "net"), track_with(tmp_path, {cap: count - 1})
    verified = bench("verify", submission, "--track", track, "--device", "cpu")
    assert f"✗ net: {message}{count - 1:,}" in verified.stdout and verified.returncode != 0
    assert f"{cap}: {count:,}, cap {count - 1:,}: EXCEEDED" in verified.stdout
    run = bench("run", submission, "--track", track, "--device", "cpu", "--results", tmp_path / "results")
    records = records_of(tmp_path / "results")
    assert run.returncode != 0 and len(records) == 2
    for record in records:
        assert (record.status, record.training) == ("cap", None)
        assert f"{message}{count - 1:,}" in str(record.reason)


def test_evaluations_of_a_sampler_count_against_the_cap_on_macs(tmp_path: Path) -> None:
    # Three evaluations of two layers of 4 x 4.
    for cap, passes in ((96, True), (95, False)):
        track = tmp_path / f"track-{cap}.yaml"
        track.write_text(GENERATOR_TRACK.replace("params: 2000", f"macs_per_image: {cap}"))
        generator = write_generator(tmp_path / str(cap), "gan")
        verified = bench("verify", generator, "--track", track, "--device", "cpu")
        assert (verified.returncode == 0) == passes
    assert "✗ gan: 96 MACs per image in 3 network evaluations, cap 95" in verified.stdout


def test_weights_that_grow_after_verification_are_counted(tmp_path: Path) -> None:
    """Weights in half precision before the last step, in full after it."""
    changes = {
        "final": "steps = self.schedule.last_epoch\n"
        "if steps < 12:\n"
        "    return {n: t.half() if t.is_floating_point() else t for n, t in self.ema.items()}",
    }
    submission = write_submission(tmp_path, "net", changes)
    track = track_with(tmp_path, {"weight_bytes": BYTES - 1})
    verified = bench("verify", submission, "--track", track, "--device", "cpu")
    assert f"{BYTES // 2 + 4:,} bytes of weights" in verified.stdout
    bench("run", submission, "--track", track, "--device", "cpu", "--results", tmp_path / "r")
    assert len(records_of(tmp_path / "r")) == 2
    for record in records_of(tmp_path / "r"):
        assert record.cost is not None and record.cost.weight_bytes == BYTES
        assert f"{BYTES:,} bytes of weights, cap {BYTES - 1:,}" in record.unranked_because


RULES = "rank_by: nll\nmetrics: [top1_accuracy, macro_f1]\nadvice: {training_minutes: 1.0e-6, memory_gib: 1000}\n"


def test_lower_is_better_classification_from_run_to_leaderboard(tmp_path: Path) -> None:
    # Logits times 100 have the same classes, and with many wrong predictions a much worse likelihood.
    paths = [
        write_submission(tmp_path / "s", "a_boastful", {"predict": "logits = logits * 100"}),
        write_submission(tmp_path / "s", "b_modest"),
    ]
    track, results = track_with(tmp_path, {"weight_bytes": BYTES}, RULES), tmp_path / "results"
    run = bench("run", *paths, "--track", track, "--device", "cpu", "--results", results)
    assert run.returncode == 0, run.stderr
    records = records_of(results)
    assert len(records) == 4
    for record in records:
        assert record.ranked and record.evaluation is not None and record.cost is not None
        assert {"macro_f1", "balanced_accuracy", "worst_class_accuracy"} <= record.evaluation.metrics.keys()
        assert record.protocol.rank_by == "nll" and record.shown_metrics == ["top1_accuracy", "macro_f1"]
    for path in record_paths(results):
        stored = load_file(path.with_suffix("") / "weights.safetensors").values()
        assert sum(tensor.numel() * tensor.element_size() for tensor in stored) == BYTES
        assert read_record(path).cost.weight_bytes == BYTES  # type: ignore[union-attr]
    board = bench("leaderboard", "--results", results, "--no-site", "--submissions", tmp_path / "s")
    assert board.returncode == 0, board.stderr
    (table,) = json.loads((results / "leaderboard.json").read_text())["tables"]
    rows = table["rows"]
    assert [(row["submission"], row["columns"]["place"]) for row in rows] == [("b_modest", 1), ("a_boastful", 2)]
    assert rows[0]["columns"]["score"]["mean"] < rows[1]["columns"]["score"]["mean"] / 5
    assert rows[0]["columns"]["top1_accuracy"] == rows[1]["columns"]["top1_accuracy"]  # by which both would tie
    assert all(row["status"] == "ok, over the advised 1e-06 min" for row in rows)
    text = (results / "LEADERBOARD.md").read_text()
    assert "Ranked by the lowest NLL." in text and "macro F1 %" in text
    compared = bench("compare", "--results", results, "--submissions", tmp_path / "s", "--table", "csv")
    lines = [line.split(",") for line in compared.stdout.splitlines()]
    assert [line[lines[0].index("submission")] for line in lines[1:]] == ["b_modest", "a_boastful"]


def test_search_minimises_a_lower_is_better_metric(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'capbench[tune]'")
    manifest = "track: tiny\nsearch: {trials: 2, space: {learning_rate: {log_uniform: [1.0e-3, 1.0e-1]}}}\n"
    submission = write_submission(tmp_path, "net", manifest=manifest)
    results = tmp_path / "results"

    def tune(rules: str, trials: int) -> tuple[int, str]:
        track = write_track(tmp_path, TRACK + rules)
        options = ("--track", track, "--device", "cpu", "--results", results, "--scheduler", "none")
        done = bench("tune", submission, "--profile", "quick", "--trials", trials, *options)
        return done.returncode, done.stderr

    code, text = tune("rank_by: ece\n", 2)
    assert code == 0, text
    (file,) = results.rglob("study.db")
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{file}")
    scores = {
        record.evaluation.metrics["ece_15"]
        for path in results.rglob("seed*.json")
        if (record := read_record(path)).evaluation is not None
    }
    assert study.direction.name == "MINIMIZE" and study.best_value == min(scores) and len(scores) == 2
    code, text = tune("rank_by: nll\n", 3)
    assert code != 0 and "earlier trials were compared by ece, not nll" in text
