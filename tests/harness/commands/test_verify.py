"""The report of ``bench verify``: parameter counts, differences from the paper by module, and failures."""

from pathlib import Path

from bench.contract.tracks import load_tracks
from bench.harness.commands.verify import verification_spec
from bench.harness.commands.verify_text import line_text, report_text, summary_text
from bench.harness.submissions.discovery import discover
from bench.job.phases.verification import Verifier
from tests.making import bench, write_generator, write_generator_track, write_submission, write_track


def report(folder: Path, manifest: str) -> str:
    ((source,), _) = discover(
        [write_submission(folder, "net", manifest=manifest)], load_tracks(write_track(folder))
    )
    return report_text(source, "base", Verifier(verification_spec(source, "base", "cpu")).run())


def test_count_equal_to_the_paper_is_reported(tmp_path: Path) -> None:
    text = report(tmp_path, "track: tiny\nclaims: {params: 276}\n")
    assert "276 params, cap 2,000: within, paper 276: equal" in text
    assert "model.conv" in text and "model.head" in text and text.count("276") >= 3
    assert "✓ two training steps" in text


def test_differing_count_is_reported_by_module(tmp_path: Path) -> None:
    claims = "{params: 270, params_by_module: {model.conv: 218, model.bn: 16, model.head: 36, model: 270}}"
    text = report(tmp_path, f"track: tiny\nclaims: {claims}\n")
    assert "paper 270: +6" in text
    assert "  model.conv: 224, paper 218: +6" in text and "  model: 276, paper 270: +6" in text
    assert "model.bn: " not in text and "model.head: " not in text


def test_summary_compares_counts_with_the_paper_and_the_cap(tmp_path: Path) -> None:
    manifest = (
        "track: tiny\nclaims: {params: 276}\nablations: {wide: {set: {width: 80}, reports: {params: 2700}}}\n"
    )
    ((source,), _) = discover(
        [write_submission(tmp_path, "net", manifest=manifest)], load_tracks(write_track(tmp_path))
    )
    verified = [
        (source, variant, Verifier(verification_spec(source, variant, "cpu")).run())
        for variant in ("base", "wide")
    ]
    rows = [line.split() for line in summary_text(verified).splitlines()[2:]]
    assert rows == [
        ["net", "276", "276", "equal", "2,000", "0.01", "✓"],
        ["net/wide", "2,724", "2,700", "+24", "2,000", "0.14", "over,", "unranked"],
    ]
    over = "! net/wide: over the cap or budget, so it is measured but never ranked: 2,724 params, "
    for text in (report_text(source, "wide", verified[1][2]), line_text(source, "wide", verified[1][2])):
        assert over in text and "✗" not in text


def test_several_submissions_have_a_line_each_and_one_table(tmp_path: Path) -> None:
    """Thirty reports by module would hide the reasons of the failures."""
    wide = write_submission(tmp_path, "wide")
    model = wide / "model.py"
    model.write_text(model.read_text().replace("width: int = 8", "width: int = 80"))
    paths = (
        write_submission(tmp_path, "net"),
        wide,
        write_submission(tmp_path, "fails", {"loss": "raise OSError(5)"}),
    )
    options = ("--track", write_track(tmp_path), "--device", "cpu")
    short, details = bench("verify", *paths, *options), bench("verify", *paths, *options, "--details")
    assert short.returncode == details.returncode == 4
    lines = short.stdout.splitlines()
    assert lines[:3] == [
        "✓ net: 276 params, 0.01 MMACs",
        "✗ wide: 2,724 params, cap 2,000; the largest parts: model.conv 2,240, model.head 324, model.bn 160",
        "✗ fails: OSError: 5 (model.py, line 57, in train_step)",
    ]
    assert [line.split()[:5] for line in lines[6:9]] == [
        ["net", "276", "2,000", "0.01", "✓"],
        ["wide", "2,724", "2,000", "0.14", "✗"],
        ["fails", "–", "2,000", "–", "✗"],
    ]
    assert lines[7].endswith("✗ 2,724 params, cap 2,000; the largest parts: model.conv 2,24…")
    assert "✗ OSError: 5" in lines[8] and lines[-1].startswith("1 verified, 2 failed")
    assert "model.head  " not in short.stdout and details.stdout.count("model.head  ") == 2


def test_report_lists_only_the_checks_that_were_made(tmp_path: Path) -> None:
    reports = {
        kind: bench("verify", submission, "--track", track, "--device", "cpu").stdout
        for kind, submission, track in (
            ("classifier", write_submission(tmp_path, "net"), write_track(tmp_path)),
            ("generator", write_generator(tmp_path, "gan"), write_generator_track(tmp_path)),
        )
    }
    assert (
        "batch independence" in reports["classifier"]
        and "the same predictions from a network rebuilt" in reports["classifier"]
    )
    assert (
        "batch independence" not in reports["generator"]
        and "the same samples from a network rebuilt" in reports["generator"]
    )
    assert (
        "the same images from decode(latent(...)) and sample" in reports["generator"]
        and "latent" not in reports["classifier"]
    )
    assert all(text.strip().endswith("1 verified") for text in reports.values())


def test_failures_are_counted_and_debug_shows_their_output(tmp_path: Path) -> None:
    loud = {"init": "print('my layers')", "loss": "raise KeyError('my mistake')"}
    paths = [write_submission(tmp_path, "good"), write_submission(tmp_path, "loud", loud)]
    command = ("verify", *paths, "--track", write_track(tmp_path), "--device", "cpu")
    default, debug = bench(*command), bench(*command, "--debug")
    assert default.returncode == debug.returncode == 3
    assert default.stdout.strip().endswith("1 verified, 1 failed; --debug shows their output and tracebacks")
    assert "my layers" not in default.stdout and "Traceback" not in default.stdout
    assert "  | my layers" in debug.stdout and "  | Traceback (most recent call last):" in debug.stdout
    assert debug.stdout.strip().endswith("1 verified, 1 failed")
    assert "(nothing was printed)" in debug.stdout  # the valid submission has no output


def test_failed_run_names_its_log_file(tmp_path: Path) -> None:
    at_once = write_submission(tmp_path, "at_once", {"loss": "print('here'); raise OSError(5)"})
    later = "if step == 7 and self.schedule.total_steps == 12: print('there'); raise OSError(5)"
    options = ("--track", write_track(tmp_path), "--results", tmp_path / "r", "--device", "cpu", "--threads", 1)
    paths = (at_once, write_submission(tmp_path, "later", {"loss": later}))
    result = bench("run", *paths, *options, "--profile", "quick", "--seeds", 1, BENCH_LOG_FORMAT="lines")
    assert result.returncode == 3
    for name, text in (("at_once", "here"), ("later", "there")):
        (line,) = [line for line in result.stderr.splitlines() if f"✗ {name}" in line and "; log: " in line]
        log = Path(line.partition("; log: ")[2].partition("  (")[0])
        assert log.is_file() and text in log.read_text() and "OSError" in log.read_text()
