"""Archives: what is collected from good ones, and that hostile ones write nothing and cost nobody else."""

import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.harness.submissions.collecting import archives
from bench.harness.submissions.collecting.archives import opened_archive
from bench.harness.submissions.collecting.contents import find_submissions, read_exactly, read_files
from tests.harness.submissions.collecting.making_sources import (
    collect,
    collected,
    files,
    member,
    model,
    write_tar,
    write_zip,
)

SUBMISSION = {"submission.yaml", "model.py", "collected.yaml"}


@pytest.mark.parametrize("name", ["Team A.zip", "Team A.tar", "Team A.tar.gz", "Team A.tgz", "Team A.TAR.xz"])
def test_each_kind_of_archive_is_read(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    write = write_zip if name.endswith("zip") else write_tar
    path = tmp_path / name
    if name.endswith("TAR.xz"):
        write_tar(tmp_path / "a.tar.xz", files()).rename(path)
    else:
        write(path, files())
    assert collect(tmp_path / "in", path) == 0
    assert collected(tmp_path / "in") == {"team_a": SUBMISSION}
    assert (tmp_path / "in/team_a/model.py").read_text() == model()
    assert "named team_a, because 'Team A' is no name" in capsys.readouterr().out


def test_only_what_a_submission_needs_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = {
        "net/blocks/extra.py": "x = 1\n",
        "net/README.txt": "text",
        "net/notes.md": "text",
        "net/settings.yaml": "a: 1\n",
        "net/data.json": " " * 70_000,
        "net/weights.pt": "w",
        "net/images.npy": "i",
        "net/collected.yaml": "forged: true\n",
        "net/.git/config": "[core]\n",
        "net/__pycache__/model.py": "x = 1\n",
        "net/backup/submission.yaml": "track: tiny\n",
        "net/backup/model.py": "old = 1\n",
        "__MACOSX/net/._model.py": "x",
        "report.pdf": "p",
        "net/a\nb.py": "x = 1\n",
    }
    assert collect(tmp_path / "in", write_zip(tmp_path / "a.zip", {**files(folder="net"), **extra})) == 0
    kept = {"blocks/extra.py", "README.txt", "notes.md", "settings.yaml"}
    assert collected(tmp_path / "in") == {"net": SUBMISSION | kept}
    assert "forged" not in (tmp_path / "in/net/collected.yaml").read_text()
    printed = capsys.readouterr().out
    assert "weights.pt (1 bytes)" in printed and "report.pdf (1 bytes)" in printed and "6 files" in printed


def unsafe(name: str) -> dict[str, str]:
    return {**files(), name: "x = 1\n"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.py", "leads out of its folder"),
        ("a/../../evil.py", "leads out of its folder"),
        ("..\\evil.py", "leads out of its folder"),
        ("/tmp/evil.py", "an absolute path"),
        ("\\evil.py", "an absolute path"),
        ("C:\\evil.py", "an absolute path"),
        ("x/" * 100 + "evil.py", "a path of 207 characters in 101 folders, at most 2,000 in 60"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_lead_out_refuse_the_archive(
    tmp_path: Path, name: str, reason: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write = write_zip if kind == "zip" else write_tar
    path = write(tmp_path / f"sources/a.{kind}", unsafe(name))
    assert collect(tmp_path / "in", path) == 2
    assert reason in capsys.readouterr().out
    assert collected(tmp_path / "in") == {}
    assert not list(tmp_path.rglob("evil.py")) and not Path("/tmp/evil.py").exists()


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (member("model.py", kind=tarfile.SYMTYPE, link="/etc/passwd"), "model.py is a symbolic link"),
        (member("model.py", kind=tarfile.LNKTYPE, link="submission.yaml"), "model.py is a hard link"),
        (member("model.py", kind=tarfile.CHRTYPE), "model.py is a special file"),
        (member("model.py", kind=tarfile.FIFOTYPE), "model.py is a special file"),
    ],
)
def test_links_and_devices_in_a_tar_file_are_not_followed(
    tmp_path: Path, info: tarfile.TarInfo, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    only_manifest = {"submission.yaml": "track: tiny\n"}
    assert collect(tmp_path / "in", write_tar(tmp_path / "a.tar", only_manifest, info)) == 2
    assert reason in capsys.readouterr().out and collected(tmp_path / "in") == {}
    info.name = "extra.py"
    assert collect(tmp_path / "in", write_tar(tmp_path / "a.tar", files(), info)) == 0
    assert collected(tmp_path / "in") == {"a": SUBMISSION}
    assert "left out: extra.py (" in capsys.readouterr().out


def test_a_file_below_a_symbolic_link_is_a_file_of_its_own_folder(tmp_path: Path) -> None:
    """An extractor would write it to the link's target."""
    target = tmp_path / "target"
    target.mkdir()
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(member("sub", kind=tarfile.SYMTYPE, link=str(target)))
        for name, text in {**files(), "sub/evil.py": "x = 1\n"}.items():
            tar.addfile(member(name, text.encode()), io.BytesIO(text.encode()))
    collect(tmp_path / "in", path)
    assert not list(target.iterdir())


def test_symbolic_link_in_a_zip_archive_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_zip(tmp_path / "a.zip", files())
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("secret.md")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert collect(tmp_path / "in", path) == 0
    assert collected(tmp_path / "in") == {"a": SUBMISSION}
    assert "secret.md (symbolic link)" in capsys.readouterr().out


def test_two_entries_of_one_path_refuse_the_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_zip(tmp_path / "a.zip", files())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("model.py", "other = 1\n")
    assert collect(tmp_path / "in", path) == 2
    assert "'model.py' is there twice" in capsys.readouterr().out


def refused(path: Path) -> str:
    """Read an archive and return why it is refused."""
    with pytest.raises(UsageError) as raised, opened_archive(path) as contents:
        for found in find_submissions(contents.entries):
            read_files(found)
    return str(raised.value)


def test_zip_bombs_stop_while_they_are_read(tmp_path: Path) -> None:
    zeros = b"\0" * 50_000_000
    path = write_zip(tmp_path / "large.zip", {"submission.yaml": "track: tiny\n", "model.py": zeros})
    assert path.stat().st_size < 100_000
    assert "model.py: 50,000,000 bytes, at most 1,048,576" in refused(path)
    # An archive that lies about the size: 1,000 bytes are announced, in both headers.
    lying = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = lying.rindex(signature)
        assert struct.unpack_from("<L", lying, start + offset) == (len(zeros),)
        struct.pack_into("<L", lying, start + offset, 1_000)
    (tmp_path / "lying.zip").write_bytes(lying)
    assert "damaged" in refused(tmp_path / "lying.zip")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_methods_that_python_expands_without_a_limit_are_refused(tmp_path: Path, compression: int) -> None:
    assert "packed by a rare method" in refused(write_zip(tmp_path / "a.zip", files(), compression))


def test_tar_bombs_stop_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_TAR_BYTES", 3_000_000)
    content = write_tar(tmp_path / "a.tar", {**files(), "data.bin": "0" * 4_000_000}).read_bytes()
    read: list[int] = []
    original = archives.chunks_up_to

    def counted(stream: archives._XzReader, limit: int):  # type: ignore[no-untyped-def]
        for chunk in original(stream, limit):
            read.append(len(chunk))
            yield chunk

    monkeypatch.setattr(archives, "chunks_up_to", counted)
    for name, packed in (("a.tar.gz", gzip.compress(content)), ("a.tar.xz", lzma.compress(content))):
        read.clear()
        (tmp_path / name).write_bytes(packed)
        assert "over 3,000,000 bytes when decompressed" in refused(tmp_path / name)
        assert sum(read) <= 3_000_000


def test_thousands_of_files_are_refused(tmp_path: Path) -> None:
    many = {f"{number}.txt": "" for number in range(10_001)}
    assert "over 10,000 entries" in refused(write_zip(tmp_path / "a.zip", {**files(), **many}))
    assert "over 10,000 entries" in refused(write_tar(tmp_path / "a.tar", {**files(), **many}))
    code = {f"{number}.py": "" for number in range(200)}
    assert "202 files of code and text, at most 100" in refused(write_zip(tmp_path / "b.zip", {**files(), **code}))
    large = {f"{number}.py": "#" * 1_000_000 for number in range(5)}
    assert "bytes of code and text, at most 4,194,304" in refused(
        write_zip(tmp_path / "c.zip", {**files(), **large})
    )


def test_long_list_of_files_is_refused_before_python_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "a.zip", {f"{number}.txt": "" for number in range(70_000)})
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert "over 10,000 entries" in refused(path)


def test_headers_that_python_reads_into_memory_are_limited(tmp_path: Path) -> None:
    header = member("long", kind=tarfile.GNUTYPE_LONGNAME)
    header.size = 2**21
    (tmp_path / "a.tar").write_bytes(header.tobuf() + bytes(2**21))
    assert "a header of 2,097,152 bytes, at most 1,048,576" in refused(tmp_path / "a.tar")
    sparse = tarfile.TarInfo("sparse.py")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"}
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(sparse)
    assert "a sparse file" in refused(tmp_path / "b.tar")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_damaged_archives_are_refused(tmp_path: Path, name: str) -> None:
    write = write_zip if name.endswith("zip") else write_tar
    content = write(tmp_path / name, {**files(), "z.md": "text " * 20_000}).read_bytes()
    for damaged in (b"", b"no archive", content[: len(content) // 2]):
        (tmp_path / name).write_bytes(damaged)
        assert "damaged, or no archive of this kind" in refused(tmp_path / name)


def test_damaged_header_does_not_hide_the_files_after_it(tmp_path: Path) -> None:
    content = bytearray(write_tar(tmp_path / "a.tar", {**files(0, "a"), **files(1, "b")}).read_bytes())
    content[2048 : 2048 + 512] = b"\1" * 512  # the header of b/submission.yaml
    (tmp_path / "a.tar").write_bytes(content)
    assert "damaged" in refused(tmp_path / "a.tar")


def test_zip_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("q", b"")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for start, position in ((content.find(b"PK\x03\x04"), 26), (content.find(b"PK\x01\x02"), 28)):
        content[start + position : start + position + 4] = struct.pack("<HH", 0, 1)  # the name becomes extra data
    (tmp_path / "a.zip").write_bytes(content)
    assert "no submission.yaml" in refused(tmp_path / "a.zip")


def test_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    content = bytearray(write_zip(tmp_path / "a.zip", files()).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.rindex(signature)
        content[start + offset] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    assert "has a password" in refused(tmp_path / "a.zip")


def test_names_made_on_windows_are_paths(tmp_path: Path) -> None:
    content = {name.replace("/", "\\"): text for name, text in files(folder="net").items()}
    assert collect(tmp_path / "in", write_zip(tmp_path / "a.zip", content)) == 0
    assert collected(tmp_path / "in") == {"net": SUBMISSION}


@pytest.mark.parametrize(("content", "found"), [(b"12345", "more"), (b"123", "only 3")])
def test_file_of_another_size_than_announced_is_refused(content: bytes, found: str) -> None:
    with pytest.raises(UsageError, match=f"announced with 4 bytes, but it has {found}"):
        read_exactly(io.BytesIO(content).read, 4, "model.py")
    assert read_exactly(io.BytesIO(b"1234").read, 4, "model.py") == b"1234"
