"""Studies in Optuna: draws from the search space, pruning, interrupted trials, and invalid study files."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'capbench[tune]'")

from optuna.trial import TrialState  # noqa: E402

from bench.contract.searches import STUDY, Rungs, Search, study_folder  # noqa: E402
from bench.errors import BenchError, NothingToDo, ResultsError, UsageError  # noqa: E402
from bench.harness.tuning.study import (  # noqa: E402
    Sampler,
    Scheduler,
    check_space,
    count_remaining,
    draw,
    open_study,
    requeue_interrupted,
)
from bench.harness.tuning.trials import Trials  # noqa: E402
from bench.report.tuning import study_text  # noqa: E402

SEARCH = Search.model_validate(
    {
        "space": {
            "kind": {"choice": ["sgd", "adam"]},
            "rate": {"log_uniform": [1e-5, 1e-1], "when": {"kind": "sgd"}},
            "beta": {"uniform": [0.8, 0.99], "when": {"kind": "adam"}},
            "width": {"integer": [3, 5]},
        }
    }
)


def study(folder: Path, sampler: Sampler = "random", scheduler: Scheduler = "asha") -> "optuna.Study":
    return open_study(folder, maximise=True, sampler=sampler, scheduler=scheduler, rungs=Rungs())


@pytest.mark.parametrize("sampler", ["random", "optuna"])
def test_draws_stay_within_the_search_space(sampler: Sampler, tmp_path: Path) -> None:
    opened = study(tmp_path, sampler)
    drawn = []
    for _ in range(60):
        trial = opened.ask()
        drawn.append(draw(trial, SEARCH))
        opened.tell(trial, drawn[-1]["width"])
    for values in drawn:
        assert set(values) == {"kind", "width", "rate" if values["kind"] == "sgd" else "beta"}
        assert values["width"] in (3, 4, 5)
    rates = [values["rate"] for values in drawn if "rate" in values]
    assert all(1e-5 <= rate <= 1e-1 for rate in rates)
    if sampler == "random":  # log-uniform over four decades: half of the draws are below 1e-3
        assert 0.2 < sum(rate < 1e-3 for rate in rates) / len(rates) < 0.8
        assert math.log10(max(rates) / min(rates)) > 2


def test_continued_search_does_not_repeat_its_draws(tmp_path: Path) -> None:
    # The study is opened anew for each draw, as by separate commands.
    draws = [draw(study(tmp_path).ask(), SEARCH) for _ in range(3)]
    assert len({str(values) for values in draws}) == 3


def test_interrupted_trial_is_repeated_with_the_same_values(tmp_path: Path) -> None:
    before = study(tmp_path)
    finished, interrupted = before.ask(), before.ask()
    before.tell(finished, draw(finished, SEARCH)["width"])
    values = draw(interrupted, SEARCH)
    assert count_remaining(before, 5) == 4  # the interrupted trial does not count as finished
    after = study(tmp_path)
    assert requeue_interrupted(after) == 1 and count_remaining(after, 5) == 4
    repeated = after.ask()
    assert draw(repeated, SEARCH) == values
    after.tell(repeated, 1.0)
    assert count_remaining(after, 5) == 3 and requeue_interrupted(after) == 0


def test_successive_halving_prunes_the_worse_half_at_a_rung(tmp_path: Path) -> None:
    opened = study(tmp_path)
    pruned = []
    for value in (0.9, 0.1, 0.8, 0.2, 0.95):
        trial = opened.ask()
        trial.report(value, 1)
        pruned.append(trial.should_prune())
        opened.tell(trial, None if pruned[-1] else value, state=TrialState.PRUNED if pruned[-1] else None)
    assert pruned == [False, True, True, True, False]  # 0.8 was pruned because only the best of three continues
    unpruned = study(tmp_path / "none", scheduler="none")
    for value in (0.9, 0.1):
        trial = unpruned.ask()
        trial.report(value, 1)
        assert not trial.should_prune()


def test_other_direction_and_damaged_study_file_are_errors(tmp_path: Path) -> None:
    study(tmp_path)
    with pytest.raises(UsageError, match="the study is set to maximize, not minimize; move the file away"):
        open_study(tmp_path, maximise=False, sampler="random", scheduler="none", rungs=Rungs())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / STUDY).write_bytes(b"not a database" * 100)
    with pytest.raises(ResultsError, match="cannot be used"):
        study(tmp_path / "other")


def changed_space(**space: object) -> Search:
    return Search.model_validate({"space": {**SEARCH.model_dump(exclude_defaults=True)["space"], **space}})


@pytest.mark.parametrize(
    "space",
    [
        {"kind": {"choice": ["sgd", "adam", "lion"]}},
        {"kind": {"choice": ["adam", "sgd"]}},
        {"width": {"uniform": [3, 5]}},
        {"width": {"choice": [3, 5]}},
        {"rate": {"uniform": [1e-5, 1e-1], "when": {"kind": "sgd"}}},
    ],
    ids=str,
)
def test_changed_search_space_is_refused_before_any_trial(tmp_path: Path, space: dict[str, object]) -> None:
    opened = study(tmp_path)
    for _ in range(20):  # enough to draw both values of `kind`
        trial = opened.ask()
        opened.tell(trial, draw(trial, SEARCH)["width"])
    check_space(opened, SEARCH, tmp_path)
    wider_range_and_new_field = changed_space(width={"integer": [1, 50]}, more={"choice": [1]})
    check_space(opened, wider_range_and_new_field, tmp_path)
    with pytest.raises(UsageError, match=r"earlier trials drew .*, but submission\.yaml has changed it"):
        check_space(opened, changed_space(**space), tmp_path)


def test_failed_draw_leaves_no_running_trial(tmp_path: Path) -> None:
    opened = study(tmp_path)
    trial = opened.ask()
    draw(trial, SEARCH)
    opened.tell(trial, 1)
    with pytest.raises(ValueError, match="dynamic value space"):
        Trials.ask(SimpleNamespace(study=opened, search=changed_space(kind={"choice": ["x"]})))  # type: ignore[arg-type]
    assert not opened.get_trials(states=(TrialState.RUNNING,))


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%41b", "a b'\"", "ü&=;", "file:x?mode=memory", ":memory:"])
def test_study_file_works_in_folders_with_special_characters(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    opened = study(folder)
    opened.tell(opened.ask(), 1)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / STUDY).stat().st_size > 0 and len(study(folder).trials) == 1


def databases(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of invalid study files: foreign, of another version, altered, damaged."""
    valid = study(folder / "own")
    valid.tell(valid.ask(), 1)
    content = (folder / "own" / STUDY).read_bytes()
    yield "text", b"no database"
    yield "truncated", content[: len(content) // 3]
    for offset in range(100, len(content), len(content) // 7):
        changed_bytes = bytes(byte ^ 0xFF for byte in content[offset : offset + 600])
        yield f"changed from byte {offset}", content[:offset] + changed_bytes + content[offset + 600 :]
    for name, statements in {
        "foreign": ["CREATE TABLE customers (name TEXT)"],
        "of another version": ["UPDATE alembic_version SET version_num = 'v99.0.0.a'"],
        "values that are none": ["UPDATE trial_values SET value = 'x'", "UPDATE trials SET state = 'GONE'"],
        "without a table": ["DROP TABLE trial_params"],
        "an attribute that is no JSON": ["INSERT INTO study_user_attributes VALUES (9, 1, 'set', '{')"],
    }.items():
        path = folder / f"{name}.db"
        if name != "foreign":
            path.write_bytes(content)
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        yield name, path.read_bytes()


def test_invalid_study_file_is_reported_and_not_changed(tmp_path: Path) -> None:
    for name, content in databases(tmp_path / "made"):
        folder = study_folder(tmp_path / name, "net", "tuning")
        folder.mkdir(parents=True)
        (folder / STUDY).write_bytes(content)
        for use in (partial(study, folder), partial(study_text, tmp_path / name, "net", "tuning")):
            try:
                use()
            except BenchError as error:
                assert str(folder / STUDY) in str(error) or isinstance(error, NothingToDo), name
                assert "\n" not in str(error)
        if name == "foreign":
            assert (folder / STUDY).read_bytes() == content
