"""The rules of a contest: optional fields of tracks, and hashes of protocols that stay without them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.contract.tracks import Caps, Protocol, Track, load_tracks, protocol_of
from bench.errors import ManifestError
from tests.making import GENERATOR_TRACK, TRACK, write_track

# Hashes of the official protocols before tracks had these rules, as in the committed records.
FORMER_HASHES = {
    "addnist-classification": "0ff6d5f01ac9",
    "cifar100-classification": "cba403b3f6d5",
    "cifar100-generation": "5f499b088bb8",
    "cifar100-open": "2e557c6e2637",
}
LATER_CAPS = ("macs_per_image", "training_flops", "weight_bytes", "images_seen")


def track_of(folder: Path, rules: str, text: str = TRACK) -> Track:
    (added,) = load_tracks(write_track(folder, text + rules)).keys() - load_tracks().keys()
    return load_tracks(folder / "tiny.yaml")[added]


def test_hashes_of_shipped_protocols_are_those_of_old_records() -> None:
    tracks = load_tracks()
    assert {name: protocol_of(tracks[name], "official", "cifar100").hash for name in tracks} == FORMER_HASHES


@pytest.mark.parametrize("cap", LATER_CAPS)
def test_cap_changes_the_hash_only_if_it_is_set(cap: str) -> None:
    track = load_tracks()["cifar100-classification"]
    caps = track.caps.model_dump()
    assert cap not in caps and set(caps) == {"params", "stored_scalars"}
    hashes = {
        protocol_of(track.model_copy(update={"caps": Caps(**{**caps, cap: value})}), "official", "cifar100").hash
        for value in (None, 10**15 if cap in LATER_CAPS[:2] else 10**9, 7)
    }
    assert len(hashes) == 3 and FORMER_HASHES["cifar100-classification"] in hashes


def test_protocol_survives_its_json(tmp_path: Path) -> None:
    track = track_of(tmp_path, "rank_by: nll\n", TRACK.replace("params: 2000", "params: 2000, images_seen: 192"))
    protocol = protocol_of(track, "official", "shapes4x16")
    again = Protocol.model_validate_json(protocol.model_dump_json())
    assert again == protocol and again.hash == protocol.hash and again.metric.name == "nll"
    plain = protocol_of(track.model_copy(update={"rank_by": None}), "official", "shapes4x16")
    assert "rank_by" not in plain.model_dump() and plain.hash != protocol.hash


def test_default_metric_is_the_same_protocol_whether_it_is_named_or_not(tmp_path: Path) -> None:
    named, default = track_of(tmp_path, "rank_by: top1_accuracy\n"), track_of(tmp_path, "")
    assert protocol_of(named, "official", "x").hash == protocol_of(default, "official", "x").hash
    named, default = track_of(tmp_path, "rank_by: fid\n", GENERATOR_TRACK), track_of(tmp_path, "", GENERATOR_TRACK)
    assert protocol_of(named, "official", "x").hash == protocol_of(default, "official", "x").hash


def test_shown_metrics_and_advice_are_no_part_of_the_protocol(tmp_path: Path) -> None:
    rules = "metrics: [ece, macro_f1]\nadvice: {training_minutes: 60, memory_gib: 7.5}\n"
    track, plain = track_of(tmp_path, rules), track_of(tmp_path, "")
    assert track.metrics == ("ece", "macro_f1") and track.advice is not None
    assert (track.advice.training_minutes, track.advice.memory_gib) == (60, 7.5)
    assert protocol_of(track, "official", "x") == protocol_of(plain, "official", "x")


@pytest.mark.parametrize(
    ("rank_by", "name", "better"),
    [
        ("top1_accuracy", "top1_accuracy", "higher"),
        ("macro_f1", "macro_f1", "higher"),
        ("balanced_accuracy", "balanced_accuracy", "higher"),
        ("worst_class_accuracy", "worst_class_accuracy", "higher"),
        ("nll", "nll", "lower"),
        ("ece", "ece_15", "lower"),
        ("fid", "fid_40", "lower"),
        ("kid", "kid_40", "lower"),
        ("precision", "precision_40", "higher"),
        ("recall", "recall_40", "higher"),
    ],
)
def test_every_metric_that_may_rank(tmp_path: Path, rank_by: str, name: str, better: str) -> None:
    text = GENERATOR_TRACK if name.endswith("40") else TRACK
    metric = protocol_of(track_of(tmp_path, f"rank_by: {rank_by}\n", text), "official", "shapes4x16").metric
    assert (metric.name, metric.better) == (name, better)


@pytest.mark.parametrize(
    ("rules", "text", "message"),
    [
        (
            "rank_by: accuracy",
            TRACK,
            "`rank_by`: found 'accuracy'; metrics of classification: top1_accuracy, macro_f1, balanced_accuracy, "
            "worst_class_accuracy, nll, ece",
        ),
        ("rank_by: nll", GENERATOR_TRACK, "'nll'; metrics of generation: fid, kid, precision, recall"),
        ("rank_by: fid", TRACK, "'fid'; metrics of classification"),
        ("rank_by: top5_accuracy", TRACK, "'top5_accuracy'; metrics of classification"),
        ("metrics: [nll, speed]", TRACK, "`metrics`: found 'speed'; metrics of classification: top1_accuracy"),
        ("advice: {training_minutes: 0}", TRACK, "advice.training_minutes"),
        ("advice: {hours: 1}", TRACK, "unknown field `advice.hours`"),
    ],
)
def test_wrong_rules_are_named_with_the_allowed_ones(tmp_path: Path, rules: str, text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load_tracks(write_track(tmp_path, text + rules + "\n"))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("cap", LATER_CAPS)
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_caps_are_positive_integers(tmp_path: Path, cap: str, value: str) -> None:
    with pytest.raises(ManifestError, match=rf"caps\.{cap}"):
        load_tracks(write_track(tmp_path, TRACK.replace("params: 2000", f"{cap}: {value}")))


def test_protocol_of_a_record_cannot_rank_by_an_unknown_metric() -> None:
    fields = protocol_of(load_tracks()["cifar100-classification"], "official", "cifar100").model_dump()
    with pytest.raises(ValidationError, match="metrics of classification"):
        Protocol(**{**fields, "rank_by": "luck"})
