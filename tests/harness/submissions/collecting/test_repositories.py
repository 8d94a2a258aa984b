"""Git repositories: versions, limits, and that nothing of a hostile repository has an effect."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from bench.errors import UsageError
from bench.harness.submissions.collecting import repositories
from bench.harness.submissions.collecting.repositories import opened_repository
from tests.harness.submissions.collecting.making_sources import (
    collect,
    collected,
    commit,
    files,
    git,
    model,
    write_files,
)

SUBMISSION = {"submission.yaml", "model.py", "collected.yaml"}


def origin(into: Path, name: str) -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load((into / name / "collected.yaml").read_text())
    return content


def refused(address: Path | str, ref: str | None = None) -> str:
    with pytest.raises(UsageError) as raised, opened_repository(str(address), ref, "net"):
        pass
    return str(raised.value)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with three commits; `v1` is a tag of the first one, `draft` a branch of the second one."""
    folder = tmp_path / "Net_A"
    for number, name in enumerate(("v1", "draft", "last")):
        commit(folder, files(number), name)
        if name != "last":
            git(folder, "tag" if name == "v1" else "branch", name)
    return folder


def test_default_branch_is_collected_with_its_commit(tmp_path: Path, repository: Path) -> None:
    into = tmp_path / "in"
    assert collect(into, repository) == 0
    assert collected(into) == {"net_a": SUBMISSION}
    assert (into / "net_a/model.py").read_text() == model(2)
    written = origin(into, "net_a")
    assert written["commit"] == git(repository, "rev-parse", "HEAD") and written["ref"] is None
    assert written["source"] == str(repository) and written["folder"] == "."


@pytest.mark.parametrize(("ref", "number"), [("v1", 0), ("draft", 1), ("main", 2), ("full", 0), ("short", 1)])
@pytest.mark.parametrize("form", ["path", "file"])
def test_branch_tag_or_commit_can_be_given(
    tmp_path: Path, repository: Path, ref: str, number: int, form: str
) -> None:
    commits = git(repository, "rev-list", "--reverse", "HEAD").split()
    ref = {"full": commits[0], "short": commits[1][:8]}.get(ref, ref)
    address = f"file://{repository}" if form == "file" else str(repository)
    assert collect(tmp_path / "in", f"{address}#{ref}") == 0
    assert (tmp_path / "in/net_a/model.py").read_text() == model(number)
    written = origin(tmp_path / "in", "net_a")
    assert written["commit"] == commits[number] and written["ref"] == ref


def test_bare_repository_with_submissions_below_its_root(tmp_path: Path) -> None:
    commit(tmp_path / "work", {**files(0, "submissions/a"), **files(1, "submissions/b"), "docs/x.md": "text"})
    git(tmp_path, "clone", "-q", "--bare", str(tmp_path / "work"), "bare.git")
    assert collect(tmp_path / "in", tmp_path / "bare.git") == 0
    assert collected(tmp_path / "in") == {"a": SUBMISSION, "b": SUBMISSION}
    assert origin(tmp_path / "in", "b")["folder"] == "submissions/b"


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ("absent", "find remote ref absent"),
        ("0123456789", "Needed a single revision"),
        ("--upload-pack=touch was-run", "no name of a branch or tag"),
        ("-q", "no name of a branch or tag"),
        ("main:refs/heads/x", "no name of a branch or tag"),
        ("main..draft", "no name of a branch or tag"),
        ("+main", "no name of a branch or tag"),
    ],
)
def test_absent_and_hostile_versions_are_refused(repository: Path, ref: str, reason: str) -> None:
    assert reason in refused(repository, ref)


def test_empty_repository_and_none_are_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "empty")
    assert "find remote ref HEAD" in refused(tmp_path / "empty")
    assert "does not appear to be a git repository" in refused(tmp_path)


def test_working_copy_that_differs_is_mentioned(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = "only what is committed is collected"
    collect(tmp_path / "in", repository)
    assert note not in capsys.readouterr().out
    write_files(repository, files(7))
    collect(tmp_path / "in", repository)
    assert note in capsys.readouterr().out and (tmp_path / "in/net_a/model.py").read_text() == model(2)


def test_links_and_submodules_of_a_repository_are_left_out(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "secret.md").symlink_to("/etc/passwd")
    (repository / "other").mkdir()
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},other")
    commit(repository, {".gitmodules": '[submodule "other"]\npath = other\nurl = ext::touch was-run\n'})
    assert collect(tmp_path / "in", repository) == 0
    assert collected(tmp_path / "in") == {"net_a": SUBMISSION}
    printed = capsys.readouterr().out
    assert "secret.md (symbolic link)" in printed and "other (submodule)" in printed


def test_path_that_leads_out_of_a_repository_is_refused(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = git(repository, "hash-object", "-w", "--stdin", given=b"x = 1\n")
    inner = git(repository, "mktree", given=f"100644 blob {blob}\tevil.py\n".encode())
    # `git mktree` takes any name.
    tree = git(repository, "mktree", given=f"040000 tree {inner}\t..\n100644 blob {blob}\tmodel.py\n".encode())
    git(repository, "update-ref", "refs/heads/main", git(repository, "commit-tree", tree, "-m", "x"))
    assert collect(tmp_path / "in", repository) == 2
    assert "leads out of its folder" in capsys.readouterr().out and not list(tmp_path.rglob("evil.py"))


def test_hooks_and_settings_of_a_repository_are_not_run(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of the source nor those that a template of this user would put into each new repository."""
    hooks = tmp_path / "template/hooks"
    for folder in (hooks, repository / ".git/hooks"):
        for name in ("post-checkout", "post-merge", "reference-transaction", "fsmonitor"):
            hook = write_files(folder, {name: f"#!/bin/sh\ntouch {tmp_path}/was-run\n"}) / name
            hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(hooks / "fsmonitor"))
    git(repository, "config", "core.sshCommand", f"touch {tmp_path}/was-run")
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(hooks))
    (tmp_path / "was-run").unlink(missing_ok=True)
    assert collect(tmp_path / "in", repository) == 0
    # A shortened commit is looked for in all branches, which are written.
    assert collect(tmp_path / "short", f"{repository}#{git(repository, 'rev-parse', 'v1')[:8]}") == 0
    assert not (tmp_path / "was-run").exists() and collected(tmp_path / "in") == {"net_a": SUBMISSION}


def test_tree_that_lists_billions_of_files_is_refused(repository: Path) -> None:
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    for _ in range(9):
        tree = git(
            repository, "mktree", given="".join(f"040000 tree {tree}\t{name}\n" for name in "abcdefghij").encode()
        )
    git(repository, "update-ref", "refs/heads/bomb", git(repository, "commit-tree", tree, "-m", "x"))
    assert "its listing is too large" in refused(repository, "bomb")


def test_too_many_files_are_refused(repository: Path) -> None:
    commit(repository, {f"data/{number}.txt": "" for number in range(10_001)})
    assert "over 10,000 files" in refused(repository)


@pytest.mark.parametrize("filtered", [True, False])
def test_large_files_are_fetched_only_if_the_server_cannot_leave_them_out(
    tmp_path: Path,
    repository: Path,
    filtered: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (repository / "weights.pt").write_bytes(os.urandom(3_000_000))
    commit(repository, {})
    git(repository, "config", "uploadpack.allowFilter", str(filtered).lower())
    assert collect(tmp_path / "in", repository) == 0
    size = "too large" if filtered else "3,000,000 bytes"
    assert f"weights.pt ({size})" in capsys.readouterr().out
    monkeypatch.setattr(repositories, "MAX_FETCHED_BYTES", 1_000_000)
    if not filtered:
        assert "the repository is too large" in refused(repository)
    else:
        with opened_repository(str(repository), None, "net") as contents:
            assert len(contents.entries) == 3


def test_history_is_not_fetched(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "old.bin").write_bytes(os.urandom(3_000_000))
    commit(repository, {})
    (repository / "old.bin").unlink()
    commit(repository, {})
    monkeypatch.setattr(repositories, "MAX_FETCHED_BYTES", 1_000_000)
    with opened_repository(str(repository), None, "net") as contents:
        assert {entry.path for entry in contents.entries} == {"submission.yaml", "model.py"}


def fake_git(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another `git` before the real one."""
    program = write_files(folder, {"git": f"#!/bin/sh\n{script}\n"}) / "git"
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_hanging_git_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f'case "$*" in *" fetch --depth"*) sleep 3600 & echo $! > {tmp_path}/child; wait;; esac'
    fake_git(tmp_path / "bin", script, monkeypatch)
    monkeypatch.setattr(repositories, "FETCH_SECONDS", 1)
    assert "git took longer than 1 s" in refused("https://example.invalid/net.git")
    child = int((tmp_path / "child").read_text())
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(child)], capture_output=True, text=True, check=False)
    assert state.stdout.strip() in ("", "Z")  # nobody may have collected its exit status


def test_git_cannot_ask_for_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"env > {tmp_path}/variables; ps -o sid= -p $$ > {tmp_path}/session; exit 1"
    fake_git(tmp_path / "bin", script, monkeypatch)
    monkeypatch.setenv("GIT_ASKPASS", "/bin/asks")
    monkeypatch.setenv("SSH_ASKPASS", "/bin/asks")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    refused("git@example.invalid:group/net.git")
    variables = dict(
        line.split("=", 1) for line in (tmp_path / "variables").read_text().splitlines() if "=" in line
    )
    assert variables["GIT_TERMINAL_PROMPT"] == "0" and variables["GIT_ALLOW_PROTOCOL"] == "https:ssh:file"
    assert not {"GIT_ASKPASS", "SSH_ASKPASS", "GIT_DIR"} & variables.keys()
    # A session of its own has no terminal, at which ssh could ask.
    assert int((tmp_path / "session").read_text()) != os.getsid(0)


def test_missing_git_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed; install it, or give a folder or an archive" in refused(
        "https://example.invalid/x"
    )
