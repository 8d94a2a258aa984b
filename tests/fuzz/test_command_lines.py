"""Fuzzing of command lines: any arguments give a documented exit code and never a traceback."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.errors import ExitCode
from tests.report.making_contest import contest, write_contest

CODES = {int(code) for code in ExitCode}
COMMANDS = (
    "compare",
    "verdict",
    "check",
    "status",
    "show",
    "plot",
    "leaderboard",
    "certify",
    "papers",
    "new",
    "data",
)
VALID_ARGUMENTS = (
    "--table", "markdown", "latex", "csv", "json", "--sort", "-score", "score", "--columns",
    "nll,config.batch_size", "--against", "paper", "--track", "cifar100-classification", "--baseline",
    "--fail-on", "params:0", "--strict", "accuracy:-1pp", "--check", "--no-site", "curves", "pareto",
    "wide", "wide/deep", "se_net/base/seed1", "--cost", "macs", "--values", "loss", "--profile", "quick",
    "list", "--task", "generation", "--help", "--benchmarks",
)  # fmt: skip
ARGUMENTS = st.sampled_from(VALID_ARGUMENTS) | st.text(max_size=12).filter(lambda text: "\0" not in text)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contest")
    write_contest(folder, contest())
    return folder


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(command=st.sampled_from(COMMANDS), arguments=st.lists(ARGUMENTS, max_size=5))
def test_any_arguments_end_with_a_known_exit_code(
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    arguments: list[str],
) -> None:
    folder = tmp_path / "here"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    results_option = [] if command in ("papers", "new", "data") else ["--results", str(results)]
    if command == "leaderboard":
        results_option += ["--no-site"]
    monkeypatch.setattr(sys, "argv", ["bench", command, *arguments, *results_option])
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code in CODES
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    if raised.value.code == ExitCode.USAGE:
        assert printed.err.strip()
