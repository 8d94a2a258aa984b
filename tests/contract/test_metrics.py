"""Metrics: their names in records, whether higher or lower is better, and their scale and title in tables."""

import pytest

from bench.contract.manifest import Claims
from bench.contract.metrics import CLAIMED, FID, NLL, OF_SAMPLES, PRIMARY, TOP1, metric_named, primary_metric
from bench.contract.tracks import load_tracks, protocol_of
from tests.report.committed import committed_records


def test_each_task_has_a_ranking_metric() -> None:
    for track in load_tracks().values():
        protocol = protocol_of(track, "official", track.data)
        assert protocol.metric == PRIMARY[track.task].at(protocol.samples)
        assert protocol.metric.better in ("higher", "lower") and protocol.metric.key in CLAIMED
    assert primary_metric("generation", 10_000).name == "fid_10000"
    assert FID.at(10_000, "clean").name == "fid_clean_10000" and FID.at(10_000, "clean").title == "FID@10000"
    assert (TOP1.sign, FID.sign) == (1, -1)


def test_claims_are_exactly_the_claimable_metrics() -> None:
    assert set(CLAIMED) == set(Claims.model_fields) - {"params_by_module"}


@pytest.mark.parametrize("run", ["cifar100-classification/se_dsconv", "cifar100-generation/dcgan_002"])
def test_committed_records_have_the_metrics_under_their_names(run: str) -> None:
    record = committed_records(f"results/runs/{run}/base")[0]
    assert record.evaluation is not None
    recorded = set(record.evaluation.metrics)
    assert record.protocol.metric.name in recorded
    expected = (
        {metric.at(record.protocol.samples).name for metric in OF_SAMPLES} if record.protocol.samples else set()
    )
    assert expected - recorded <= {"nearer_than_closest_1_percent"}  # added after these records


@pytest.mark.parametrize(
    ("name", "better", "scale", "title"),
    [
        ("top1_accuracy_without_near_duplicates", "higher", 100, "top1_accuracy_without_near_duplicates %"),
        ("nll", NLL.better, 1, "nll"),
        ("ece_15", "lower", 1, "ece_15"),
        ("fid_10000_train", "lower", 1, "fid_10000_train"),
        ("fid_10000_std", None, 1, "fid_10000_std"),
        ("precision_10000", "higher", 1, "precision_10000"),
        ("kid_10000", "lower", 1000, "kid_10000 ×1000"),
        ("kid_10000_std", None, 1000, "kid_10000_std ×1000"),
        ("lpips_vgg_64", None, 1, "lpips_vgg_64"),
        ("luck", None, 1, "luck"),
    ],
)
def test_any_recorded_metric_can_be_a_column(name: str, better: str | None, scale: float, title: str) -> None:
    metric = metric_named(name)
    assert (metric.name, metric.better, metric.scale, metric.title) == (name, better, scale, title)
