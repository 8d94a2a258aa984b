"""The state of every run in a results folder, and the command that continues or repeats it."""

import shlex
from pathlib import Path

import pytest
from filelock import FileLock

from bench.contract.documents.checksum import checksummed_bytes
from bench.contract.invocation import Invocation, write_invocation
from bench.contract.jobs.files import WORK
from bench.contract.records.files import record_path, write_record
from bench.contract.records.record import Record
from bench.contract.searches import study_folder
from bench.errors import ExitCode, NothingToDo, UsageError
from bench.harness.submissions.discovery import submissions_of
from bench.harness.submissions.scaffold import scaffold
from bench.report.show import show_text
from bench.report.status import ResultsFolder, Run, StatusOptions, status_command, status_text
from tests.making import bench, write_submission, write_track
from tests.report.making_contest import generator, real_images
from tests.report.making_records import make_record


def put(results: Path, *records: Record) -> Path:
    for record in records:
        path = record_path(results, record.identity, record.protocol)
        write_record(path, record)
    return path


def runs_by_name(results: Path) -> dict[str, Run]:
    return {f"{run.name} {run.seed}": run for run in ResultsFolder(StatusOptions(results)).runs()}


def test_failed_run_has_its_reason_and_a_retry_command(tmp_path: Path) -> None:
    put(tmp_path, *(make_record("net", seed) for seed in (0, 1)), make_record("net", 2, None, reason="OSError: 5"))
    put(tmp_path, make_record("net", 0, None, variant="wide", profile="quick"))
    runs = runs_by_name(tmp_path)
    assert (runs["net 0"].state, runs["net 0"].repair) == ("ok", "")
    assert (runs["net 2"].state, runs["net 2"].reason) == ("error", "OSError: 5")
    where = f"--results {tmp_path}"
    assert runs["net 2"].repair == f"bench run submissions/net --profile official --seed 2 {where} --retry failed"
    assert "submissions/net --variants wide --profile quick --seed 0 " in runs["net/wide 0"].repair
    text = status_text(list(runs_by_name(tmp_path).values()))
    assert "✗ net official seed 2: error: OSError: 5" in text and "1 error" in text
    assert status_command(StatusOptions(tmp_path)) == ExitCode.RUN_FAILED


def test_finished_runs_give_exit_code_0(tmp_path: Path) -> None:
    put(tmp_path, make_record("net", 0))
    assert status_command(StatusOptions(tmp_path)) == ExitCode.OK and "✗" not in status_text(
        list(runs_by_name(tmp_path).values())
    )
    with pytest.raises(NothingToDo, match="no runs"):
        status_command(StatusOptions(tmp_path / "elsewhere"))


def write_interrupted_run(
    results: Path, folder: Path, *, track_file: Path | None = None, embedded: bool = False
) -> Path:
    """Write the files of an interrupted run of the submission in ``folder``; return its work folder."""
    submission = submissions_of([folder], track_file)[0][0]
    record = make_record(submission.name, 3, profile="quick", source=submission.source_hash)
    identity = record.identity.model_copy(update={"steps": submission.track.steps("quick", None)})
    run = record_path(results, identity, record.protocol).with_suffix("")
    name = record.protocol.track if track_file is None else submission.track.name
    run_folder = run.parents[2].with_name(name) / run.relative_to(run.parents[2])
    invocation = Invocation(
        identity=identity,
        profile="quick",
        track=name,
        folder=submission.folder,
        track_file=track_file,
        embedded=embedded,
    )
    write_invocation(run_folder, invocation)
    return run_folder / WORK


def test_locked_run_is_running_and_others_are_interrupted(tmp_path: Path) -> None:
    empty_work = tmp_path / "runs" / "t" / "net" / "base" / "seed3-0123abcd" / "work"
    empty_work.mkdir(parents=True)
    assert runs_by_name(tmp_path)["net None"].state == "interrupted"  # killed before it wrote its invocation
    empty_work.rmdir()
    work = write_interrupted_run(tmp_path, scaffold("net", "classification", tmp_path / "own sub"))
    repair = runs_by_name(tmp_path)["net 3"].repair
    assert shlex.split(repair) == [
        "bench", "run", str(tmp_path / "own sub" / "net"), "--profile", "quick", "--seed", "3",
        "--results", str(tmp_path),
    ]  # fmt: skip
    with FileLock(work.parent.with_suffix(".lock")):
        running = runs_by_name(tmp_path)["net 3"]
        assert (running.state, running.repair) == ("running", "")
        assert status_command(StatusOptions(tmp_path)) == ExitCode.OK
    work.parent.with_suffix(".lock").unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert runs_by_name(tmp_path)["net 3"].state == "interrupted"
    assert before == {path: path.stat().st_mtime_ns for path in before}  # reading the status changes no file


def test_command_repeats_the_options_of_the_run(tmp_path: Path) -> None:
    track = write_track(tmp_path)
    submission = write_submission(tmp_path, "mine")
    write_interrupted_run(tmp_path / "r", submission, track_file=track, embedded=True)
    words = shlex.split(runs_by_name(tmp_path / "r")["mine 3"].repair)
    assert words[-5:] == ["--track", str(track), "--embedded", "--results", str(tmp_path / "r")]
    with pytest.raises(NothingToDo, match="no runs of cifar100-generation"):
        status_command(StatusOptions(tmp_path / "r", track=Path("cifar100-generation")))


def test_run_of_edited_code_is_outdated_and_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submission = scaffold("net", "classification", tmp_path / "submissions")
    work = write_interrupted_run(tmp_path / "r", submission)
    with (submission / "model.py").open("a") as file:
        file.write("EDITED = True\n")
    (run,) = ResultsFolder(StatusOptions(tmp_path / "r")).runs()
    assert (run.state, run.repair) == ("outdated", shlex.join(["rm", "-r", str(work.parent)]))
    put(tmp_path / "r", make_record("net", 1, None))  # a failed run, also of older code
    options = StatusOptions(tmp_path / "r", tmp_path / "submissions")
    assert status_command(options) == ExitCode.OK
    output = capsys.readouterr().out
    assert "2 outdated" in output or output.count("outdated") >= 2
    assert "✗" not in output
    # A finished run is not outdated, even if a metric could not be measured.
    put(tmp_path / "r", make_record("net", 2).model_copy(update={"not_measured": {"x": "no weights"}}))
    assert {run.seed: run.state for run in ResultsFolder(options).runs()}[2] == "ok"


def test_record_cannot_inject_a_shell_command(tmp_path: Path) -> None:
    record = make_record("net", 0, None)
    protocol = record.protocol.model_copy(update={"profile": "quick; touch x #"})
    identity = record.identity.model_copy(update={"protocol_hash": protocol.hash})
    forged = record.model_copy(update={"protocol": protocol, "identity": identity})
    path = record_path(tmp_path, identity, protocol)
    path.parent.mkdir(parents=True)
    path.write_bytes(checksummed_bytes(forged))
    (run,) = ResultsFolder(StatusOptions(tmp_path)).runs()
    assert run.state == "unreadable" and "which is not a valid name" in run.reason
    assert shlex.split(run.repair) == ["mv", str(path), f"{path}.away"]


def test_unmeasured_metrics_have_a_command_to_measure_them(tmp_path: Path) -> None:
    record = generator("gan", 0, None).model_copy(update={"not_measured": {"fid_10000": "no weights"}})
    put(tmp_path, record)
    put(tmp_path, real_images(5.0).model_copy(update={"not_measured": {"lpips_alex_64": "damaged"}}))
    runs = runs_by_name(tmp_path)
    assert (runs["gan 0"].state, runs["gan 0"].reason) == ("not measured", "no weights")
    assert runs["gan 0"].repair.startswith("bench fetch all; bench run submissions/gan ")
    score_real = f"bench score-real --track cifar100-generation --profile official --results {tmp_path}"
    assert runs["real-images 0"].repair == f"bench fetch all; {score_real}"


def test_damaged_record_is_unreadable(tmp_path: Path) -> None:
    path = put(tmp_path, make_record("net", 0))
    path.write_text(path.read_text()[:100])
    (run,) = ResultsFolder(StatusOptions(tmp_path)).runs()
    assert run.state == "unreadable" and str(path) in run.repair
    assert "✗ net –: unreadable" in status_text([run])


def test_show_finds_a_record_by_name_checksum_or_path(tmp_path: Path) -> None:
    path = put(tmp_path, make_record("net", 0))
    put(tmp_path, make_record("other", 0, None))
    (path.with_suffix("") / "samples.png").parent.mkdir()
    (path.with_suffix("") / "samples.png").write_bytes(b"")
    text = show_text(StatusOptions(tmp_path), "net/base")
    assert (
        text
        == show_text(StatusOptions(tmp_path), path.stem.partition("-")[2])
        == show_text(StatusOptions(tmp_path), str(path))
    )
    for part in (
        "top1_accuracy",
        "84,194",
        "A CPU",
        "samples.png",
        "ranked",
        "net, cifar100-classification, official",
    ):
        assert part in text
    assert "OSError: 5" in show_text(StatusOptions(tmp_path), "other")
    for query, message in (("seed0", "2 records"), ("nobody", "no record")):
        with pytest.raises(UsageError, match=message):
            show_text(StatusOptions(tmp_path), query)


def test_show_tells_records_of_two_profiles_apart(tmp_path: Path) -> None:
    official, quick = (put(tmp_path, make_record("net", 0, profile=profile)) for profile in ("official", "quick"))
    put(tmp_path, make_record("net", 1, None))
    with pytest.raises(UsageError, match="matches 3 records: ") as caught:
        show_text(StatusOptions(tmp_path), "net")
    for record, profile in ((official, "official"), (quick, "quick")):
        assert f"{profile} seed 0: {record.relative_to(tmp_path / 'runs')}" in str(caught.value)
    assert "official seed 1 (error): " in str(caught.value)
    quick.write_text("{}")
    with pytest.raises(UsageError, match=r"matches 3 records: .*unreadable: "):
        show_text(StatusOptions(tmp_path), "net")


def test_status_cuts_long_names_and_reasons(tmp_path: Path) -> None:
    put(tmp_path, make_record("long-" * 19 + "x", 0, None, reason="many words " * 80))
    lines = status_text(list(ResultsFolder(StatusOptions(tmp_path)).runs())).splitlines()
    assert max(map(len, lines[:3])) <= 80 and any("many words …" in line for line in lines)
    assert max(len(line) for line in lines if "many words" in line) < 500


def test_show_lists_the_segments_of_a_training(tmp_path: Path) -> None:
    record = make_record("net", 0)
    earlier = [
        {"from_step": 0, "to_step": 1500, "threads": 4},
        {"from_step": 1500, "to_step": 1501, "threads": 2, "python": "3.11.7"},
    ]
    put(tmp_path, record.model_copy(update={"environment": {**record.environment, "earlier_segments": earlier}}))
    lines = [" ".join(line.split()) for line in show_text(StatusOptions(tmp_path), "net").splitlines()]
    assert "steps 0 to 1,500 threads 4" in lines and "steps 1,500 to 1,501 threads 2, python 3.11.7" in lines


def test_show_has_the_background_load_of_a_speed(tmp_path: Path) -> None:
    put(tmp_path / "a", make_record("net", 0, background_load=0.48))
    put(tmp_path / "b", make_record("net", 0))  # an older record, without the background load
    expected = "4,000 (interquartile range 10; background load 48% of all cores)"
    assert expected in show_text(StatusOptions(tmp_path / "a"), "net")
    assert "4,000 (interquartile range 10)" in show_text(StatusOptions(tmp_path / "b"), "net")


def test_commands_have_their_exit_codes(tmp_path: Path) -> None:
    put(tmp_path, make_record("net", 0))
    assert bench("status", "--results", tmp_path).returncode == 0
    assert "top1_accuracy" in bench("show", "net", "--results", tmp_path).stdout
    assert bench("show", "net", "--results", tmp_path / "none").returncode == 2
    assert bench("verdict", "--results", tmp_path).returncode == 5  # the record has no claim


def test_trial_is_continued_by_its_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = make_record("net", 0, None, variant="trial-0123abcd", profile="tuning")
    folder = study_folder(tmp_path / "my results", "net", "tuning")
    put(folder, record)
    (run,) = ResultsFolder(StatusOptions(folder)).runs()
    words = ["bench", "tune", "submissions/net", "--profile", "tuning", "--results", str(tmp_path / "my results")]
    assert shlex.split(run.repair) == words
    monkeypatch.chdir(folder)
    (run,) = ResultsFolder(StatusOptions(Path())).runs()
    assert shlex.split(run.repair) == words
    monkeypatch.chdir(tmp_path / "my results" / "tuning")
    (run,) = ResultsFolder(StatusOptions(Path("net-tuning"))).runs()
    assert shlex.split(run.repair) == words
