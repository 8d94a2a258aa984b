"""Atomic writes, hashes, and the removal of local paths."""

import hashlib
from pathlib import Path

import pytest

from bench.files import (
    REPOSITORY,
    atomic_path,
    canonical_json,
    hash_file,
    hash_json,
    without_local_paths,
    write_bytes,
)


def test_failed_write_keeps_the_old_content_and_leaves_no_partial_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    write_bytes(target, b"old")
    with pytest.raises(OSError, match="disk"), atomic_path(target) as partial:
        partial.write_bytes(b"half")
        raise OSError("disk full")
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_json_hash_is_canonical_and_refuses_nan() -> None:
    assert hash_json({"b": 1, "a": [1.5, None]}) == hashlib.sha256(b'{"a":[1.5,null],"b":1}').hexdigest()
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})


def test_local_paths_are_removed_from_published_text() -> None:
    text = f"File {REPOSITORY}/bench/x.py, data in {Path.home()}/data"
    assert without_local_paths(text) == "File ./bench/x.py, data in ~/data"


def test_file_hash_matches_rfc_1321(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert hash_file(tmp_path / "f", "md5") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, appendix A.5
