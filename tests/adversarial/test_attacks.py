"""Runs of all attacks next to a valid submission: each ends as expected and affects no other run."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.contract.records.files import read_record, record_paths
from bench.contract.records.record import Record
from bench.harness.executors.sandbox import NO_SANDBOX, choose_sandbox
from tests.adversarial.attacks import ALL, CRASHES, HIDDEN, PATCHES, Attack
from tests.making import bench, bench_process, write_submission, write_track

HAS_SANDBOX = choose_sandbox("auto") != NO_SANDBOX
UNSANDBOXED = ("hangs", "leaves_a_daemon", "starts_too_many_processes", "is_killed", "breaks_its_memory")
# Detected by the harness itself, with or without a sandbox, so these run in forked phases.
DETECTED_ALWAYS = {
    name: attack
    for name, attack in {**HIDDEN, **PATCHES}.items()
    if not attack.needs_sandbox and name != "in_the_weights_file"  # it needs the exit of an interpreter
}
SANDBOXED = {name: attack for name, attack in ALL.items() if name not in DETECTED_ALWAYS}


@dataclass(frozen=True)
class Contest:
    """The outcome of a command."""

    folder: Path
    result: "subprocess.CompletedProcess[str]"
    records: dict[str, Record]
    running_after: str  # all processes of the machine after the command


def run_all(
    folder: Path,
    attacks: dict[str, Attack],
    sandbox: str,
    command: Callable[..., "subprocess.CompletedProcess[str]"] = bench_process,
) -> Contest:
    """Run the attacks and a valid submission with one command."""
    outside, secret = folder / "outside", folder / "secret.txt"
    outside.mkdir(parents=True)
    secret.write_text("the labels")
    write_submission(folder / "submissions", "honest")
    for name, attack in attacks.items():
        changes = {
            marker: code.replace("{secret}", str(secret)).replace("{outside}", str(outside))
            for marker, code in attack.changes.items()
        }
        write_submission(folder / "submissions", name, changes)
    options = ["--track", write_track(folder), "--results", folder / "results", "--profile", "quick", "--seeds", 1]
    limits = ["--timeout", "25s", "--memory", "3G", "--sandbox", sandbox, "--device", "cpu", "--jobs", 2]
    paths = sorted((folder / "submissions").iterdir())
    result = command("run", *paths, *options, *limits, BENCH_DATA=str(folder))
    records = {r.identity.submission: r for r in map(read_record, record_paths(folder / "results"))}
    time.sleep(0.2)
    running = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return Contest(folder, result, records, running)


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    yield run_all(tmp_path_factory.mktemp("sandboxed"), SANDBOXED, "auto")


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    yield run_all(tmp_path_factory.mktemp("forked"), DETECTED_ALWAYS, "none", bench)


@pytest.fixture(scope="module")
def unsandboxed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    yield run_all(tmp_path_factory.mktemp("unsandboxed"), {name: CRASHES[name] for name in UNSANDBOXED}, "none")


def check(contest: Contest, name: str, attack: Attack) -> None:
    if attack.status == "refused":
        line = next(line for line in contest.result.stderr.splitlines() if f"/{name}/" in line)
        assert attack.reason in line and name not in contest.records
        return
    record = contest.records[name]
    assert record.status == attack.status, record.reason
    reason = record.reason or "; ".join(record.unranked_because)
    assert attack.reason in reason and "\n" not in reason
    assert not record.ranked


@pytest.mark.xdist_group("adversarial: watched")
@pytest.mark.parametrize("name", DETECTED_ALWAYS)
def test_attack_is_detected_without_a_sandbox(forked: Contest, name: str) -> None:
    check(forked, name, DETECTED_ALWAYS[name])


@pytest.mark.xdist_group("adversarial: watched")
def test_valid_submission_is_unaffected_without_a_sandbox(forked: Contest) -> None:
    assert forked.records["honest"].status == "ok"
    assert forked.result.returncode == 4 and "Traceback" not in forked.result.stderr


@pytest.mark.processes
@pytest.mark.parametrize("name", SANDBOXED)
def test_attack_ends_with_the_expected_status(contest: Contest, name: str) -> None:
    attack = SANDBOXED[name]
    if attack.needs_sandbox and not HAS_SANDBOX:
        pytest.skip("needs bubblewrap, e.g. apt-get install bubblewrap")
    check(contest, name, attack)


@pytest.mark.processes
def test_valid_submission_is_unaffected_and_records_its_sandbox(contest: Contest) -> None:
    honest = contest.records["honest"]
    assert honest.status == "ok" and honest.training is not None and honest.training.updates == {"optimizer": 12}
    sandbox = honest.environment["sandbox"]
    assert sandbox["network"] == ("none" if HAS_SANDBOX else "as the user's")
    assert contest.result.returncode == 4 and "Traceback" not in contest.result.stderr


@pytest.mark.processes
def test_no_process_outlives_the_command(contest: Contest) -> None:
    assert str(contest.folder) not in contest.running_after


@pytest.mark.processes
def test_record_of_a_failure_keeps_its_output(contest: Contest) -> None:
    assert any("my mistake" in line for line in contest.records["raises"].log_tail)


@pytest.mark.processes
def test_daemon_of_a_run_does_not_change_its_metrics(contest: Contest) -> None:
    honest, daemon = contest.records["honest"], contest.records["leaves_a_daemon"]
    assert honest.evaluation is not None and daemon.evaluation is not None
    assert honest.evaluation.metrics == daemon.evaluation.metrics


@pytest.mark.processes
@pytest.mark.xdist_group("adversarial: in the open")
@pytest.mark.parametrize("name", UNSANDBOXED)
def test_crashes_and_hangs_end_without_a_sandbox(unsandboxed: Contest, name: str) -> None:
    check(unsandboxed, name, CRASHES[name])


@pytest.mark.processes
@pytest.mark.xdist_group("adversarial: in the open")
def test_no_process_outlives_the_command_without_a_sandbox(unsandboxed: Contest) -> None:
    assert str(unsandboxed.folder) not in unsandboxed.running_after
    assert unsandboxed.records["honest"].environment["sandbox"]["network"] == "as the user's"


def test_all_attacks_are_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text()
    assert len(ALL) >= 25 and [name for name in ALL if f"`{name}`" not in text] == []
