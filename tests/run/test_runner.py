"""What happens before any run starts, and what the runner measures while one goes on."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.contract.records import read_record, record_paths
from bench.errors import ExitCode, ResultsError
from bench.run.command import RunOptions, run_command
from bench.run.runner import check_writable
from tests.making import write_submission, write_track


def test_commands_that_start_together_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(check_writable, tmp_path) for _ in range(400)]:
            done.result()
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(ResultsError, match=r"results: cannot be written .*; choose another --results"):
        check_writable(tmp_path / "results")


@pytest.mark.parametrize("joules", [7.0, None])
def test_joules_are_what_the_device_used_while_it_trained(
    joules: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = itertools.count(100.0, 7.0)  # one before the train phase, one after it

    class Meter:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def read(self) -> float | None:
            return None if joules is None else next(readings)

    monkeypatch.setattr("bench.run.executors.executor.EnergyMeter", Meter)
    monkeypatch.setattr("bench.run.executors.executor.LONGEST_UNREAD_SECONDS", 1e9)
    options = RunOptions(
        paths=[write_submission(tmp_path, "honest")],
        profile="quick",
        seeds="1",
        variants="base",
        device="cpu",
        data_root=None,
        embedded=False,
        track_file=write_track(tmp_path),
        results=tmp_path / "results",
        dry_run=False,
        jobs=2,
        retry_failed=False,
        force=False,
    )
    assert run_command(options).exit_code == ExitCode.OK
    (path,) = record_paths(tmp_path / "results")
    assert read_record(path).timing.training_joules == joules
