"""JSON Schemas for editors: those of the models, under which the committed files are valid."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.contract.contest import ContestFile
from bench.contract.manifest import Manifest
from bench.contract.tracks import Track
from bench.files import REPOSITORY
from tests.making import bench


def schema_of(name: str) -> dict[str, Any]:
    result = bench("schema", name)
    assert result.returncode == 0
    content: dict[str, Any] = json.loads(result.stdout)
    return content


@pytest.mark.parametrize(("name", "model"), [("submission", Manifest), ("track", Track), ("contest", ContestFile)])
def test_schema_has_every_field_and_no_other(name: str, model: Any) -> None:
    schema = schema_of(name)
    assert set(schema["properties"]) == set(model.model_fields)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "bench" / "tracks").glob("*.yaml")), ids=lambda path: path.stem
)
def test_shipped_tracks_use_fields_of_the_schema(path: Path) -> None:
    schema, content = schema_of("track"), yaml.safe_load(path.read_text())
    assert set(schema["required"]) <= set(content) <= set(schema["properties"])


def test_unknown_file_is_refused() -> None:
    result = bench("schema", "record")
    assert result.returncode == 2 and "'record': give submission, track, contest" in result.stderr
