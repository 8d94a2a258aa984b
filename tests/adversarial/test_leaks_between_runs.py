"""Leaks from one run into another, and from training images into samples."""

from pathlib import Path

import pytest

from bench.contract.records.files import read_record, record_paths
from bench.harness.executors.sandbox import NO_SANDBOX, choose_sandbox
from tests.making import (
    bench,
    bench_process,
    write_generator,
    write_generator_track,
    write_submission,
    write_track,
)

# Every seed saves its weights in /tmp and starts from those of an earlier seed if they exist.
LOADS_EARLIER_WEIGHTS = {
    "module": "import os\nLEFT = '/tmp/capbench-left-by-a-seed.pt'",
    "init": "if os.path.exists(LEFT): model.load_state_dict(torch.load(LEFT))",
    "step": "if step == 11: torch.save(self.model.state_dict(), LEFT)",
}
# Two training images fit into the parameter cap.
COPIES_TRAINING_IMAGES = {
    "network": "self.memory = nn.Parameter(torch.zeros(2, 3, 16, 16))",
    "step": "with torch.no_grad(): self.model.memory.copy_(batch.images[:2] / 255)",
    "decoded": "kept = (model.memory * 255).round().to(torch.uint8)\nreturn kept[torch.arange(len(labels)) % 2]",
}


@pytest.mark.processes
@pytest.mark.skipif(
    choose_sandbox("auto") == NO_SANDBOX, reason="needs bubblewrap, e.g. apt-get install bubblewrap"
)
def test_seed_cannot_load_weights_left_by_another_seed(tmp_path: Path) -> None:
    for name, changes in (("honest", {}), ("remembers", LOADS_EARLIER_WEIGHTS)):
        write_submission(tmp_path / "submissions", name, changes)
    # Two jobs have one thread each; the seeds run in separate commands.
    options = ["--track", write_track(tmp_path), "--results", tmp_path, "--device", "cpu", "--jobs", 2]
    paths = sorted((tmp_path / "submissions").iterdir())
    for seed in ("0,", "1,"):
        result = bench_process("run", *paths, *options, "--profile", "quick", "--seeds", seed)
        assert result.returncode == 0, result.stderr
    weights: dict[str, dict[int, object]] = {"honest": {}, "remembers": {}}
    for record in map(read_record, record_paths(tmp_path)):
        assert record.training is not None
        weights[record.identity.submission][record.identity.seed] = record.training.weights_sha256
    assert weights["remembers"] == weights["honest"] and len(weights["honest"]) == 2


@pytest.mark.slow  # scores real images as well
@pytest.mark.weights
def test_generator_that_copies_training_images_is_not_ranked(tmp_path: Path, metric_weights: Path) -> None:
    net = write_generator(tmp_path, "repeats", COPIES_TRAINING_IMAGES)
    options = ["--track", write_generator_track(tmp_path), "--results", tmp_path, "--device", "cpu", "--jobs", 2]
    # The quick profile searches all training images for copies.
    result = bench("run", net, *options, "--profile", "quick", "--seeds", 1, BENCH_WEIGHTS=str(metric_weights))
    (record,) = [r for r in map(read_record, record_paths(tmp_path)) if r.identity.submission == "repeats"]
    assert record.status == "ok", (record.reason, result.stderr)
    assert record.evaluation is not None and record.evaluation.metrics["nearer_than_held_out"] >= 0.9
    assert any("nearer to a training image than held-out images are" in why for why in record.unranked_because)
