"""``bench score-weights``: the figures of a run from its weights alone, refusals, a caution with each number."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from tests.making import TRACK, bench, bench_process, write_generator, write_generator_track, write_submission
from tests.making import write_track as write_tiny_track

OPTIONS = ("--device", "cpu", "--threads", 1)


class Contest(NamedTuple):
    """A submission that was run, with its track, weights and record."""

    folder: Path
    submission: Path
    track: Path
    weights: Path
    record: Record

    def score(self, *more: object, weights: Path | None = None) -> Any:
        return bench(
            "score-weights", self.submission, "--track", self.track, "--weights", weights or self.weights,
            *OPTIONS, *more,
        )  # fmt: skip


def make_contest(folder: Path, submission: Path, track: Path, **environment: str) -> Contest:
    """Run one seed of a submission."""
    results = folder / "results"
    run = bench(
        "run", submission, "--track", track, "--seeds", 1, "--results", results, *OPTIONS, "--jobs", 1,
        **environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    path = next(path for path in record_paths(results) if submission.name in path.parts)
    return Contest(folder, submission, track, path.with_suffix("") / "weights.safetensors", read_record(path))


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Contest:
    folder = tmp_path_factory.mktemp("contest")
    return make_contest(folder, write_submission(folder, "net"), write_tiny_track(folder))


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_figures_are_those_of_the_run_whose_weights_they_are(
    form: str, contest: Contest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = contest.weights
    if form == "torch":
        weights = tmp_path / "net.pt"
        torch.save(load_file(contest.weights), weights)
    before = sorted(contest.folder.rglob("*"))
    result = contest.score("--table", "json", weights=weights)
    assert result.returncode == 0, result.stderr
    (score,) = json.loads(result.stdout)
    assert score["evaluation"] == contest.record.evaluation.model_dump(mode="json")  # type: ignore[union-attr]
    assert score["data_fingerprints"] == contest.record.identity.data_fingerprints
    assert (score["trained"], score["ranked"]) == ("elsewhere", False) and "training budget" in score[
        "not_verified"
    ]
    # Nothing that a leaderboard, comparison, site or check could read is written anywhere.
    assert sorted(contest.folder.rglob("*")) == before and not list(tmp_path.rglob("*.json"))


@pytest.mark.processes
def test_figures_are_the_same_in_the_sandbox(contest: Contest) -> None:
    result = bench_process(
        "score-weights", contest.submission, "--track", contest.track, "--weights", contest.weights, *OPTIONS,
        "--table", "json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert contest.record.evaluation is not None
    assert json.loads(result.stdout)[0]["evaluation"]["metrics"] == contest.record.evaluation.metrics


def test_every_table_says_what_is_not_verified(contest: Contest) -> None:
    result = contest.score("--profile", "quick", "--table", "markdown")
    assert result.returncode == 0, result.stderr
    assert "validation images of shapes4x16: weights trained elsewhere, not ranked" in result.stdout
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("| net")]
    assert row.rstrip(" |").endswith("elsewhere, not verified")
    for title in ("top-1 %", "macro F1 %", "balanced %", "worst class %", "NLL", "ECE", "top-5 %"):
        assert f"| {title} " in result.stdout
    assert "Not verified: training budget, seeds" in result.stdout and "never rank" in result.stdout
    assert contest.score("--table", "csv").returncode == 2  # it has no place for the caution


def test_each_faulty_file_or_submission_costs_only_itself(contest: Contest, tmp_path: Path) -> None:
    """One command on good and bad ones; each is named with its reason, and none changes the others' figures."""
    weights = tmp_path / "weights"
    weights.mkdir()
    good = load_file(contest.weights)
    head = "head.weight"
    contents = {
        "good": good,
        "missing": {name: tensor for name, tensor in good.items() if name != head},
        "shape": {**good, head: torch.zeros(4, 9)},
        "double": {**good, head: good[head].double()},
        "nan": {**good, head: good[head] * float("nan")},
        "nan_buffer": {**good, "bn.running_var": good["bn.running_var"] * float("nan")},
        "large": good,
    }
    for name, content in contents.items():
        changes = {"network": "self.large = nn.Linear(100, 100)"} if name == "large" else None
        write_submission(tmp_path / "submissions", name, changes)
        save_file(content, weights / f"{name}.safetensors")
    write_submission(tmp_path / "submissions", "none")
    result = bench(
        "score-weights", tmp_path / "submissions", "--track", contest.track, "--weights", weights, *OPTIONS,
        "--table", "json",
    )  # fmt: skip
    assert result.returncode == 4 and "Traceback" not in result.stderr
    (score,) = json.loads(result.stdout)
    assert contest.record.evaluation is not None
    assert (score["submission"], score["evaluation"]["metrics"]) == ("good", contest.record.evaluation.metrics)
    reasons = {
        "missing": "missing.safetensors: does not fit the network of build_model: head.weight is missing",
        "shape": "head.weight has shape (4, 9), in the network (4, 8)",
        "double": "head.weight is float64, in the network float32",
        "nan": "head.weight: NaN or infinite",
        "nan_buffer": "nan_buffer.safetensors: predict returned logits that are not finite",
        "large": "params, cap 2,000",
        "none": "no weights: none of none.safetensors, none.pt, none.pth is in",
    }
    lines = {line[2:].partition(":")[0]: line for line in result.stderr.splitlines() if line.startswith("✗ ")}
    assert lines.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in lines[name]


def test_weights_beside_the_code_are_scored_by_default_and_named_by_run(contest: Contest, tmp_path: Path) -> None:
    submission = shutil.copytree(contest.submission, tmp_path / "net")
    shutil.copyfile(contest.weights, submission / "weights.safetensors")
    result = bench("score-weights", submission, "--track", contest.track, *OPTIONS, "--table", "json")
    assert contest.record.evaluation is not None
    assert json.loads(result.stdout)[0]["evaluation"]["metrics"] == contest.record.evaluation.metrics
    run = bench("run", submission, "--track", contest.track, "--results", contest.folder / "results", "--seed", 0)
    assert "weights.safetensors: net can read these weights while it trains; keep them out" in run.stderr


def test_missing_test_split_and_unknown_profile_are_named(contest: Contest, tmp_path: Path) -> None:
    result = contest.score("--profile", "absent")
    assert result.returncode == 2 and "✗ net: track tiny: no profile 'absent'" in result.stderr
    own = "{name: mine, format: npz, path: mine.npz, channels: 3, size: 16, classes: 4}"
    track = write_tiny_track(tmp_path, TRACK.replace("data: shapes4x16\n", f"data: {own}\n", 1))
    submission = shutil.copytree(contest.submission, tmp_path / "net")
    result = bench("score-weights", submission, "--track", track, "--weights", contest.weights, *OPTIONS)
    assert result.returncode == 2 and "mine.npz" in result.stderr and "Traceback" not in result.stderr


def test_generator_is_sampled_with_the_seed_of_the_run(tmp_path: Path) -> None:
    """Without the weights of the metrics the samples are drawn, and every metric is missing with the reason."""
    contest = make_contest(tmp_path, write_generator(tmp_path, "gan"), write_generator_track(tmp_path))
    result = contest.score()
    assert result.returncode == 0, result.stderr
    assert "FID@40" in result.stdout and "bench fetch" in result.stdout


@pytest.mark.slow  # four minutes in Inception
@pytest.mark.weights
def test_figures_of_a_generator_are_those_of_its_run(metric_weights: Path, tmp_path: Path) -> None:
    weights = {"BENCH_WEIGHTS": str(metric_weights)}
    contest = make_contest(tmp_path, write_generator(tmp_path, "gan"), write_generator_track(tmp_path), **weights)
    result = bench(
        "score-weights", contest.submission, "--track", contest.track, "--weights", contest.weights, *OPTIONS,
        "--table", "json", **weights,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert contest.record.evaluation is not None
    assert json.loads(result.stdout)[0]["evaluation"]["metrics"] == contest.record.evaluation.metrics
