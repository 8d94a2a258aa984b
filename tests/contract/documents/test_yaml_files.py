"""YAML files: scalars as in YAML 1.2; PyYAML is the reference where versions 1.1 and 1.2 agree."""

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
def test_committed_manifests_are_read_as_by_pyyaml(path: Path) -> None:
    ours, by_pyyaml = read_yaml(path), yaml.safe_load(path.read_text())
    assert ours == by_pyyaml and repr(ours) == repr(by_pyyaml)


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
def test_pyyaml_output_is_read_unchanged(value: Any) -> None:
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
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    value_read = parse_yaml(f"a: {text}")["a"]
    assert value_read == value and type(value_read) is type(value)


INVALID_TAGS = (
    "!!bool garbage", "!!timestamp garbage", "!!int x", "!!int '0100'", "!!float x", "!!float '1:30'", "!!omap x",
    "!!pairs {a: 1}", "!!merge x", "!none x", "!!set x",
)  # fmt: skip


@pytest.mark.parametrize("text", INVALID_TAGS)
def test_invalid_tags_are_a_one_line_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "submission.yaml"
    path.write_text(f"track: {text}")
    with pytest.raises(ManifestError) as raised:
        load_manifest(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["0100", "-010", "0o17", "0b101", "1:30", "12:30:45", "1:30.5", "1_0.5", "1.5_0", "00"]
)
def test_scalars_that_yaml_1_1_and_1_2_read_differently_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "submission.yaml"
    path.write_text(f"track: {text}")
    with pytest.raises(ManifestError, match=r"YAML 1\.1 and 1\.2 read .* differently.* line 1, column 8"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3", "x: {b: 1, b: 1}", "- {a: 1, c: 2, a: 1}", "? a\n: 1\n? a\n: 2", "'a': 1\na: 2"]
)
def test_duplicate_keys_are_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="is there twice"):
        parse_yaml(text)


def test_alias_bomb_is_refused_without_being_expanded() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    for level in range(1, 30):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n"
    started = time.process_time()
    with pytest.raises(ValueError, match="values after expanding its aliases"):
        parse_yaml(bomb)
    assert time.process_time() - started < 60  # expanding 9^30 values would never end
    with pytest.raises(ValueError, match="an alias to a node that contains it"):
        parse_yaml("a: &x {b: *x}")
    assert parse_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}


INVALID = (
    b"\xff",
    b"a: " + b"[" * 3_000,
    b"x" * (2**20 + 1),
    b"a: \x00",
    b"!!python/name:os.system",
    b'a: "\\ud800"',
)


@pytest.mark.parametrize("content", INVALID)
def test_content_that_is_not_yaml_is_a_one_line_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "submission.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as raised:
        read_yaml(path)
    assert "\n" not in str(raised.value)
