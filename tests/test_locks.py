"""File locks: exclusive, checked without writing, and a clear error on file systems without locks."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from bench.errors import ResultsError
from bench.locks import InUse, is_held, locked


def test_lock_is_exclusive_and_checking_it_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "run.lock"
    assert not is_held(path)
    with locked(path):
        assert is_held(path)
        before = path.stat().st_mtime_ns, sorted(path.parent.iterdir())
        assert is_held(path)
        assert (path.stat().st_mtime_ns, sorted(path.parent.iterdir())) == before
        with pytest.raises(InUse), locked(path, seconds=0):
            pass
    assert not is_held(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_file_system_without_locks_is_an_error_and_never_seems_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "run.lock"
    path.touch()
    monkeypatch.setattr(fcntl, "flock", fail)
    assert not is_held(path)
    with pytest.raises(ResultsError, match=r"cannot be locked \(.*choose another --results"), locked(path):
        pass
