"""Manifests and tracks: valid ones load, errors name the file and the field."""

from pathlib import Path

import pytest

from bench.contract.manifest import load_manifest
from bench.contract.tracks import Caps, Protocol, load_tracks, protocol_of
from bench.errors import ManifestError, UsageError

COMPLETE = """
track: cifar100-classification
summary: A network
paper: {title: T, authors: [A, B], year: 2024}
claims: {params: 10, top1_accuracy: {mean: 0.5, std: 0.1, over: batches of one run}, fid: 62}
as_published: {mode: train, batch_size: 128, why: because}
ablations:
  wide: {what: twice the width, set: {width: 64}, reports: {top1_accuracy: 0.6}}
profiles:
  smoke: {set: {sampling_steps: 20, width: 8}}
notes: [one, two]
"""


def manifest(folder: Path, text: str) -> Path:
    path = folder / "submission.yaml"
    path.write_text(text)
    return path


def test_complete_manifest_is_read(tmp_path: Path) -> None:
    loaded = load_manifest(manifest(tmp_path, COMPLETE))
    assert loaded.claims.top1_accuracy is not None and loaded.claims.top1_accuracy.std == 0.1
    assert loaded.claims.fid is not None and loaded.claims.fid.mean == 62  # a single number is a mean
    assert loaded.overrides("base", "official") == {}
    assert loaded.overrides("wide", "official") == {"width": 64}
    # The variant's width overrides the profile's.
    assert loaded.overrides("wide", "smoke") == {"sampling_steps": 20, "width": 64}
    assert loaded.claims_of("wide").top1_accuracy.mean == 0.6  # type: ignore[union-attr]
    with pytest.raises(KeyError):
        loaded.overrides("nope", "official")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the whole file"),
        ("- a\n- b", "the whole file"),
        ("track: [", "not valid YAML"),
        ("track: x\nclaims: {params: many}", "field `claims.params`: found 'many'"),
        ("track: x\nclaims: {top1: 0.5}", "unknown field `claims.top1`"),
        ("summary: no track", "field `track` is missing"),
        ("track: x\nas_published: {mode: test, batch_size: 1, why: y}", "field `as_published.mode`"),
        ("track: x\nas_published: {mode: train, batch_size: 0, why: y}", "greater than 0"),
        ("track: x\nablations: {Wide!: {set: {a: 1}}}", "ablation 'Wide!'"),
        ("track: x\nablations: {base: {set: {a: 1}}}", "ablation 'base'"),
        ("track: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("a: &a [*a]", "an alias to a node that contains it"),
    ],
)
def test_invalid_manifest_fields_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = manifest(tmp_path, text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_variant_without_changes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"ablations\.same.*changes nothing; give `set`, `steps` or both"):
        load_manifest(manifest(tmp_path, "track: x\nablations: {same: {what: nothing}}"))


def test_absent_and_unreadable_manifests_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file; `bench new"):
        load_manifest(tmp_path / "submission.yaml")
    (tmp_path / "submission.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot be read"):
        load_manifest(tmp_path / "submission.yaml")


def test_shipped_tracks_have_the_official_caps_and_splits() -> None:
    tracks = load_tracks()
    classification, generation = tracks["cifar100-classification"], tracks["cifar100-generation"]
    assert classification.caps.params == 100_000 and generation.caps.params == 1_000_000
    assert classification.profiles["official"].steps == 10_000 and generation.profiles["official"].steps == 50_000
    for track in tracks.values():
        official = track.profiles["official"]
        assert official.evaluate == "test"
        # Only the official profile evaluates on the test images.
        assert all(p.evaluate == "validation" for name, p in track.profiles.items() if name != "official")


def test_steps_of_other_profiles_are_scaled(tmp_path: Path) -> None:
    text = "track: x\nsteps: 9000\nablations: {longer: {steps: 20000}, wide: {set: {width: 2}}}"
    loaded, track = load_manifest(manifest(tmp_path, text)), load_tracks()["cifar100-classification"]
    assert [loaded.official_steps(name) for name in ("base", "longer", "wide")] == [9000, 20000, 9000]
    assert track.steps("official", 20_000) == 20_000 and track.steps("quick", 20_000) == 2_000
    assert track.steps("quick", None) == 1_000 and track.steps("smoke", 1) == 1


def test_protocol_hash_depends_on_profile_data_caps_and_batch_size() -> None:
    track = load_tracks()["cifar100-classification"]
    hashes = {protocol_of(track, profile, "cifar100").hash for profile in track.profiles}
    hashes.add(protocol_of(track, "official", "shapes100").hash)
    hashes.add(protocol_of(track.model_copy(update={"caps": Caps(params=1)}), "official", "cifar100").hash)
    hashes.add(protocol_of(track.model_copy(update={"evaluation_batch_size": 1}), "official", "cifar100").hash)
    assert len(hashes) == len(track.profiles) + 3
    with pytest.raises(UsageError, match="no profile 'huge'; it has demo, official, quick, smoke"):
        track.profile("huge")


class LaterCaps(Caps):
    """Caps as a later version may define them."""

    macs: int | None = None


class LaterProtocol(Protocol):
    caps: LaterCaps  # type: ignore[assignment]


def test_protocol_hash_ignores_unset_caps_that_were_added_later() -> None:
    protocol = protocol_of(load_tracks()["cifar100-open"], "official", "cifar100")  # which has no caps
    fields = protocol.model_dump()
    assert LaterProtocol(**fields).hash == protocol.hash
    assert LaterProtocol(**{**fields, "caps": LaterCaps(macs=10**6)}).hash != protocol.hash


TRACK = """
name: mine
title: Mine
task: classification
data: shapes4x16
embedded_data: shapes4x16
profiles: {official: {steps: 5, seeds: 1, train: train, evaluate: test}}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("official", "final", "has no profile 'official'"),
        ("steps: 5", "steps: 0", "profiles.official.steps"),
        ("evaluate: test", "evaluate: train", "evaluates on 'train' while training on 'train'"),
        ("train: train,", "train: test,", "test"),
        ("evaluate: test", "evaluate: train+validation", "evaluates on 'train+validation'"),
        ("task: classification", "task: generation", "needs `samples`"),
        ("task: classification", "task: sorting", "field `task`"),
        ("name: mine", "name: cifar100-generation", "ships with the package"),
        ("name: mine", "name: ../mine", "field `name`"),
    ],
)
def test_invalid_tracks_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "track.yaml"
    path.write_text(TRACK.replace(old, new))
    with pytest.raises(ManifestError) as caught:
        load_tracks(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    path.write_text(TRACK)
    assert load_tracks(path)["mine"].caps == Caps()


@pytest.mark.parametrize("field", ["samples", "evaluation_images", "train_references", "train_searched"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_image_counts_too_small_for_metrics_are_refused(tmp_path: Path, field: str, count: int) -> None:
    """Every metric is defined for at least four images (test_few_images)."""
    counts = {"samples": 40, field: count}
    text = TRACK.replace("task: classification", "task: generation")
    fields = ", ".join(f"{name}: {value}" for name, value in counts.items())
    path = tmp_path / "track.yaml"
    path.write_text(text.replace("evaluate: test", f"evaluate: test, {fields}"))
    if count >= 4:
        assert load_tracks(path)["mine"].task == "generation"
        return
    with pytest.raises(ManifestError, match=f"profile 'official': `{field}` is {count}; metrics need at least 4"):
        load_tracks(path)
