"""Discovery of submissions and their variants, and the hash of their code."""

from pathlib import Path

import pytest

from bench.contract.fingerprint import hash_code
from bench.contract.tracks import load_tracks
from bench.errors import NothingToDo, UsageError
from bench.harness.submissions.discovery import SubmissionSource, discover, variants_of
from tests.making import write_submission, write_track


def find(folder: Path, *paths: Path) -> list[SubmissionSource]:
    sources, broken = discover(paths, load_tracks(write_track(folder)))
    assert broken == []
    return sources


def test_folder_of_submissions_is_expanded(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_submission(tmp_path / "submissions", name)
    (tmp_path / "submissions" / "README.md").touch()
    (tmp_path / "submissions" / "__pycache__").mkdir()
    assert [source.name for source in find(tmp_path, tmp_path / "submissions")] == ["a", "b"]
    folders = sorted((tmp_path / "submissions").iterdir())
    assert [source.name for source in find(tmp_path, *folders)] == ["a", "b"]
    assert len(find(tmp_path, tmp_path / "submissions" / "a", tmp_path / "submissions")) == 2


def test_missing_folders_and_duplicate_names_are_errors(tmp_path: Path) -> None:
    tracks = load_tracks()
    with pytest.raises(UsageError, match="no such folder"):
        discover([tmp_path / "absent"], tracks)
    (tmp_path / "file").touch()
    with pytest.raises(NothingToDo):
        discover([tmp_path / "file"], tracks)
    for folder in ("one", "two"):
        write_submission(tmp_path / folder, "same")
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
def test_invalid_submission_is_reported_and_others_load(
    tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    write_submission(tmp_path, "good")
    path = write_submission(tmp_path, "bad") / file
    path.unlink() if content is None else path.write_text(content)
    sources, broken = discover([tmp_path / "good", tmp_path / "bad"], load_tracks(write_track(tmp_path)))
    assert [item.name for item in sources] == ["good"]
    ((folder, error),) = broken
    assert folder.name == "bad" and message in str(error) and "\n" not in str(error)


def test_sources_are_the_imported_files_only(tmp_path: Path) -> None:
    folder = write_submission(tmp_path, "net")
    (original,) = find(tmp_path, folder)
    assert list(original.sources) == ["model.py", "reference_models/normalize.py"]
    text = (folder / "model.py").read_text()
    (folder / "model.py").write_text(
        text + "\nfrom bench.augment import random_flip\nimport reference_models.dcgan\n"
    )
    (extended,) = find(tmp_path, folder)
    assert list(extended.sources) == [
        "bench/augment/_crop.py",
        "bench/augment/_draw.py",
        "model.py",
        "reference_models/dcgan.py",
        "reference_models/normalize.py",
    ]
    assert extended.source_hash != original.source_hash
    (folder / "submission.yaml").write_text("track: tiny\nnotes: [other words]\n")
    assert find(tmp_path, folder)[0].source_hash == extended.source_hash


COMMENTED = """
# The first line.

def f():  # not a docstring: '#'
    '''One of
    two lines.'''
    return "# kept"{spaces}


class C: "kept, for it shares its row"
""".replace("{spaces}", "  ")


def test_comments_and_docstrings_do_not_change_the_code_hash(tmp_path: Path) -> None:
    path = tmp_path / "model.py"

    def hashed(text: str) -> str:
        path.write_text(text)
        return hash_code(path)

    bare = hashed('def f():\n    return "# kept"\nclass C: "kept, for it shares its row"\n')
    assert hashed(COMMENTED) == bare
    assert hashed(COMMENTED.replace("two lines", "other words").replace("The first line", "é")) == bare
    changes = {"# kept": "# lost", "kept, for": "lost, for", "def f()": "def f(x=1)"}
    for old, new in changes.items():
        assert hashed(COMMENTED.replace(old, new)) != bare
    # In a multi-line string everything counts: blank lines, spaces, text that looks like a comment.
    texts = ["a\n\nb", "a\nb", "a \nb", "a\n# b", "a\n"]
    assert len({hashed(f'x = """{text}"""') for text in texts}) == len(texts)


def test_variants_are_selected_by_name(tmp_path: Path) -> None:
    manifest = "track: tiny\nablations: {wide: {set: {width: 9}}, slow: {set: {learning_rate: 0.1}}}\n"
    (source,) = find(tmp_path, write_submission(tmp_path, "net", manifest=manifest))
    assert variants_of(source, "base") == ["base"]
    assert variants_of(source, "all") == ["base", "wide", "slow"]
    assert variants_of(source, "slow, base,slow") == ["slow", "base"]
    with pytest.raises(UsageError, match="net: no variant 'fast'; it has base, wide, slow"):
        variants_of(source, "fast")
