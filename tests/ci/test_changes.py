"""What a branch changes, against what was written to it."""

from pathlib import Path

import pytest

from bench.ci.changes import Changes, Folders, changes_since
from bench.errors import UsageError
from tests.ci.making_repository import ContestRepository

FOLDERS = Folders(Path("submissions"), Path("results"))
RULES = [Path("capbench.yaml"), Path("tiny.yaml")]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContestRepository:
    made = ContestRepository(tmp_path / "contest")
    monkeypatch.chdir(made.folder)
    return made


def changes(base: str) -> Changes:
    return changes_since(base, FOLDERS, RULES)


def test_changed_new_and_removed_submissions(repository: ContestRepository) -> None:
    for name in ("same", "changed", "gone"):
        repository.submit(name)
    (repository.submissions / "README.md").write_text("x")
    repository.start_branch()
    repository.submit("new")
    (repository.submissions / "changed" / "model.py").write_text("# other\n")
    (repository.submissions / "README.md").write_text("y")
    for path in (repository.submissions / "gone").iterdir():
        path.unlink()
    base = repository.merge()
    found = changes(base)
    assert found.submissions == [Path("submissions/changed"), Path("submissions/new")]
    assert (found.removed, found.rules, found.records) == (["gone"], [], 0)
    assert found.commit == base


def test_what_main_has_meanwhile_is_no_change_of_the_branch(repository: ContestRepository) -> None:
    repository.start_branch()
    repository.submit("mine")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.submit("theirs")
    repository.commit()
    repository.git("checkout", "--quiet", "branch")
    assert changes("main").submissions == [Path("submissions/mine")]


def test_rules_and_records(repository: ContestRepository) -> None:
    repository.start_branch()
    (repository.folder / "tiny.yaml").write_text("x")
    for name in ("runs/tiny/a/base/seed0-x.json", "runs/tiny/a/base/seed1-y.json", "LEADERBOARD.md"):
        path = repository.folder / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    found = changes(repository.merge())
    assert (found.rules, found.records, found.submissions) == ([Path("tiny.yaml")], 2, [])


def test_what_is_not_committed_counts_and_what_is_ignored_does_not(repository: ContestRepository) -> None:
    (repository.folder / ".gitignore").write_text("ignored/\n")
    repository.start_branch()
    repository.submit("mine")
    repository.submit("ignored")
    assert changes("main").submissions == [Path("submissions/mine")]


@pytest.mark.parametrize("name", ["$(touch pwned)", "a\nb", "--help", "a|b`c", " ", "ü", "\udcff"])
def test_any_name_is_found(name: str, repository: ContestRepository) -> None:
    repository.start_branch()
    try:
        repository.submit(name)
    except OSError:
        pytest.skip("the file system has no such names")
    assert changes(repository.merge()).submissions == [Path("submissions") / name]
    assert not list(repository.folder.rglob("pwned"))


def test_link_in_place_of_a_submission(repository: ContestRepository) -> None:
    repository.start_branch()
    repository.submissions.mkdir()
    (repository.submissions / "link").symlink_to("/etc")
    assert changes(repository.merge()).submissions == [Path("submissions/link")]


def test_contest_in_a_folder_of_the_repository(
    repository: ContestRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.start_branch()
    inner = repository.folder / "courses" / "one"
    (inner / "submissions" / "net").mkdir(parents=True)
    (inner / "submissions" / "net" / "model.py").touch()
    repository.submit("elsewhere")
    base = repository.merge()
    monkeypatch.chdir(inner)
    assert changes(base).submissions == [Path("submissions/net")]


@pytest.mark.parametrize(
    ("base", "reason"),
    [("nowhere", "no such commit"), ("--output=x", "no such commit"), ("unrelated", "no commit in common")],
)
def test_revision_that_cannot_be_compared_with(base: str, reason: str, repository: ContestRepository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "unrelated")
    (repository.folder / "README.md").write_text("unrelated\n")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    with pytest.raises(UsageError, match=reason):
        changes(base)


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--base 'main': cannot be compared with"):
        changes("main")
