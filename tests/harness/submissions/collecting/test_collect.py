"""`bench collect`: thirty sources of which ten are bad, names that exist, new versions, folders, and copies."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from bench.contract.tracks import load_tracks
from bench.files import hash_json
from bench.harness.submissions.collecting import placing
from bench.harness.submissions.discovery import discover
from tests.harness.submissions.collecting.making_sources import (
    collect,
    collected,
    commit,
    files,
    git,
    model,
    write_files,
    write_tar,
    write_zip,
)
from tests.making import bench, write_submission, write_track

SUBMISSION = {"submission.yaml", "model.py", "collected.yaml"}


def write_list(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("source,team,name,ref", *rows)) + "\n")
    return path


def thirty_sources(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Make sources of thirty teams. Return the good ones (source -> name) and the bad ones (source -> reason)."""
    good: dict[str, str] = {}
    for number in range(20):
        kind, name = ("zip", "tar.gz", "repository", "folder")[number % 4], f"net{number}"
        if kind == "zip":
            good[str(write_zip(root / f"{name}.zip", files(number)))] = name
        elif kind == "tar.gz":
            good[str(write_tar(root / f"t{number}.tar.gz", files(number, name)))] = name
        elif kind == "repository":
            commit(root / name, files(number))
            good[f"file://{root / name}#main"] = name
        else:
            good[str(write_files(root / name, files(number)))] = name
    (root / "damaged.zip").write_bytes(b"PK\x03\x04")
    (root / "empty").mkdir()
    git(root, "init", "-q", "no-commit")
    bad = {
        str(root / "damaged.zip"): "damaged",
        str(root / "empty"): "no submission.yaml",
        str(root / "no-commit"): "find remote ref HEAD",
        str(root / "absent"): "no such file or folder",
        str(write_zip(root / "out.zip", {"../x.py": "", **files()})): "leads out of its folder",
        str(write_files(root / "half", {"submission.yaml": "track: tiny\n"})): "no model.py",
        str(
            write_files(root / "syntax", {**files(), "model.py": "def f(:"})
        ): "model.py, line 1: not valid Python",
        str(write_files(root / "field", {**files(), "submission.yaml": "trak: tiny\n"})): "unknown field `trak`",
        str(write_files(root / "again/net0", files(99))): "the name net0 was taken by",
        "ext::touch was-run": "would run a helper of git",
    }
    return good, bad


def test_thirty_sources_of_which_ten_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = thirty_sources(tmp_path / "sources")
    rows = [f"{source},Team {number}" for number, source in enumerate([*good, *bad])]
    rows.insert(3, rows.pop(22))  # bad ones come between good ones
    result = bench("collect", "--list", write_list(tmp_path / "teams.csv", *rows), "--into", "in")
    assert result.returncode == 2 and result.stderr == ""
    assert collected(tmp_path / "in") == dict.fromkeys(good.values(), SUBMISSION)
    lines = result.stdout.splitlines()
    for source, reason in bad.items():
        (line,) = [line for line in lines if line.startswith(f"✗ {source}:")]
        assert reason in line
    assert len([line for line in lines if line.startswith("✓ ")]) == 20
    assert lines[-2:] == ["20 collected, 10 refused", "next: bench verify in/*"]
    assert not list(tmp_path.rglob("was-run")), "code of a submission was run"
    again = bench("collect", *good, "--into", "in")
    assert again.returncode == 0 and "20 unchanged" in again.stdout.splitlines()


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    good, bad = thirty_sources(tmp_path / "sources")
    before = sorted(tmp_path.rglob("*"))
    result = bench("collect", *good, *bad, "--into", tmp_path / "in", "--dry-run")
    assert result.returncode == 2 and "20 collected, 10 refused" in result.stdout
    assert "nothing was written" in result.stdout and "next:" not in result.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_file_of_origin_has_its_facts_and_no_credentials(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {**files(1, "x/net"), "x/net/README.md": "text"})
    listed = write_list(tmp_path / "teams.csv", 'a.zip,"1e3, ""Ä""",chosen')
    assert collect(tmp_path / "in", list_file=listed) == 0
    written = yaml.safe_load((tmp_path / "in/chosen/collected.yaml").read_text())
    assert written["collected"].endswith("+00:00")
    kept = {**files(1), "README.md": "text"}
    assert {key: written[key] for key in written if key != "collected"} == {
        "source": str(archive),
        "folder": "x/net",
        "ref": None,
        "commit": None,
        "team": '1e3, "Ä"',
        "sha256": hash_json({path: sha256(text.encode()).hexdigest() for path, text in kept.items()}),
        "files": 3,
    }


def test_file_of_origin_changes_no_hash_and_is_found_by_no_command(tmp_path: Path) -> None:
    original = write_submission(tmp_path / "handed-in", "net")
    assert collect(tmp_path / "in", original) == 0
    tracks = load_tracks(write_track(tmp_path))
    (before,), (after,) = discover([original], tracks)[0], discover([tmp_path / "in"], tracks)[0]
    assert after.source_hash == before.source_hash and after.manifest == before.manifest
    result = bench("verify", tmp_path / "in/net", "--track", tmp_path / "tiny.yaml", "--device", "cpu")
    assert result.returncode == 0 and "1 verified" in result.stdout


def test_name_that_exists_is_refused_unless_the_files_are_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "in"
    first, second = (write_files(tmp_path / f"{side}/net", files(number)) for number, side in enumerate("ab"))
    same = write_files(tmp_path / "c/net", files(0))
    assert collect(into, first, second, same) == 2
    printed = capsys.readouterr().out
    assert f"✗ {second}: the name net was taken by {first}" in printed
    assert f"= net: unchanged, from {same}" in printed and f"the same files came from {first}" in printed
    for options in ({}, {"replace": True}):
        assert collect(into, second, **options) == 2
        printed = capsys.readouterr().out
        assert f"✗ {second}: {into}/net exists already, from {first}" in printed
    assert (into / "net/model.py").read_text() == model(0)
    own = write_files(into / "own", files(5))
    assert collect(into, write_files(tmp_path / "d/own", files(6)), replace=True) == 2
    assert f"{own} exists already and was not collected" in capsys.readouterr().out


def test_newer_version_of_the_same_source_replaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into, source = tmp_path / "in", write_files(tmp_path / "net", {**files(0), "old.py": "x = 1\n"})
    assert collect(into, source) == 0
    (source / "old.py").unlink()
    write_files(source, files(1))
    assert collect(into, source) == 2 and "--replace replaces it" in capsys.readouterr().out
    assert collect(into, source, replace=True, dry_run=True) == 0
    assert (into / "net/model.py").read_text() == model(0)
    assert collect(into, source, replace=True) == 0
    assert collected(into) == {"net": SUBMISSION} and (into / "net/model.py").read_text() == model(1)
    (into / "net/model.py").write_text("corrected = True\n")
    assert collect(into, source, replace=True) == 2
    assert "was changed here after it was collected" in capsys.readouterr().out


@pytest.mark.parametrize(("team", "code"), [("team a", 0), ("Team B", 2)])
def test_newer_version_of_a_team_may_come_from_another_source(tmp_path: Path, team: str, code: int) -> None:
    write_zip(tmp_path / "one.zip", files(0))
    write_zip(tmp_path / "two.zip", files(1))
    assert collect(tmp_path / "in", list_file=write_list(tmp_path / "a.csv", "one.zip,Team A,net")) == 0
    newer = write_list(tmp_path / "b.csv", f"two.zip,{team},net")
    assert collect(tmp_path / "in", list_file=newer, replace=True) == code
    assert (tmp_path / "in/net/model.py").read_text() == model(1 if code == 0 else 0)


def test_former_version_stays_if_the_new_one_cannot_be_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, source = tmp_path / "in", write_files(tmp_path / "net", files(0))
    collect(into, source)
    write_files(source, files(1))
    original = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if Path(target) == into / "net" and path.name == "net":
            raise OSError(28, "No space left on device", str(target))
        return original(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    assert collect(into, source, replace=True) == 2
    assert collected(into) == {"net": SUBMISSION} and (into / "net/model.py").read_text() == model(0)


def test_interrupted_command_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: Path, content: bytes) -> None:
        if path.name == "submission.yaml":
            raise KeyboardInterrupt
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr(placing, "write_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path / "in", write_files(tmp_path / "net", files()))
    assert list((tmp_path / "in").iterdir()) == []


def test_same_model_under_two_names_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = tmp_path / "in"
    collect(into, write_files(tmp_path / "first", files(1)), write_files(tmp_path / "other", files(2)))
    assert "the same model.py" not in capsys.readouterr().out
    copied = {**files(1), "model.py": f"# our own work\n{model(1)}", "notes.md": "text"}
    assert collect(into, write_files(tmp_path / "second", copied)) == 0
    expected = f"! the same model.py, except for comments: first ({tmp_path}/first) and second ({tmp_path}/second)"
    assert expected in capsys.readouterr().out.splitlines()


def test_submissions_and_archives_in_a_folder_are_collected_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    downloads = tmp_path / "downloads"
    write_files(downloads / "anna/net_a", files(0))
    write_zip(downloads / "ben/upload.zip", files(1, "net_b"))
    write_files(downloads / "carl", {"model.py": model(2)})
    write_files(downloads / "dora", {"report.txt": "x"})
    commit(downloads / "net_e", files(4))  # a repository in a folder: git does not read its settings
    (downloads / "link").symlink_to(write_files(tmp_path / "elsewhere", files(5)))
    (downloads / "broken.zip").touch()
    assert collect(tmp_path / "in", downloads) == 2
    assert collected(tmp_path / "in") == dict.fromkeys(("net_a", "net_b", "net_e"), SUBMISSION)
    assert yaml.safe_load((tmp_path / "in/net_e/collected.yaml").read_text())["commit"] is None
    printed = capsys.readouterr().out
    assert f"✗ {downloads}/carl: no submission.yaml; a submission consists of" in printed
    assert f"! {downloads}: no submission in its folders dora" in printed
    assert f"✗ {downloads}/broken.zip: damaged" in printed


def test_links_pipes_and_odd_names_in_a_folder_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_files(tmp_path / "net", files())
    (folder / "secret.md").symlink_to("/etc/passwd")
    (folder / "all").symlink_to("/", target_is_directory=True)
    os.mkfifo(folder / "pipe.py")
    (folder / os.fsdecode(b"\xff.py")).write_text("x = 1\n")
    assert collect(tmp_path / "in", folder) == 0
    assert collected(tmp_path / "in") == {"net": SUBMISSION}
    assert "secret.md (symbolic link)" in capsys.readouterr().out
    (folder / "model.py").unlink()
    (folder / "model.py").symlink_to("/etc/passwd")
    assert collect(tmp_path / "in", folder) == 2
    assert "model.py is a symbolic link; hand in a regular file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.py", "x = 'é'\n".encode("latin-1"), "model.py, line 1: not valid Python"),
        ("model.py", "x = 1\n".encode("utf-16"), "model.py: not valid Python"),
        ("model.py", b"x = " + b"-" * 60_000 + b"1", "model.py: not valid Python"),
        ("model.py", b"#" * 70_000, "model.py: 70,000 bytes, 65,536 are allowed"),
        ("model.py", b"from bench.harness import runner\n", "imports bench.harness, which is no part"),
        (
            "submission.yaml",
            "track: tiny\nsummary: é\n".encode("latin-1"),
            "submission.yaml: cannot be read ('utf-8'",
        ),
        (
            "submission.yaml",
            b"!!python/object/apply:os.system [touch was-run]\n",
            "submission.yaml: not valid YAML",
        ),
    ],
)
def test_unreadable_files_are_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_files(tmp_path / "net", files())
    (folder / name).write_bytes(content)
    assert collect(tmp_path / "in", folder) == 2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("✗")]
    assert line.startswith(f"✗ {folder}: ") and reason in line and ".collect-" not in line
    assert collected(tmp_path / "in") == {}


def test_one_name_for_several_submissions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_zip(tmp_path / "two.zip", {**files(0, "a"), **files(1, "b")})
    write_files(tmp_path / "both/a", files(0))
    write_files(tmp_path / "both/b", files(1))
    listed = write_list(tmp_path / "x.csv", "two.zip,,net", "both,,net", "two.zip,T,", "two.zip,,Bad Name")
    assert collect(tmp_path / "in", list_file=listed) == 2
    assert set(collected(tmp_path / "in")) == {"a", "b"}
    printed = capsys.readouterr().out
    assert "2 submissions (a, b) for one `name`" in printed and "2 submissions for one `name`" in printed


def test_command_without_sources_or_with_a_wrong_folder_is_an_error(tmp_path: Path) -> None:
    nothing = bench("collect", "--into", tmp_path / "in")
    assert nothing.returncode == 2 and "no source; give folders" in nothing.stderr
    (tmp_path / "file").touch()
    for into in (tmp_path / "file", tmp_path / "file/below"):
        result = bench("collect", write_files(tmp_path / "net", files()), "--into", into)
        assert result.returncode == 2 and "--into" in result.stderr
