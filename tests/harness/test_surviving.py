"""What users have met elsewhere: odd runs, odd machines, odd terminals. Nobody loses a result by it."""

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

NOW_AND_THEN = {
    "step": """values = {"loss": loss.detach()}
if step >= 3:
    values["accuracy"] = loss.detach()
if step % 5 == 0:
    values["every fifth"] = loss.detach()
return values"""
}
LONG = TRACK.replace("official: {steps: 12", "official: {steps: 120")


def options(folder: Path) -> tuple[object, ...]:
    track, results = (
        write_track(folder, TRACK.replace("official: {steps: 12", "official: {steps: 120")),
        folder / "results",
    )
    return ("--track", track, "--results", results, "--device", "cpu", "--jobs", 2)


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that logs some things now and then, beside one that does not."""
    folder = tmp_path_factory.mktemp("gaps")
    submissions = write_submission(folder, "gaps", NOW_AND_THEN), write_submission(folder, "honest")
    done = bench("run", *submissions, *options(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_what_is_logged_now_and_then_leaves_gaps(gaps: Path) -> None:
    record = next(r for r in read_all(gaps / "results")[0] if r.identity.submission == "gaps")
    assert record.training is not None
    curves = record.training.curves
    assert {len(values) for values in curves.values.values()} == {100} == {len(curves.steps)}
    assert curves.values["accuracy"][:2] == [None, None] and curves.values["accuracy"][3:].count(None) == 0
    assert None not in curves.values["loss"] and 60 < curves.values["every fifth"].count(None) < 90
    assert curves.of("accuracy")[-1] == (120, curves.values["accuracy"][-1])


@pytest.mark.parametrize(
    "words",
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
def test_reports_of_gaps(gaps: Path, words: tuple[str, ...]) -> None:
    more = ("--output", gaps / "plots") if words[0] == "plot" else ()
    done = bench(*words, "--results", gaps / "results", *more)
    assert done.returncode == 0 and done.stdout, done.stderr


def test_reports_from_within_the_results_folder(gaps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(gaps / "results")
    for place in (".", "./", "../results", "../results/", str(gaps / "results")):
        records, problems = read_all(Path(place))
        assert len(records) == 4 and problems == []


ERRORS = (BrokenPipeError(), UnicodeEncodeError("ascii", "✓", 0, 1, "no"), KeyError("x"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_display_that_fails_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(JsonLines, "started", fail)
    done = bench("run", write_submission(tmp_path, "honest"), *options(tmp_path), "--profile", "quick")
    assert done.returncode == 0 and "the runs continue" in done.stderr
    assert [record.status for record in read_all(tmp_path / "results")[0]] == ["ok", "ok"]


@pytest.mark.processes
def test_a_reader_that_goes_away_costs_no_record(tmp_path: Path) -> None:
    words = [*map(str, (write_submission(tmp_path, "honest"), *options(tmp_path))), "--profile", "quick"]
    command = [sys.executable, "-m", "bench", "run", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **USUAL}
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 0
    assert [record.status for record in read_all(tmp_path / "results")[0]] == ["ok", "ok"]


COMMANDS = (("status",), ("compare",), ("compare", "--table", "json"), ("verdict",), ("--help",))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_closed_pipe_and_ascii(gaps: Path, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "bench", *words]
    command += [] if words == ("--help",) else ["--results", str(gaps / "results")]
    usual = subprocess.run(command, capture_output=True, check=False)
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    plain = subprocess.run(command, capture_output=True, check=False, env=ascii_only)
    assert plain.returncode == usual.returncode and b"Traceback" not in plain.stderr
    assert bool(plain.stdout.decode("ascii")) == bool(usual.stdout)
    reader, writer = os.pipe()
    os.close(reader)  # whoever was to read is gone before the first word
    closed = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert closed.returncode == usual.returncode and b"Traceback" not in closed.stderr


def test_streams_that_are_closed_or_full(gaps: Path) -> None:
    words = f'"{sys.executable}" -m bench status --results'
    for redirected, code in ((">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("2>/dev/full", 0)):
        done = subprocess.run(
            ["bash", "-c", f'{words} "{gaps / "results"}" {redirected}'], capture_output=True, check=False
        )
        assert done.returncode == code and b"Traceback" not in done.stderr, redirected
    nothing = subprocess.run(["bash", "-c", f'{words} "{gaps / "none"}" 2>/dev/full'], check=False)
    assert nothing.returncode == 5


@pytest.mark.parametrize("sign", ["é", "\u0085", "\u200b", "\U000e0041", "\x1b", "精"])
def test_json_is_json_on_every_terminal(tmp_path: Path, sign: str) -> None:
    record = make_record("net", 0, 0.5)
    write_contest(tmp_path, [record.model_copy(update={"environment": {**record.environment, "device": sign}})])
    for encoding in ("ascii", "utf-8"):
        command = [sys.executable, "-m", "bench", "compare", "--table", "json", "--results", str(tmp_path)]
        variables = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, capture_output=True, check=True, env=variables)
        assert json.loads(done.stdout)[0]["rows"][0]["device"] == sign


def test_a_document_is_current_right_after_it_was_printed(tmp_path: Path) -> None:
    """With whatever a manifest has in it, and a file that is no text beside it."""
    manifest = (
        "track: cifar100-open\nsummary: |\n  <img src=x onerror=alert(1)>\n\n  # A heading\n"
        'paper: {title: "zero\u200bwidth <script>"}\nclaims: {top1_accuracy: 0.5}\n'
    )
    submission = write_submission(tmp_path, "net", manifest=manifest)
    for words in (("papers", submission), ("reproduction", submission, "--results", tmp_path / "none")):
        printed = bench(*words).stdout
        assert "<script" not in printed and "<img" not in printed and "\n# A heading" not in printed
        (tmp_path / "page.md").write_text(printed)
        assert bench(*words, "--check", tmp_path / "page.md").returncode == 0
        (tmp_path / "page.md").write_bytes(b"\xff\xfe")
        assert bench(*words, "--check", tmp_path / "page.md").returncode == 1
    bad = manifest.replace("paper: {", "paper: {url: 'javascript:alert(1)', ")
    assert bench("papers", write_submission(tmp_path, "bad", manifest=bad)).returncode == 2


def test_what_lies_in_a_records_place_and_is_no_file(tmp_path: Path) -> None:
    write_contest(tmp_path, [make_record("net", seed, 0.5) for seed in range(3)])
    pipe, folder, _ = record_paths(tmp_path)
    for path in (pipe, folder):
        path.unlink()
    os.mkfifo(pipe)
    folder.mkdir()
    for words in ("compare", "status", "leaderboard --no-site", "verdict"):
        done = bench(*words.split(), "--results", tmp_path)
        assert done.returncode in (2, 3, 5)
        assert "not a file" in done.stderr + done.stdout
    assert "net" in bench("compare", "--results", tmp_path).stdout


def test_a_path_that_is_no_text_is_named_on_pages_too(tmp_path: Path) -> None:
    write_contest(tmp_path, contest()[:5])
    odd = tmp_path / "runs" / "tiny" / "n\udcff" / "base" / "seed0-01234567.json"  # a byte that is no UTF-8
    odd.parent.mkdir(parents=True)
    odd.write_text("{}")
    done = bench("leaderboard", "--results", tmp_path)
    assert done.returncode == 2 and r"n\udcff" in done.stderr
    assert r"n\udcff" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_a_step_that_forgets_its_loss_is_told_so(tmp_path: Path) -> None:
    forgets = write_submission(tmp_path, "forgets", {"step": "if step == 2: return {'other': loss.detach()}"})
    done = bench("run", forgets, *options(tmp_path), "--profile", "quick", "--seed", 0)
    (record,) = read_all(tmp_path / "results")[0]
    assert done.returncode == 4 and record.status == "contract"
    assert "it must return a dict of tensors with the key 'loss'" in (record.reason or "")


def test_a_full_disk_is_told(gaps: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "bench", "compare", "--results", str(gaps / "results")]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "bench: the system: No space left on device\n"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    assert files.cache_folder().is_absolute() and "~" not in str(files.cache_folder())
    assert files.without_local_paths(f"{files.REPOSITORY}/x of /root/y") == "./x of /root/y"


def test_limits_of_the_users_own_are_kept_and_do_no_harm(tmp_path: Path) -> None:
    """``ulimit -f`` and ``ulimit -v`` lower than ours: raising them again is refused by the system."""
    check = (
        "import resource; from types import SimpleNamespace as N; from bench.job.main import limit_resources\n"
        "limit_resources(N(file_bytes=2**40, memory_bytes=2**50, device='cpu'))\n"
        "print(resource.getrlimit(resource.RLIMIT_FSIZE))"
    )
    command = ["bash", "-c", 'ulimit -f 1000000; ulimit -d 90000000; exec "$0" -c "$1"', sys.executable, check]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"({1_000_000 * 1024}, {1_000_000 * 1024})\n"


def everything(folder: Path) -> dict[Path, Any]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_what_only_looks_writes_nothing(tmp_path: Path) -> None:
    """Of a folder with a damaged record, a foreign one and one of a newer version."""
    submission = write_submission(tmp_path, "honest")
    own = (*options(tmp_path), "--profile", "quick")
    assert bench("run", submission, *own, "--seeds", 3).returncode == 0
    damaged, foreign, newer = record_paths(tmp_path / "results")
    damaged.write_text(damaged.read_text()[:500])
    foreign.write_text(newer.read_text())
    later = SCHEMA_VERSION + 1
    newer.write_text(
        newer.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', f'"schema_version": {later}')
    )
    before = everything(tmp_path / "results")
    plan = bench("run", submission, *own, "--seeds", 2, "--dry-run")
    assert plan.returncode == 0 and "truncated" in plan.stderr and "is the record of another run" in plan.stderr
    for words in ("status", "compare", "verdict", "show seed0", f"plot curves --output {tmp_path / 'p'}"):
        bench(*words.split(), "--results", tmp_path / "results")
    refused = bench("run", submission, *own, "--seed", 2)
    assert refused.returncode == 2
    assert f"schema_version {later}, this version reads {SCHEMA_VERSION}; update capbench" in refused.stderr
    assert before == everything(tmp_path / "results")
    done = bench("run", submission, *own, "--seeds", 2)
    assert done.returncode == 0
    assert [read_record(path).identity.seed for path in (damaged, foreign)] == [0, 1]
    assert damaged.with_suffix(".unusable").read_bytes() == before[damaged][1]
    assert newer.read_bytes() == before[newer][1]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", [0, 1, 2]), ("0,", [0]), ("0,3,7", [0, 3, 7]), ("2-4", [2, 3, 4]), ("7-7,1", [7, 1]), (" 2 ", [0, 1])],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text, 5) == seeds


@pytest.mark.parametrize(
    ("text", "words"),
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
def test_seeds_that_make_no_sense_are_named_at_once(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        parse_seeds(text, 5)
    assert len(str(raised.value)) < 300


def test_one_seed_by_its_own_option(gaps: Path, tmp_path: Path) -> None:
    both = bench("run", gaps / "honest", "--seed", 0, "--seeds", 2, "--results", tmp_path)
    assert both.returncode == 2 and "give one of the two" in both.stderr
    done = bench("run", gaps / "honest", *options(gaps), "--seed", 1, "--dry-run")
    assert '"to_do": 0, "done": 1' in done.stderr


@pytest.mark.parametrize("name", ["real-images", "n" * 101, "n" * 250, "Net", "a/b", "", "..", "a\nb"])
def test_names_that_no_submission_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as raised:
        scaffold(name, "classification", tmp_path)
    assert "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []
    long = write_submission(tmp_path, "n" * 101)
    _, ((_, error),) = submissions_of([long], write_track(tmp_path))
    assert isinstance(error, ManifestError) and "at most 100" in str(error)


@pytest.mark.parametrize("place", ["x" * 300, "a/" + "x" * 300 + "/b"], ids=["long", "long within"])
@pytest.mark.parametrize("command", ["run", "verify", "status", "compare", "papers", "unpack", "show", "plot"])
def test_a_name_that_no_file_system_has_is_told_in_a_line(command: str, place: str, gaps: Path) -> None:
    reports: dict[str, list[str]] = {"status": [], "compare": [], "plot": ["curves"]}
    done = bench(command, *([*reports[command], "--results", place] if command in reports else [place]))
    assert done.returncode in (2, 5) and "Traceback" not in done.stderr and done.stderr.startswith("bench: ")
    assert done.stderr.count("\n") == 1


def test_a_site_that_is_a_link_stays_one(tmp_path: Path) -> None:
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


def test_fields_that_no_config_has_are_found_before_anything_runs(tmp_path: Path) -> None:
    manifest = (
        "track: tiny\nablations: {a: {set: {widht: 3}}, b: {set: {width: wide}}, c: {set: {width: 3}}}\n"
        "profiles: {quick: {set: {learning_rat: 0.1}}}\n"
        "search: {set: {batch: 3}, space: {widt: {integer: [1, 4]}, width: {choice: [x]}}}\n"
    )
    done = bench("verify", write_submission(tmp_path, "typo", manifest=manifest), "--track", write_track(tmp_path))
    assert done.returncode == 4
    for place in (
        "ablations.a.set: Config has no field 'widht'",
        "ablations.b.set: Config.width is set to",
        "profiles.quick.set: Config has no field 'learning_rat'",
        "search.set: Config has no field 'batch'",
        "search.space: Config has no field 'widt'",
    ):
        assert place in done.stdout, place
    assert "ablations.c" not in done.stdout


def test_a_track_is_all_that_a_command_is_about(tmp_path: Path) -> None:
    own = write_submission(tmp_path / "s", "own")
    shipped = write_submission(tmp_path / "s", "shipped", manifest="track: cifar100-classification\n")
    track, other = write_track(tmp_path), write_generator_track(tmp_path)
    found, broken = submissions_of([tmp_path / "s"], track)
    assert [one.name for one in found] == ["own"] and broken == []
    found, broken = submissions_of([tmp_path / "s"], Path("cifar100-classification"))
    assert [one.name for one in found] == ["shipped"] and [path.name for path, _ in broken] == ["own"]
    alone = bench("run", shipped, "--track", track, "--results", tmp_path / "r", "--profile", "quick")
    assert (
        alone.returncode == 5
        and "no submission of track tiny; found shipped (cifar100-classification)" in alone.stderr
    )
    assert not list((tmp_path / "r").rglob("*.json"))
    both = bench("verify", own, shipped, "--track", track)
    assert both.returncode == 0 and "skipped submissions of other tracks: shipped" in both.stderr
    assert bench("run", own, "--track", "no-such-track").returncode == 2
    folder = ("--results", tmp_path / "r")
    for words in (
        ("papers", own),
        ("reproduction", own, *folder),
        ("status", *folder),
        ("compare", *folder),
        ("check", "--baseline", tmp_path / "r", *folder),
        ("score-real", *folder),
        ("score", own, *folder),
    ):
        for named in (track, other, "cifar100-open", tmp_path / "absent.yaml"):
            done = bench(*words, "--track", named)
            assert done.returncode in (0, 2, 5) and "Traceback" not in done.stderr, (words, named)
    assert "own" in bench("papers", own, "--track", track).stdout


def test_a_certificate_of_a_contest_of_ones_own(tmp_path: Path) -> None:
    submission, track = write_submission(tmp_path / "submissions", "honest"), write_track(tmp_path)
    place = ("--track", track, "--device", "cpu")
    own = ("--profile", "quick", "--results", tmp_path / "r", "--sandbox", "none", "--jobs", 1)
    assert bench("run", submission, *place, *own, "--seed", 0).returncode == 0
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
    other = bench(*check, "--track", "cifar100-open")
    assert other.returncode in (2, 5) and "Traceback" not in other.stderr
    held = bench(*check, "--track", track)
    assert (
        held.returncode == 0
        and "the certificate holds: the trained weights and all metrics are bit-identical" in held.stdout
    ), held.stderr


def test_a_run_notes_what_it_was_asked_with_and_a_record_does_not(gaps: Path, tmp_path: Path) -> None:
    broken = write_submission(tmp_path, "broken", {"step": "raise OSError(5)"})
    bench("run", broken, *options(tmp_path), "--profile", "quick", "--embedded", "--seed", 0)
    (path,) = record_paths(tmp_path / "results")
    asked = read_invocation(path.with_suffix(""))
    assert (
        asked is not None
        and asked.embedded
        and asked.folder == broken
        and asked.track_file == tmp_path / "tiny.yaml"
    )
    assert str(tmp_path) not in path.read_text()
    repeat = bench("status", "--results", tmp_path / "results").stdout
    assert f"--track {tmp_path / 'tiny.yaml'} --embedded" in repeat
