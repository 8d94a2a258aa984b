"""The action in a contest: its steps are carried out with bash, on commits that CI would check out."""

import os
import shlex
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.action.composite import ROOT, ActionRun, Machine
from tests.ci.making_repository import SYNTAX_ERROR, ContestRepository
from tests.ci.test_command import WIDE

HOSTILE = "$(touch pwned)`touch pwned`"


@pytest.fixture
def repository(tmp_path: Path) -> ContestRepository:
    return ContestRepository(tmp_path / "contest")


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def machine(repository: ContestRepository, folder: Path, event: str = "pull_request") -> Machine:
    """Return a machine where capbench and the sandbox count as installed."""
    python = shlex.quote(sys.executable)
    program(folder / "bin", "bench", f'PYTHONPATH={shlex.quote(str(ROOT))} exec {python} -m bench "$@"')
    pull_request = {"pull_request": {"base": {"sha": repository.base}}} if event == "pull_request" else {}
    return Machine(
        folder,
        repository.folder,
        path=f"{folder / 'bin'}:{os.environ['PATH']}",
        github={"event_name": event, "event": pull_request, "token": "secret"},
        skipped=("install", "sandbox"),
        variables={"BENCH_WEIGHTS": os.devnull, "OMP_NUM_THREADS": "1"},
    )


def examine(repository: ContestRepository, folder: Path, **inputs: str) -> ActionRun:
    return machine(repository, folder).run(ROOT, sandbox="auto", **inputs)


@pytest.mark.processes
def test_good_submission_to_an_empty_contest(repository: ContestRepository, tmp_path: Path) -> None:
    repository.start_branch()
    repository.submit("net")
    repository.merge()
    run = examine(repository, tmp_path)
    assert run.passed, run.output
    assert "## ✓ The small contest: 1 of 1 submission passed" in run.summary and "### A few steps" in run.summary
    folder = tmp_path / "temp" / "capbench-report"
    assert run.outputs == {
        "passed": "true",
        "report": str(folder / "report.md"),
        "junit": str(folder / "junit.xml"),
    }
    assert Path(run.outputs["report"]).read_text() == run.summary
    assert ElementTree.parse(run.outputs["junit"]).find(".//testcase[@name='net']") is not None
    uploaded = run.used["actions/upload-artifact@v4"]
    assert (uploaded["name"], uploaded["path"]) == ("capbench-report", str(folder))
    assert run.used["actions/setup-python@v5"] == {"python-version": "3.12"}


@pytest.mark.processes
def test_faulty_submissions_fail_the_job_after_the_report(repository: ContestRepository, tmp_path: Path) -> None:
    repository.submit("untouched", {"step": SYNTAX_ERROR})
    repository.start_branch()
    repository.submit("good")
    repository.submit("wide", WIDE)
    repository.submit("broken", {"step": SYNTAX_ERROR})
    repository.submit(HOSTILE)
    repository.submit("::set-output name=passed::true")
    repository.merge()
    run = examine(repository, tmp_path)
    assert not run.passed and run.outputs["passed"] == "false"
    assert "actions/upload-artifact@v4" in run.used
    assert "1 of 5 submissions passed" in run.summary and "3,876 params, cap 2,000" in run.summary
    assert "| `good` " in run.summary and "✗ unreadable" in run.summary and "untouched" not in run.summary
    assert "model.py, line " in run.summary
    assert not list(tmp_path.rglob("pwned"))
    assert run.output.splitlines()[-1].startswith("::error::the report")
    # GitHub takes no line between these two for a command.
    commands = [line for line in run.output.splitlines() if line.startswith("::")]
    assert commands[0].startswith("::stop-commands::")
    assert f"::{commands[0].removeprefix('::stop-commands::')}::" in commands


def test_pull_request_without_submissions_passes(repository: ContestRepository, tmp_path: Path) -> None:
    repository.submit("untouched", {"step": SYNTAX_ERROR})
    repository.start_branch()
    (repository.folder / "README.md").write_text("other\n")
    repository.merge()
    run = examine(repository, tmp_path)
    assert run.passed and "no submission to verify" in run.summary
    everything = examine(repository, tmp_path, submissions="all")
    assert not everything.passed and "| `untouched`" in everything.summary


def test_push_examines_everything(repository: ContestRepository, tmp_path: Path) -> None:
    empty = machine(repository, tmp_path, "push").run(ROOT, sandbox="auto")
    assert empty.passed and empty.outputs["passed"] == "true"
    repository.submit("broken", {"step": SYNTAX_ERROR})
    repository.commit()
    run = machine(repository, tmp_path, "push").run(ROOT, sandbox="auto")
    assert not run.passed and "| `broken`" in run.summary


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"submissions": "$(touch pwned)"}, "submissions: give changed or all"),
        ({"smoke": "yes"}, "smoke: give true or false"),
        ({"fail-on": "$(touch pwned)"}, "bench ci ended without a report"),
    ],
)
def test_wrong_input_fails_without_a_report(
    inputs: dict[str, str], message: str, repository: ContestRepository, tmp_path: Path
) -> None:
    run = examine(repository, tmp_path, **inputs)
    assert not run.passed and message in run.output and run.outputs["passed"] == ""
    assert "actions/upload-artifact@v4" not in run.used and not list(tmp_path.rglob("pwned"))


def test_unknown_base_is_in_the_report(repository: ContestRepository, tmp_path: Path) -> None:
    run = examine(repository, tmp_path, base="--help; touch pwned")
    assert not run.passed and "fetch-depth: 0" in run.summary and not list(tmp_path.rglob("pwned"))


def test_event_that_gives_a_write_token_to_the_code_is_refused(
    repository: ContestRepository, tmp_path: Path
) -> None:
    run = machine(repository, tmp_path, "pull_request_target").run(ROOT)
    assert not run.passed and "not pull_request_target" in run.output and not run.used


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"torch-index": ""}, [f"--editable {ROOT}[]"]),
        (
            {"torch-index": "https://i", "extras": "report,generative"},
            ["--index-url https://i torch torchvision", f"--editable {ROOT}[report,generative]"],
        ),
        ({"torch-index": "", "version": "0.1.0", "extras": "report"}, ["capbench[report]==0.1.0"]),
    ],
)
def test_installation(
    inputs: dict[str, str], expected: list[str], repository: ContestRepository, tmp_path: Path
) -> None:
    (repository.folder / "pip.py").write_text("raise SystemExit('the pull request was imported')\n")
    box = machine(repository, tmp_path)
    box.skipped = ("ci", "sandbox")
    program(tmp_path / "bin", "python", f'test ! -e pip.py || exit 9; echo "$@" >> {tmp_path}/installed')
    assert not box.run(ROOT, **inputs).outputs["passed"]
    lines = (tmp_path / "installed").read_text().splitlines()
    assert [line.removeprefix("-m pip install --quiet ") for line in lines] == expected


@pytest.mark.parametrize(
    ("sandbox", "machine_kind", "installed", "allowed", "expected"),
    [
        (
            "bwrap",
            "github-hosted",
            False,
            False,
            ["apt-get update", "apt-get install", "sysctl -w kernel.apparmor"],
        ),
        ("bwrap", "github-hosted", True, True, []),
        ("bwrap", "self-hosted", True, False, []),
        ("none", "github-hosted", False, False, []),
    ],
)
def test_installation_of_the_sandbox(
    sandbox: str, machine_kind: str, installed: bool, allowed: bool, expected: list[str], tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    program(
        programs, "sudo", f'echo "$@" >> {tmp_path}/called; test "$2" != install || ln -s fake {programs}/bwrap'
    )
    program(programs, "fake", f"exit {0 if allowed else 1}")
    if installed:
        program(programs, "bwrap", f"exit {0 if allowed else 1}")
    for name in ("bash", "ln", "test"):  # and no bwrap of this machine
        (programs / name).symlink_to(next(p for d in ("/bin", "/usr/bin") if (p := Path(d, name)).exists()))
    box = Machine(
        tmp_path,
        tmp_path,
        path=str(programs),
        github={},
        skipped=("install", "ci"),
        variables={"RUNNER_OS": "Linux", "RUNNER_ENVIRONMENT": machine_kind},
    )
    run = box.run(ROOT, sandbox=sandbox)
    log = tmp_path / "called"
    called = log.read_text().splitlines() if log.exists() else []
    assert len(called) == len(expected), run.output
    assert all(line.startswith(start) for line, start in zip(called, expected, strict=True))
