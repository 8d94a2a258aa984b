"""Which submissions are meant, and what code they are."""

from pathlib import Path

import pytest

from bench.contract.fingerprint import hash_code
from bench.contract.tracks import load_tracks
from bench.errors import NothingToDo, UsageError
from bench.harness.submissions.discovery import SubmissionSource, discover, variants_of
from tests.making import write_submission, write_track


def find(folder: Path, *paths: Path) -> list[SubmissionSource]:
    found, broken = discover(paths, load_tracks(write_track(folder)))
    assert broken == []
    return found


def test_a_folder_of_submissions_is_all_of_them(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_submission(tmp_path / "submissions", name)
    (tmp_path / "submissions" / "README.md").touch()
    (tmp_path / "submissions" / "__pycache__").mkdir()
    assert [found.name for found in find(tmp_path, tmp_path / "submissions")] == ["a", "b"]
    each = sorted((tmp_path / "submissions").iterdir())
    assert [found.name for found in find(tmp_path, *each)] == ["a", "b"]
    assert len(find(tmp_path, tmp_path / "submissions" / "a", tmp_path / "submissions")) == 2


def test_what_is_not_there(tmp_path: Path) -> None:
    tracks = load_tracks()
    with pytest.raises(UsageError, match="no such folder"):
        discover([tmp_path / "absent"], tracks)
    (tmp_path / "file").touch()
    with pytest.raises(NothingToDo):
        discover([tmp_path / "file"], tracks)
    for place in ("one", "two"):
        write_submission(tmp_path / place, "same")
    with pytest.raises(UsageError, match="two submissions are called 'same'"):
        find(tmp_path, tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("submission.yaml", "track: mars", "field `track`: found 'mars'; known tracks"),
        ("submission.yaml", "track: tiny\nprofiles: {huge: {set: {}}}", "no profile 'huge'; it has official"),
        ("model.py", None, "model.py: no such file"),
        ("model.py", "def f(:", "model.py, line 1: not valid Python"),
        ("model.py", "from . import other", "line 1: a relative import"),
        ("model.py", "x = 1\0", "not valid Python"),
    ],
)
def test_what_cannot_be_read_is_named_and_passed_over(
    tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    write_submission(tmp_path, "good")
    path = write_submission(tmp_path, "bad") / file
    path.unlink() if content is None else path.write_text(content)
    found, broken = discover([tmp_path / "good", tmp_path / "bad"], load_tracks(write_track(tmp_path)))
    assert [item.name for item in found] == ["good"]
    ((folder, error),) = broken
    assert folder.name == "bad" and message in str(error) and "\n" not in str(error)


def test_sources_are_what_is_used_and_nothing_else(tmp_path: Path) -> None:
    folder = write_submission(tmp_path, "net")
    (found,) = find(tmp_path, folder)
    assert list(found.sources) == ["model.py", "reference_models/normalize.py"]
    text = (folder / "model.py").read_text()
    (folder / "model.py").write_text(
        text + "\nfrom bench.augment import random_flip\nimport reference_models.dcgan\n"
    )
    (more,) = find(tmp_path, folder)
    assert list(more.sources) == [
        "bench/augment/_crop.py",
        "bench/augment/_draw.py",
        "model.py",
        "reference_models/dcgan.py",
        "reference_models/normalize.py",
    ]
    assert more.source_hash != found.source_hash
    (folder / "submission.yaml").write_text("track: tiny\nnotes: [other words]\n")
    assert find(tmp_path, folder)[0].source_hash == more.source_hash


REMARKS = """
# The first line.

def f():  # not a docstring: '#'
    '''One of
    two lines.'''
    return "# kept"{spaces}


class C: "kept, for it shares its row"
""".replace("{spaces}", "  ")


def test_remarks_are_no_code(tmp_path: Path) -> None:
    path = tmp_path / "model.py"

    def hashed(text: str) -> str:
        path.write_text(text)
        return hash_code(path)

    bare = hashed('def f():\n    return "# kept"\nclass C: "kept, for it shares its row"\n')
    assert hashed(REMARKS) == bare
    assert hashed(REMARKS.replace("two lines", "other words").replace("The first line", "é")) == bare
    changes = {"# kept": "# lost", "kept, for": "lost, for", "def f()": "def f(x=1)"}
    for old, new in changes.items():
        assert hashed(REMARKS.replace(old, new)) != bare
    # In a string of several rows everything counts: blank rows, spaces, what looks like a comment.
    texts = ["a\n\nb", "a\nb", "a \nb", "a\n# b", "a\n"]
    assert len({hashed(f'x = """{text}"""') for text in texts}) == len(texts)


def test_variants(tmp_path: Path) -> None:
    manifest = "track: tiny\nablations: {wide: {set: {width: 9}}, slow: {set: {learning_rate: 0.1}}}\n"
    (found,) = find(tmp_path, write_submission(tmp_path, "net", manifest=manifest))
    assert variants_of(found, "base") == ["base"]
    assert variants_of(found, "all") == ["base", "wide", "slow"]
    assert variants_of(found, "slow, base,slow") == ["slow", "base"]
    with pytest.raises(UsageError, match="net: no variant 'fast'; it has base, wide, slow"):
        variants_of(found, "fast")
