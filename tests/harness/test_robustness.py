"""Robustness: faults that users of similar tools reported, with runs, terminals, paths, options and tracks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import files
from bench.contract.invocation import read_invocation
from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import SCHEMA_VERSION
from bench.errors import ManifestError, UsageError
from bench.harness.config import parse_seeds
from bench.harness.progress.json_lines import JsonLines
from bench.harness.submissions.discovery import submissions_of
from bench.harness.submissions.scaffold import scaffold
from bench.report.records.load import read_all
from tests.making import TRACK, USUAL, bench, write_generator_track, write_submission, write_track
from tests.report.making_contest import contest, write_contest
from tests.report.making_records import make_record

LOGS_SOME_STEPS = {
    "step": """values = {"loss": loss.detach()}
if step >= 3:
    values["accuracy"] = loss.detach()
if step % 5 == 0:
    values["every fifth"] = loss.detach()
return values"""
}
LONG_TRACK = TRACK.replace("official: {steps: 12", "official: {steps: 120")


def options(folder: Path) -> tuple[object, ...]:
    track, results = write_track(folder, LONG_TRACK), folder / "results"
    return ("--track", track, "--results", results, "--device", "cpu", "--jobs", 2)


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a submission that logs some values only in some steps, and one that logs all values in all steps."""
    folder = tmp_path_factory.mktemp("gaps")
    submissions = write_submission(folder, "gaps", LOGS_SOME_STEPS), write_submission(folder, "honest")
    result = bench("run", *submissions, *options(folder))
    assert result.returncode == 0, result.stderr
    return folder


def test_values_logged_in_some_steps_leave_gaps_in_curves(gaps: Path) -> None:
    record = next(r for r in read_all(gaps / "results")[0] if r.identity.submission == "gaps")
    assert record.training is not None
    curves = record.training.curves
    assert {len(values) for values in curves.values.values()} == {100} == {len(curves.steps)}
    assert curves.values["accuracy"][:2] == [None, None] and curves.values["accuracy"][3:].count(None) == 0
    assert None not in curves.values["loss"] and 60 < curves.values["every fifth"].count(None) < 90
    assert curves.of("accuracy")[-1] == (120, curves.values["accuracy"][-1])


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare",),
        ("compare", "--images"),
        ("leaderboard",),
        ("status",),
        ("show", "gaps/base/seed0"),
        ("plot", "curves", "--values", "loss,accuracy,every fifth"),
        ("plot", "curves", "gaps"),
    ],
    ids=" ".join,
)
def test_reports_accept_curves_with_gaps(gaps: Path, arguments: tuple[str, ...]) -> None:
    output_option = ("--output", gaps / "plots") if arguments[0] == "plot" else ()
    result = bench(*arguments, "--results", gaps / "results", *output_option)
    assert result.returncode == 0 and result.stdout, result.stderr


def test_records_are_found_by_relative_paths(gaps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(gaps / "results")
    for path in (".", "./", "../results", "../results/", str(gaps / "results")):
        records, problems = read_all(Path(path))
        assert len(records) == 4 and problems == []


ERRORS = (BrokenPipeError(), UnicodeEncodeError("ascii", "✓", 0, 1, "no"), KeyError("x"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_failing_progress_display_does_not_stop_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(JsonLines, "started", fail)
    result = bench("run", write_submission(tmp_path, "honest"), *options(tmp_path), "--profile", "quick")
    assert result.returncode == 0 and "the runs continue" in result.stderr
    assert [record.status for record in read_all(tmp_path / "results")[0]] == ["ok", "ok"]


@pytest.mark.processes
def test_closed_output_pipe_does_not_stop_runs(tmp_path: Path) -> None:
    arguments = [*map(str, (write_submission(tmp_path, "honest"), *options(tmp_path))), "--profile", "quick"]
    command = [sys.executable, "-m", "bench", "run", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **USUAL}
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 0
    assert [record.status for record in read_all(tmp_path / "results")[0]] == ["ok", "ok"]


COMMANDS = (("status",), ("compare",), ("compare", "--table", "json"), ("verdict",), ("--help",))


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_commands_survive_a_closed_pipe_and_ascii_output(gaps: Path, arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "bench", *arguments]
    command += [] if arguments == ("--help",) else ["--results", str(gaps / "results")]
    reference = subprocess.run(command, capture_output=True, check=False)
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ascii_output = subprocess.run(command, capture_output=True, check=False, env=ascii_only)
    assert ascii_output.returncode == reference.returncode and b"Traceback" not in ascii_output.stderr
    assert bool(ascii_output.stdout.decode("ascii")) == bool(reference.stdout)
    reader, writer = os.pipe()
    os.close(reader)  # before the command writes its first line
    closed = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert closed.returncode == reference.returncode and b"Traceback" not in closed.stderr


def test_commands_survive_closed_or_full_streams(gaps: Path) -> None:
    command = f'"{sys.executable}" -m bench status --results'
    for redirected, code in ((">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("2>/dev/full", 0)):
        result = subprocess.run(
            ["bash", "-c", f'{command} "{gaps / "results"}" {redirected}'], capture_output=True, check=False
        )
        assert result.returncode == code and b"Traceback" not in result.stderr, redirected
    no_records = subprocess.run(["bash", "-c", f'{command} "{gaps / "none"}" 2>/dev/full'], check=False)
    assert no_records.returncode == 5


@pytest.mark.parametrize("sign", ["é", "\u0085", "\u200b", "\U000e0041", "\x1b", "精"])
def test_json_output_is_valid_in_every_encoding(tmp_path: Path, sign: str) -> None:
    record = make_record("net", 0, 0.5)
    write_contest(tmp_path, [record.model_copy(update={"environment": {**record.environment, "device": sign}})])
    for encoding in ("ascii", "utf-8"):
        command = [sys.executable, "-m", "bench", "compare", "--table", "json", "--results", str(tmp_path)]
        variables = {**os.environ, "PYTHONIOENCODING": encoding}
        result = subprocess.run(command, capture_output=True, check=True, env=variables)
        assert json.loads(result.stdout)[0]["rows"][0]["device"] == sign


def test_printed_document_is_escaped_and_passes_its_check(tmp_path: Path) -> None:
    """HTML and headings from a manifest are escaped; a file that is not text fails the check."""
    manifest = (
        "track: cifar100-open\nsummary: |\n  <img src=x onerror=alert(1)>\n\n  # A heading\n"
        'paper: {title: "zero\u200bwidth <script>"}\nclaims: {top1_accuracy: 0.5}\n'
    )
    submission = write_submission(tmp_path, "net", manifest=manifest)
    for arguments in (("papers", submission), ("reproduction", submission, "--results", tmp_path / "none")):
        printed = bench(*arguments).stdout
        assert "<script" not in printed and "<img" not in printed and "\n# A heading" not in printed
        (tmp_path / "page.md").write_text(printed)
        assert bench(*arguments, "--check", tmp_path / "page.md").returncode == 0
        (tmp_path / "page.md").write_bytes(b"\xff\xfe")
        assert bench(*arguments, "--check", tmp_path / "page.md").returncode == 1
    bad = manifest.replace("paper: {", "paper: {url: 'javascript:alert(1)', ")
    assert bench("papers", write_submission(tmp_path, "bad", manifest=bad)).returncode == 2


def test_pipe_or_folder_instead_of_a_record_is_reported(tmp_path: Path) -> None:
    write_contest(tmp_path, [make_record("net", seed, 0.5) for seed in range(3)])
    pipe, folder, _ = record_paths(tmp_path)
    for path in (pipe, folder):
        path.unlink()
    os.mkfifo(pipe)
    folder.mkdir()
    for command in ("compare", "status", "leaderboard --no-site", "verdict"):
        result = bench(*command.split(), "--results", tmp_path)
        assert result.returncode in (2, 3, 5)
        assert "not a file" in result.stderr + result.stdout
    assert "net" in bench("compare", "--results", tmp_path).stdout


def test_path_with_invalid_utf8_is_shown_on_pages(tmp_path: Path) -> None:
    write_contest(tmp_path, contest()[:5])
    odd = tmp_path / "runs" / "tiny" / "n\udcff" / "base" / "seed0-01234567.json"  # a byte that is not valid UTF-8
    odd.parent.mkdir(parents=True)
    odd.write_text("{}")
    result = bench("leaderboard", "--results", tmp_path)
    assert result.returncode == 2 and r"n\udcff" in result.stderr
    assert r"n\udcff" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_missing_loss_key_is_named_in_the_reason(tmp_path: Path) -> None:
    forgets = write_submission(tmp_path, "forgets", {"step": "if step == 2: return {'other': loss.detach()}"})
    result = bench("run", forgets, *options(tmp_path), "--profile", "quick", "--seed", 0)
    (record,) = read_all(tmp_path / "results")[0]
    assert result.returncode == 4 and record.status == "contract"
    assert "it must return a dict of tensors with the key 'loss'" in (record.reason or "")


def test_full_disk_is_a_one_line_error(gaps: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "bench", "compare", "--results", str(gaps / "results")]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 2 and result.stderr == "bench: the system: No space left on device\n"


def test_cache_folder_is_absolute_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    assert files.cache_folder().is_absolute() and "~" not in str(files.cache_folder())
    assert files.without_local_paths(f"{files.REPOSITORY}/x of /root/y") == "./x of /root/y"


def test_lower_resource_limits_of_the_user_are_kept(tmp_path: Path) -> None:
    """If ``ulimit -f`` or ``-d`` is lower than the harness's limit, raising it would fail, so it is kept."""
    check = (
        "import resource; from types import SimpleNamespace as N; from bench.job.main import limit_resources\n"
        "limit_resources(N(file_bytes=2**40, memory_bytes=2**50, device='cpu'))\n"
        "print(resource.getrlimit(resource.RLIMIT_FSIZE))"
    )
    command = ["bash", "-c", 'ulimit -f 1000000; ulimit -d 90000000; exec "$0" -c "$1"', sys.executable, check]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"({1_000_000 * 1024}, {1_000_000 * 1024})\n"


def contents_and_times(folder: Path) -> dict[Path, Any]:
    """Return the modification time and the bytes of every file in ``folder``."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_reading_commands_write_nothing(tmp_path: Path) -> None:
    """The folder has a truncated record, a record of another run and a record of a newer version."""
    submission = write_submission(tmp_path, "honest")
    run_options = (*options(tmp_path), "--profile", "quick")
    assert bench("run", submission, *run_options, "--seeds", 3).returncode == 0
    damaged, foreign, newer = record_paths(tmp_path / "results")
    damaged.write_text(damaged.read_text()[:500])
    foreign.write_text(newer.read_text())
    later = SCHEMA_VERSION + 1
    newer.write_text(
        newer.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', f'"schema_version": {later}')
    )
    before = contents_and_times(tmp_path / "results")
    plan = bench("run", submission, *run_options, "--seeds", 2, "--dry-run")
    assert plan.returncode == 0 and "truncated" in plan.stderr and "is the record of another run" in plan.stderr
    for command in ("status", "compare", "verdict", "show seed0", f"plot curves --output {tmp_path / 'p'}"):
        bench(*command.split(), "--results", tmp_path / "results")
    refused = bench("run", submission, *run_options, "--seed", 2)
    assert refused.returncode == 2
    assert f"schema_version {later}, this version reads {SCHEMA_VERSION}; update capbench" in refused.stderr
    assert before == contents_and_times(tmp_path / "results")
    result = bench("run", submission, *run_options, "--seeds", 2)
    assert result.returncode == 0
    assert [read_record(path).identity.seed for path in (damaged, foreign)] == [0, 1]
    assert damaged.with_suffix(".unusable").read_bytes() == before[damaged][1]
    assert newer.read_bytes() == before[newer][1]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", [0, 1, 2]), ("0,", [0]), ("0,3,7", [0, 3, 7]), ("2-4", [2, 3, 4]), ("7-7,1", [7, 1]), (" 2 ", [0, 1])],
)
def test_seed_options_are_parsed(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text, 5) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1732600000", "1,732,600,000 seeds, at most 10,000"),
        ("0-99999999999", "100,000,000,000 seeds"),
        ("0", "for the seed 0 give --seed 0"),
        ("-1", "give a count"),
        ("1,1", "only 1 distinct"),
        ("9" * 5_000, "give a count"),
        ("²", "give a count"),
        ("5-2", ": no seed$"),
        (",", ": no seed$"),
        ("\u0661", "give a count"),
    ],
)
def test_invalid_seed_options_are_refused_in_one_short_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        parse_seeds(text, 5)
    assert len(str(raised.value)) < 300


def test_seed_option_selects_one_seed(gaps: Path, tmp_path: Path) -> None:
    conflicting = bench("run", gaps / "honest", "--seed", 0, "--seeds", 2, "--results", tmp_path)
    assert conflicting.returncode == 2 and "give one of the two" in conflicting.stderr
    result = bench("run", gaps / "honest", *options(gaps), "--seed", 1, "--dry-run")
    assert '"to_do": 0, "done": 1' in result.stderr


@pytest.mark.parametrize("name", ["real-images", "n" * 101, "n" * 250, "Net", "a/b", "", "..", "a\nb"])
def test_invalid_submission_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as raised:
        scaffold(name, "classification", tmp_path)
    assert "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []
    long = write_submission(tmp_path, "n" * 101)
    _, ((_, error),) = submissions_of([long], write_track(tmp_path))
    assert isinstance(error, ManifestError) and "at most 100" in str(error)


@pytest.mark.parametrize("path", ["x" * 300, "a/" + "x" * 300 + "/b"], ids=["long name", "long parent"])
@pytest.mark.parametrize("command", ["run", "verify", "status", "compare", "papers", "unpack", "show", "plot"])
def test_overlong_path_is_a_one_line_error(command: str, path: str, gaps: Path) -> None:
    reports: dict[str, list[str]] = {"status": [], "compare": [], "plot": ["curves"]}
    result = bench(command, *([*reports[command], "--results", path] if command in reports else [path]))
    assert result.returncode in (2, 5) and "Traceback" not in result.stderr and result.stderr.startswith("bench: ")
    assert result.stderr.count("\n") == 1


def test_symlinked_site_folder_stays_a_symlink(tmp_path: Path) -> None:
    results, pages = tmp_path / "results", tmp_path / "pages"
    write_contest(results, contest()[:5])
    pages.mkdir()
    (pages / "old.html").write_text("old")
    (results / "site").symlink_to(pages)
    for _ in range(2):
        assert bench("leaderboard", "--results", results).returncode == 0
        assert (
            (results / "site").is_symlink()
            and (pages / "index.html").exists()
            and not (pages / "old.html").exists()
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pages", "results"]


def test_unknown_config_fields_are_reported_before_any_run(tmp_path: Path) -> None:
    manifest = (
        "track: tiny\nablations: {a: {set: {widht: 3}}, b: {set: {width: wide}}, c: {set: {width: 3}}}\n"
        "profiles: {quick: {set: {learning_rat: 0.1}}}\n"
        "search: {set: {batch: 3}, space: {widt: {integer: [1, 4]}, width: {choice: [x]}}}\n"
    )
    result = bench(
        "verify", write_submission(tmp_path, "typo", manifest=manifest), "--track", write_track(tmp_path)
    )
    assert result.returncode == 4
    for message in (
        "ablations.a.set: Config has no field 'widht'",
        "ablations.b.set: Config.width is set to",
        "profiles.quick.set: Config has no field 'learning_rat'",
        "search.set: Config has no field 'batch'",
        "search.space: Config has no field 'widt'",
    ):
        assert message in result.stdout, message
    assert "ablations.c" not in result.stdout


def test_track_option_restricts_every_command_to_its_track(tmp_path: Path) -> None:
    matching = write_submission(tmp_path / "s", "own")
    shipped = write_submission(tmp_path / "s", "shipped", manifest="track: cifar100-classification\n")
    track, other = write_track(tmp_path), write_generator_track(tmp_path)
    sources, broken = submissions_of([tmp_path / "s"], track)
    assert [source.name for source in sources] == ["own"] and broken == []
    sources, broken = submissions_of([tmp_path / "s"], Path("cifar100-classification"))
    assert [source.name for source in sources] == ["shipped"] and [path.name for path, _ in broken] == ["own"]
    skipped = bench("run", shipped, "--track", track, "--results", tmp_path / "r", "--profile", "quick")
    assert (
        skipped.returncode == 5
        and "no submission of track tiny; found shipped (cifar100-classification)" in skipped.stderr
    )
    assert not list((tmp_path / "r").rglob("*.json"))
    mixed = bench("verify", matching, shipped, "--track", track)
    assert mixed.returncode == 0 and "skipped submissions of other tracks: shipped" in mixed.stderr
    assert bench("run", matching, "--track", "no-such-track").returncode == 2
    folder = ("--results", tmp_path / "r")
    for arguments in (
        ("papers", matching),
        ("reproduction", matching, *folder),
        ("status", *folder),
        ("compare", *folder),
        ("check", "--baseline", tmp_path / "r", *folder),
        ("score-real", *folder),
        ("score", matching, *folder),
    ):
        for track_option in (track, other, "cifar100-open", tmp_path / "absent.yaml"):
            result = bench(*arguments, "--track", track_option)
            assert result.returncode in (0, 2, 5) and "Traceback" not in result.stderr, (arguments, track_option)
    assert "own" in bench("papers", matching, "--track", track).stdout


def test_certificate_of_a_custom_track_needs_its_track_file(tmp_path: Path) -> None:
    submission, track = write_submission(tmp_path / "submissions", "honest"), write_track(tmp_path)
    track_options = ("--track", track, "--device", "cpu")
    run_options = ("--profile", "quick", "--results", tmp_path / "r", "--sandbox", "none", "--jobs", 1)
    assert bench("run", submission, *track_options, *run_options, "--seed", 0).returncode == 0
    certificate = tmp_path / "c.json"
    assert bench("certify", "seed0", "--results", tmp_path / "r", "--output", certificate).returncode == 0
    assert "--track tiny.yaml" in certificate.read_text()
    check = ("verify-certificate", certificate, "--submissions", tmp_path / "submissions", "--device", "cpu")
    unknown = bench(*check)
    assert (
        unknown.returncode == 2
        and "found 'tiny'; known tracks" in unknown.stderr
        and "--track FILE" in unknown.stderr
    )
    wrong_track = bench(*check, "--track", "cifar100-open")
    assert wrong_track.returncode in (2, 5) and "Traceback" not in wrong_track.stderr
    verified = bench(*check, "--track", track)
    assert (
        verified.returncode == 0
        and "the certificate holds: the trained weights and all metrics are bit-identical" in verified.stdout
    ), verified.stderr


def test_run_options_are_saved_beside_the_record_only(gaps: Path, tmp_path: Path) -> None:
    broken = write_submission(tmp_path, "broken", {"step": "raise OSError(5)"})
    bench("run", broken, *options(tmp_path), "--profile", "quick", "--embedded", "--seed", 0)
    (path,) = record_paths(tmp_path / "results")
    invocation = read_invocation(path.with_suffix(""))
    assert (
        invocation is not None
        and invocation.embedded
        and invocation.folder == broken
        and invocation.track_file == tmp_path / "tiny.yaml"
    )
    assert str(tmp_path) not in path.read_text()
    status = bench("status", "--results", tmp_path / "results").stdout
    assert f"--track {tmp_path / 'tiny.yaml'} --embedded" in status
