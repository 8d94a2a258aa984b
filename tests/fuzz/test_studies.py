"""Fuzzing of study files: any content is a study or a one-line error with the file's name."""

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

optuna = pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'capbench[tune]'")

from bench.contract.searches import STUDY, Rungs, Search, study_folder  # noqa: E402
from bench.errors import BenchError  # noqa: E402
from bench.harness.tuning.study import draw, open_study, prepare  # noqa: E402
from bench.report.tuning import study_text  # noqa: E402
from tests.fuzz.mutations import NASTY  # noqa: E402

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
SEARCH = Search.model_validate(
    {
        "space": {
            "kind": {"choice": ["sgd", "adam"]},
            "rate": {"log_uniform": [1e-5, 1e-1]},
            "width": {"integer": [3, 5]},
        }
    }
)
CELLS = st.sampled_from([value for value in NASTY if not isinstance(value, int) or abs(value) < 2**63]) | st.none()


def open_or_create(folder: Path) -> Any:
    return open_study(folder, maximise=True, sampler="random", scheduler="asha", rungs=Rungs())


@pytest.fixture(scope="module")
def study_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the file of a study with five finished trials and a running one."""
    folder = tmp_path_factory.mktemp("study")
    study = open_or_create(folder)
    for _ in range(5):
        trial = study.ask()
        values = draw(trial, SEARCH)
        trial.report(values["width"], 1)
        trial.set_user_attr("record", "seed0.json")
        study.tell(trial, values["width"])
    draw(study.ask(), SEARCH)
    return (folder / STUDY).read_bytes()


def use(results: Path) -> None:
    """All that a search, and the report of it, ask of a study."""
    folder = study_folder(results, "net", "tuning")
    for ask in (lambda: continue_search(folder), lambda: study_text(results, "net", "tuning")):
        try:
            ask()
        except BenchError as error:
            assert str(folder) in str(error) and "\n" not in str(error)


def continue_search(folder: Path) -> None:
    prepare(open_or_create(folder), SEARCH, 10, folder / STUDY)


@SETTINGS
@given(position=st.floats(0, 1), damage=st.binary(min_size=1, max_size=400), length=st.floats(0, 1))
def test_damaged_study_file_is_read_or_refused(
    study_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, position: float, damage: bytes, length: float
) -> None:
    results = tmp_path_factory.mktemp("r")
    offset = int(position * len(study_bytes))
    content = study_bytes[:offset] + damage + study_bytes[offset + len(damage) :]
    path = study_folder(results, "net", "tuning") / STUDY
    path.parent.mkdir(parents=True)
    path.write_bytes(content if length > 0.2 else content[: int(5 * length * len(content))])
    use(results)


EDITS = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 1000), CELLS, st.booleans()), min_size=1, max_size=3
)


@SETTINGS
@given(edits=EDITS)
def test_study_with_unexpected_cells_is_read_or_refused(
    study_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, Any, bool]]
) -> None:
    """The file is a valid database, with cells that Optuna does not write."""
    results = tmp_path_factory.mktemp("r")
    path = study_folder(results, "net", "tuning") / STUDY
    path.parent.mkdir(parents=True)
    path.write_bytes(study_bytes)
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table_number, column_number, value, deleted in edits:
            table = tables[table_number % len(tables)]
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            column = columns[column_number % len(columns)]
            # Edits that the database refuses are skipped.
            with contextlib.suppress(sqlite3.Error, UnicodeEncodeError, OverflowError):
                if deleted:
                    connection.execute(f"DELETE FROM {table}")
                else:
                    connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        connection.commit()
    use(results)
