"""YAML as people mean it; PyYAML's own reading is the reference where the two versions agree."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.contract.documents.yaml_files import parse_yaml, read_yaml
from bench.contract.manifest import load_manifest
from bench.errors import ManifestError
from bench.files import REPOSITORY


@pytest.mark.parametrize(
    "path", sorted(REPOSITORY.glob("submissions/*/submission.yaml")), ids=lambda p: p.parent.name
)
def test_committed_files_are_read_as_before(path: Path) -> None:
    ours, theirs = read_yaml(path), yaml.safe_load(path.read_text())
    assert ours == theirs and repr(ours) == repr(theirs)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False)
    | st.text("abc 0.9", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(value=PLAIN)
def test_what_pyyaml_writes_comes_back(value: Any) -> None:
    written = yaml.safe_dump(value)
    try:
        assert parse_yaml(written) == value
    except yaml.YAMLError as error:
        assert "YAML 1.1 and 1.2 read" in str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1.0e-3", 0.001), ("-2E5", -2e5), ("5.", 5.0), (".5", 0.5), ("1_000", 1000),
        ("0x1F", 31),
        ("no", "no"), ("on", "on"), ("true", True), ("~", None), ("null", None), ("", None),
        ("2020-01-01", "2020-01-01"),
        ("'0100'", "0100"), ("009", "009"), ("0", 0), ("-0", 0),
    ],
)  # fmt: skip
def test_scalars_by_version_1_2(text: str, value: Any) -> None:
    found = parse_yaml(f"a: {text}")["a"]
    assert found == value and type(found) is type(value)


ODD_TAGS = (
    "!!bool garbage", "!!timestamp garbage", "!!int x", "!!int '0100'", "!!float x", "!!float '1:30'", "!!omap x",
    "!!pairs {a: 1}", "!!merge x", "!none x", "!!set x",
)  # fmt: skip


@pytest.mark.parametrize("text", ODD_TAGS)
def test_tags_that_do_not_fit_end_in_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "submission.yaml"
    path.write_text(f"track: {text}")
    with pytest.raises(ManifestError) as raised:
        load_manifest(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["0100", "-010", "0o17", "0b101", "1:30", "12:30:45", "1:30.5", "1_0.5", "1.5_0", "00"]
)
def test_what_versions_read_in_two_ways_is_asked_for(tmp_path: Path, text: str) -> None:
    path = tmp_path / "submission.yaml"
    path.write_text(f"track: {text}")
    with pytest.raises(ManifestError, match=r"YAML 1\.1 and 1\.2 read .* differently.* line 1, column 8"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3", "x: {b: 1, b: 1}", "- {a: 1, c: 2, a: 1}", "? a\n: 1\n? a\n: 2", "'a': 1\na: 2"]
)
def test_a_key_that_is_there_twice(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="is there twice"):
        parse_yaml(text)


def test_a_document_that_grows_when_read_is_refused_at_once() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    for level in range(1, 30):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n"
    started = time.process_time()
    with pytest.raises(ValueError, match="values after expanding its aliases"):
        parse_yaml(bomb)
    assert time.process_time() - started < 60  # of 9^30 values: the sun would be gone
    with pytest.raises(ValueError, match="an alias to a node that contains it"):
        parse_yaml("a: &x {b: *x}")
    assert parse_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}


NONE = (
    b"\xff",
    b"a: " + b"[" * 3_000,
    b"x" * (2**20 + 1),
    b"a: \x00",
    b"!!python/name:os.system",
    b'a: "\\ud800"',
)


@pytest.mark.parametrize("content", NONE)
def test_what_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "submission.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as raised:
        read_yaml(path)
    assert "\n" not in str(raised.value)
