"""What happens before any run starts."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.errors import ResultsError
from bench.run.runner import check_writable


def test_commands_that_start_together_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(check_writable, tmp_path) for _ in range(400)]:
            done.result()
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(ResultsError, match=r"results: cannot be written .*; choose another --results"):
        check_writable(tmp_path / "results")
