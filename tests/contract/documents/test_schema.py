"""JSON documents: a value survives writing and reading unchanged, or is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract.documents.schema import json_problem, parse_json
from bench.contract.jobs.reports import Failure, Progress, Scores
from bench.contract.manifest import load_manifest
from bench.errors import ManifestError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.integers()),
    max_leaves=8,
)


@given(value=VALUES)
def test_accepted_values_survive_a_json_round_trip(value: Any) -> None:
    if json_problem(value) is None:
        decoded = parse_json(json.dumps(value))
        assert decoded == value and repr(decoded) == repr(value)  # repr: 1 is not 1.0, and 0.0 not -0.0


@pytest.mark.parametrize(
    "value", [0, -5, 10**17, 0.1, 1e-300, -0.0, "", "ä", None, True, [1, [2.5, "x"]], {"a": {"b": [None]}}]
)
def test_ordinary_values_are_accepted(value: Any) -> None:
    assert json_problem(value) is None


@pytest.mark.parametrize(
    "text",
    ["[NaN]", "[Infinity]", "[-Infinity]", '{"a": ' + "9" * 400 + "}", r'["\ud800"]', "[" * 100_000, "{", ""],
)
def test_invalid_json_is_refused(text: str) -> None:
    for content in (text, text.encode()):
        with pytest.raises(ValueError, match="."):
            parse_json(content)


def test_surrogate_pairs_are_decoded() -> None:
    assert parse_json(r'["\ud83d\ude00"]') == ["😀"]


NUMBERS = (".inf", "-.inf", ".nan", "1" + "0" * 30, "1" + "0" * 5000)
LARGE_NUMBERS_ALLOWED = [  # fields of type float, in which 1e30 is absurd but valid
    "claims: {top1_accuracy: VALUE}",
    "claims: {fid: {mean: 1, std: VALUE}}",
    "claims: {fid: {mean: 1, margin: VALUE}}",
    "ablations: {wide: {set: {a: 1}, reports: {lpips: VALUE}}}",
    "search: {space: {a: {uniform: [0, VALUE]}}}",
]
FIELDS = [
    *LARGE_NUMBERS_ALLOWED,
    "claims: {params: VALUE}",
    "claims: {params_by_module: {a: VALUE}}",
    "claims: {fid: {mean: 1, runs: VALUE}}",
    "ablations: {wide: {set: {clip: VALUE}}}",
    "ablations: {wide: {set: {clip: [1, {a: VALUE}]}}}",
    "ablations: {wide: {steps: VALUE}}",
    "profiles: {quick: {set: {clip: VALUE}}}",
    "search: {space: {a: {log_uniform: [VALUE, 1]}}}",
    "search: {space: {a: {integer: [0, VALUE]}}}",
    "search: {space: {a: {choice: [1, VALUE]}}}",
    "search: {space: {a: {choice: [1]}}, set: {b: VALUE}}",
    "search: {space: {a: {choice: [1]}, b: {choice: [1], when: {a: VALUE}}}}",
    "search: {space: {a: {choice: [1]}}, rungs: {first: VALUE}}",
    "steps: VALUE",
    "paper: {title: a, year: VALUE}",
]
CASES = [
    (field, value)
    for field in FIELDS
    for value in NUMBERS
    if field not in LARGE_NUMBERS_ALLOWED or value != NUMBERS[3]
]


@pytest.mark.parametrize(("field", "value"), CASES, ids=lambda text: text[:50])
def test_manifest_with_a_non_finite_or_huge_number_is_refused(tmp_path: Path, field: str, value: str) -> None:
    path = tmp_path / "submission.yaml"
    path.write_text("track: t\n" + field.replace("VALUE", value))
    with pytest.raises(ManifestError) as raised:
        load_manifest(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value) and len(str(raised.value)) < 5_000


@pytest.mark.parametrize("value", ["2020-01-01", "!!binary aGk=", "!!set {a}", "{1: 2}"])
def test_yaml_values_that_json_would_change_are_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "submission.yaml"
    path.write_text(f"track: t\nablations: {{wide: {{set: {{clip: {value}}}}}}}")
    if value == "2020-01-01":  # text, by YAML 1.2
        assert load_manifest(path).ablations["wide"].set == {"clip": value}
        return
    with pytest.raises(ManifestError, match="clip|set"):
        load_manifest(path)


def test_messages_between_processes_keep_nan_and_infinity() -> None:
    progress = Progress(phase="train", done=1, total=2, loss=math.nan)
    assert math.isnan(Progress.model_validate_json(progress.model_dump_json()).loss)  # type: ignore[arg-type]
    scores = Scores(
        metrics={"fid": math.inf}, intervals={}, as_published={}, not_measured={}, weights={}, seconds=1.0,
        peak_memory_bytes=1, environment={},
    )  # fmt: skip
    assert Scores.model_validate_json(scores.model_dump_json()) == scores


def test_failure_reason_is_one_line_of_limited_length() -> None:
    reason = Failure(status="error", reason="a\x1b[31m\nb\ud800" + "x" * 100_000).reason
    assert "\n" not in reason and "\x1b" not in reason and len(reason) <= 1_000 and reason.encode()
