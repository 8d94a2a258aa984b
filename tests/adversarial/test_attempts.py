"""Every attempt beside an honest submission: each ends as it has to, at nobody else's cost."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from bench.harness.executors.sandbox import NO_SANDBOX, choose_sandbox
from tests.adversarial.attempts import ALL, ENDS, HIDDEN, PATCHED, Attempt
from tests.making import bench, bench_process, write_submission, write_track

WALLS = choose_sandbox("auto") != NO_SANDBOX
NEEDED_OPEN = ("hangs", "leaves_a_daemon", "starts_too_many_processes", "is_killed", "breaks_its_memory")
# What counting, comparing and watching find out, whatever walls there are: their phases are forked.
WATCHED = {
    name: attempt
    for name, attempt in {**HIDDEN, **PATCHED}.items()
    if not attempt.needs_walls and name != "in_the_weights_file"  # it needs an interpreter's end
}
WALLED = {name: attempt for name, attempt in ALL.items() if name not in WATCHED}


@dataclass(frozen=True)
class Contest:
    """A command's outcome."""

    folder: Path
    done: "subprocess.CompletedProcess[str]"
    records: dict[str, Record]
    running_after: str  # every process of the machine, once the command had ended


def hold(
    folder: Path,
    attempts: dict[str, Attempt],
    sandbox: str,
    command: Callable[..., "subprocess.CompletedProcess[str]"] = bench_process,
) -> Contest:
    """Run all attempts and an honest submission."""
    outside, secret = folder / "outside", folder / "secret.txt"
    outside.mkdir(parents=True)
    secret.write_text("the labels")
    write_submission(folder / "submissions", "honest")
    for name, attempt in attempts.items():
        changes = {
            marker: code.replace("{secret}", str(secret)).replace("{outside}", str(outside))
            for marker, code in attempt.changes.items()
        }
        write_submission(folder / "submissions", name, changes)
    options = ["--track", write_track(folder), "--results", folder / "results", "--profile", "quick", "--seeds", 1]
    limits = ["--timeout", "25s", "--memory", "3G", "--sandbox", sandbox, "--device", "cpu", "--jobs", 2]
    paths = sorted((folder / "submissions").iterdir())
    done = command("run", *paths, *options, *limits, BENCH_DATA=str(folder))
    records = {r.identity.submission: r for r in map(read_record, record_paths(folder / "results"))}
    time.sleep(0.2)
    running = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return Contest(folder, done, records, running)


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    yield hold(tmp_path_factory.mktemp("walled"), WALLED, "auto")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    yield hold(tmp_path_factory.mktemp("watched"), WATCHED, "none", bench)


@pytest.fixture(scope="module")
def in_the_open(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    yield hold(tmp_path_factory.mktemp("open"), {name: ENDS[name] for name in NEEDED_OPEN}, "none")


def check(contest: Contest, name: str, attempt: Attempt) -> None:
    if attempt.status == "refused":
        line = next(line for line in contest.done.stderr.splitlines() if f"/{name}/" in line)
        assert attempt.reason in line and name not in contest.records
        return
    record = contest.records[name]
    assert record.status == attempt.status, record.reason
    said = record.reason or "; ".join(record.unranked_because)
    assert attempt.reason in said and "\n" not in said
    assert not record.ranked


@pytest.mark.xdist_group("adversarial: watched")
@pytest.mark.parametrize("name", WATCHED)
def test_it_is_found_out(watched: Contest, name: str) -> None:
    check(watched, name, WATCHED[name])


@pytest.mark.xdist_group("adversarial: watched")
def test_nobody_else_pays_for_it(watched: Contest) -> None:
    assert watched.records["honest"].status == "ok"
    assert watched.done.returncode == 4 and "Traceback" not in watched.done.stderr


@pytest.mark.processes
@pytest.mark.parametrize("name", WALLED)
def test_it_ends_as_it_has_to(contest: Contest, name: str) -> None:
    attempt = WALLED[name]
    if attempt.needs_walls and not WALLS:
        pytest.skip("needs bubblewrap, e.g. apt-get install bubblewrap")
    check(contest, name, attempt)


@pytest.mark.processes
def test_the_honest_one_is_done_and_says_which_walls_stood(contest: Contest) -> None:
    honest = contest.records["honest"]
    assert honest.status == "ok" and honest.training is not None and honest.training.updates == {"optimizer": 12}
    sandbox = honest.environment["sandbox"]
    assert sandbox["network"] == ("none" if WALLS else "as the user's")
    assert contest.done.returncode == 4 and "Traceback" not in contest.done.stderr


@pytest.mark.processes
def test_nothing_outlives_the_command(contest: Contest) -> None:
    assert str(contest.folder) not in contest.running_after


@pytest.mark.processes
def test_every_failure_but_a_signal_keeps_what_was_printed(contest: Contest) -> None:
    assert any("my mistake" in line for line in contest.records["raises"].log_tail)


@pytest.mark.processes
def test_a_daemon_in_an_honest_looking_run_changes_nothing(contest: Contest) -> None:
    honest, daemon = contest.records["honest"], contest.records["leaves_a_daemon"]
    assert honest.evaluation is not None and daemon.evaluation is not None
    assert honest.evaluation.metrics == daemon.evaluation.metrics


@pytest.mark.processes
@pytest.mark.xdist_group("adversarial: in the open")
@pytest.mark.parametrize("name", NEEDED_OPEN)
def test_without_walls_it_still_ends(in_the_open: Contest, name: str) -> None:
    check(in_the_open, name, ENDS[name])


@pytest.mark.processes
@pytest.mark.xdist_group("adversarial: in the open")
def test_without_walls_nothing_outlives_the_command_either(in_the_open: Contest) -> None:
    assert str(in_the_open.folder) not in in_the_open.running_after
    assert in_the_open.records["honest"].environment["sandbox"]["network"] == "as the user's"


def test_all_are_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text()
    assert len(ALL) >= 25 and [name for name in ALL if f"`{name}`" not in text] == []
