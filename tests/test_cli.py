"""The command line: help, usage errors, and the commands `new`, `data`, `compare` and `doctor`."""

from pathlib import Path

import pytest

from tests.making import bench


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["run"],
        ["verify"],
        ["compare"],
        ["new"],
        ["collect"],
        ["doctor"],
        ["fetch"],
        ["score-real"],
        ["verdict"],
        ["check"],
        ["status"],
        ["show"],
        ["leaderboard"],
        ["plot"],
        ["certify"],
        ["verify-certificate"],
        ["data"],
        ["data", "list"],
    ],
)
def test_every_command_has_help(command: list[str]) -> None:
    result = bench(*command, "--help")
    assert result.returncode == 0 and "Usage" in result.stdout


@pytest.mark.parametrize("arguments", [["fly"], ["compare", "--tabel", "csv"], ["run"], ["new"], ["data", "eat"]])
def test_unknown_or_missing_arguments_are_usage_errors(arguments: list[str]) -> None:
    result = bench(*arguments)
    assert result.returncode == 2 and "Traceback" not in result.stderr and result.stderr.strip()


@pytest.mark.parametrize("task", ["classification", "generation"])
def test_new_submission_verifies_unchanged(tmp_path: Path, task: str) -> None:
    result = bench("new", "mine", "--task", task, "--folder", tmp_path)
    assert result.returncode == 0 and f"bench verify {tmp_path / 'mine'}" in result.stdout
    verified = bench("verify", tmp_path / "mine", "--device", "cpu")
    assert verified.returncode == 0, verified.stdout
    assert "within" in verified.stdout
    again = bench("new", "mine", "--task", task, "--folder", tmp_path)
    assert again.returncode == 2 and "exists already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["../up"], "'../up'"), (["Mine"], "'Mine'"), (["mine", "--task", "poetry"], "--task 'poetry'")],
)
def test_invalid_names_and_tasks_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = bench("new", *arguments, "--folder", tmp_path)
    assert result.returncode == 2 and message in result.stderr


def test_data_commands_report_missing_data(tmp_path: Path) -> None:
    listed = bench("data", "list", "--data-root", tmp_path)
    assert listed.returncode == 0 and str(tmp_path) in listed.stdout and "to get it" in listed.stdout
    assert bench("data", "verify", "--data-root", tmp_path).returncode == 5
    unpacked = bench("data", "unpack", tmp_path, "--data-root", tmp_path)
    assert unpacked.returncode == 2 and "contains none of" in unpacked.stderr


@pytest.mark.real_data
def test_data_list_marks_available_data_sets(real_data: Path) -> None:
    listed = bench("data", "list", "--data-root", real_data)
    assert "✓ cifar100" in listed.stdout and "✓ addnist-style" in listed.stdout and "– addnist " in listed.stdout


def test_compare_without_records_has_exit_code_5(tmp_path: Path) -> None:
    result = bench("compare", "--results", tmp_path)
    assert result.returncode == 5 and "no records" in result.stderr


def test_doctor_and_version_print_the_installation() -> None:
    doctor = bench("doctor", "--device", "cpu")
    assert doctor.returncode == 0 and '"torch"' in doctor.stdout
    assert bench("--version").stdout.startswith("capbench 0.")
