"""Fuzzing of `bench collect`: any archive or list ends with a known exit code and writes nothing elsewhere."""

import contextlib
import io
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract.collected import REFUSED
from bench.errors import BenchError
from bench.harness.submissions.collecting.command import CollectOptions, collect_command

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = st.sampled_from(
    [
        "submission.yaml", "model.py", "net/submission.yaml", "net/model.py", "./net/model.py", "net//model.py",
        "net/../model.py", "/model.py", "..", ".", "net", "net/model.py/x.py", "net/collected.yaml",
        "net/collected.yaml/x.py", ".git/submission.yaml", "A B/submission.yaml", "A B/model.py",
        "\udcff/model.py", "net/a\x1b[2J\n.py", "net\\b.py", "x/" * 80, "n" * 300 + ".py",
    ]
)  # fmt: skip
CONTENTS = st.sampled_from([b"track: tiny\n", b"x = 1\n", b"", b"def f(:", b"\xff\xfe", b"- [", b"(" * 5_000])
CONTENTS |= st.binary(max_size=100)
KINDS = st.sampled_from(
    [tarfile.REGTYPE] * 8
    + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE]
)
MEMBERS = st.lists(st.tuples(NAMES, CONTENTS, KINDS), max_size=8)
GOOD = [
    ("good/submission.yaml", b"track: tiny\n", tarfile.REGTYPE),
    ("good/model.py", b"x = 1\n", tarfile.REGTYPE),
]
# Without paths, which would name folders of this machine.
ROWS = st.text(max_size=60).filter(lambda text: not {"/", "."} & set(text))


def tar_of(members: list[tuple[str, bytes, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", errors="surrogateescape") as tar:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = (
                kind,
                "/etc/passwd",
                len(content) if kind == tarfile.REGTYPE else 0,
            )
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(members: list[tuple[str, bytes, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content, _ in members:
            with contextlib.suppress(UnicodeEncodeError):
                archive.writestr(name, content)
    return buffer.getvalue()


@SETTINGS
@given(
    members=MEMBERS | MEMBERS.map(lambda members: GOOD + members),
    damage=st.none() | st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    kind=st.sampled_from(["a.tar", "a.zip"]),
)
def test_collecting_any_archive_writes_submissions_only(
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    members: list[tuple[str, bytes, bytes]],
    damage: tuple[float, bytes] | None,
    kind: str,
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    content = tar_of(members) if kind == "a.tar" else zip_of(members)
    if damage is not None:
        offset = int(damage[0] * len(content))
        content = content[:offset] + damage[1] + content[offset + len(damage[1]) :]
    (folder / kind).write_bytes(content)
    assert collect_command(CollectOptions([str(folder / kind)], folder / "in")) in (0, 2)
    assert "\x1b" not in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {kind, "in"}
    for path in (folder / "in").iterdir():
        if path.name == REFUSED:
            assert str(folder) not in path.read_text()
            continue
        assert not path.is_symlink() and not path.name.startswith(".")
        assert {"submission.yaml", "model.py", "collected.yaml"} <= {file.name for file in path.iterdir()}


@SETTINGS
@given(content=st.binary(max_size=100) | ROWS.map(lambda text: f"source,name,ref\n{text}".encode()))
def test_any_list_gives_an_exit_code_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("list")
    (folder / "teams.csv").write_bytes(content)
    with contextlib.suppress(BenchError):
        assert collect_command(CollectOptions([], folder / "in", Path(folder / "teams.csv"), dry_run=True)) in (
            0,
            2,
        )
    assert {path.name for path in folder.iterdir()} == {"teams.csv"}
