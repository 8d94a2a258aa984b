"""Search spaces and rungs: valid ones are read, invalid ones are refused."""

from pathlib import Path

import pytest
import yaml

from bench.contract.manifest import load_manifest
from bench.contract.searches import Rungs, Search
from bench.errors import ManifestError
from bench.files import REPOSITORY


def manifest(folder: Path, search: object) -> Path:
    path = folder / "submission.yaml"
    path.write_text(yaml.safe_dump({"track": "cifar100-open", "search": search}))
    return path


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "at least 1"),
        ({"rate": {}}, "give exactly one of log_uniform, uniform, integer and choice"),
        ({"rate": {"uniform": [0, 1], "choice": [1]}}, "give exactly one"),
        ({"rate": {"uniform": [1, 1]}}, "the range 1.0 to 1.0 is empty"),
        ({"rate": {"log_uniform": [0, 1]}}, "log_uniform begins at 0.0; it must be above 0"),
        ({"rate": {"choice": []}}, "at least 1"),
        ({"rate": {"integer": [1, 2.5]}}, "valid integer"),
        ({"rate": {"uniform": [0, 1], "when": {"kind": "sgd"}}}, "`rate` depends on `kind`, which is not"),
        ({"rate": {"unifrom": [0, 1]}}, "unknown field `search.space.rate.unifrom`"),
    ],
)
def test_invalid_search_spaces_are_refused(space: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as error:
        load_manifest(manifest(tmp_path, {"space": space}))
    assert message in str(error.value)


def test_field_may_depend_on_an_earlier_field() -> None:
    search = Search.model_validate(
        {"space": {"kind": {"choice": ["a", "b"]}, "rate": {"uniform": [0, 1], "when": {"kind": "a"}}}}
    )
    assert search.draws("kind", {}) and search.draws("rate", {"kind": "a"})
    assert not search.draws("rate", {"kind": "b"}) and not search.draws("rate", {})


@pytest.mark.parametrize(
    ("rungs", "total", "steps"),
    [
        (Rungs(), 10_000, [625, 1250, 2500, 5000]),
        (Rungs(first=1 / 30), 150_000, [5_000, 10_000, 20_000, 40_000, 80_000]),  # 30 epochs, as in paper 004
        (Rungs(first=0.5, factor=3), 100, [50]),
        (Rungs(first=0.01), 20, [1, 2, 3, 6, 13]),  # no duplicates, none at 0
    ],
)
def test_rungs_are_distinct_steps_below_the_total(rungs: Rungs, total: int, steps: list[int]) -> None:
    assert rungs.steps(total) == steps


def test_shipped_searches_name_fields_of_their_config() -> None:
    searches = 0
    for path in sorted((REPOSITORY / "submissions").glob("*/submission.yaml")):
        search = load_manifest(path).search
        if search is not None:
            searches += 1
            code = (path.parent / "model.py").read_text()
            assert all(f"    {name}: " in code for name in search.space), path
    assert searches >= 2
