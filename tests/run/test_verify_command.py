"""The verification as text: every count, and every difference from the paper by module."""

from pathlib import Path

from bench.contract.tracks import load_tracks
from bench.job.verification import Verifier
from bench.run.discovery import discover
from bench.run.verify_command import report_text, summary_text, verification_spec
from tests.making import write_submission, write_track


def report(folder: Path, manifest: str) -> str:
    ((found,), _) = discover(
        [write_submission(folder, "net", manifest=manifest)], load_tracks(write_track(folder))
    )
    return report_text(found, "base", Verifier(verification_spec(found, "base", "cpu")).run())


def test_an_equal_count(tmp_path: Path) -> None:
    text = report(tmp_path, "track: tiny\nclaims: {params: 276}\n")
    assert "276 params, cap 2,000: within, paper 276: equal" in text
    assert "model.conv" in text and "model.head" in text and text.count("276") >= 3
    assert "✓ two training steps" in text


def test_a_difference_is_named_by_module(tmp_path: Path) -> None:
    claims = "{params: 270, params_by_module: {model.conv: 218, model.bn: 16, model.head: 36, model: 270}}"
    text = report(tmp_path, f"track: tiny\nclaims: {claims}\n")
    assert "paper 270: +6" in text
    assert "  model.conv: 224, paper 218: +6" in text and "  model: 276, paper 270: +6" in text
    assert "model.bn: " not in text and "model.head: " not in text


def test_the_summary_sets_counts_beside_the_papers(tmp_path: Path) -> None:
    manifest = (
        "track: tiny\nclaims: {params: 276}\nablations: {wide: {set: {width: 80}, reports: {params: 2700}}}\n"
    )
    ((found,), _) = discover(
        [write_submission(tmp_path, "net", manifest=manifest)], load_tracks(write_track(tmp_path))
    )
    verified = [(found, v, Verifier(verification_spec(found, v, "cpu")).run()) for v in ("base", "wide")]
    rows = [line.split() for line in summary_text(verified).splitlines()[2:]]
    assert rows == [
        ["net", "276", "276", "equal", "2,000", "✓"],
        ["net/wide", "2,724", "2,700", "+24", "2,000", "over,", "unranked"],
    ]
    text = report_text(found, "wide", verified[1][2])
    assert (
        "! outside of the contest, so it is measured but never ranks: 2,724 params, cap 2,000; the largest" in text
    )
    assert "✗" not in text
