"""Addresses and lists: what is a source, and that no password is printed or kept."""

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.harness.submissions.collecting.listing import read_list
from bench.harness.submissions.collecting.names import valid_name
from bench.harness.submissions.collecting.sources import Request, label_of_request, parse_source
from tests.harness.submissions.collecting.making_sources import (
    collect,
    collected,
    commit,
    files,
    write_files,
    write_zip,
)


@pytest.mark.parametrize(
    ("text", "address", "shown", "ref"),
    [
        ("https://host/a/net.git", "https://host/a/net.git", "https://host/a/net.git", None),
        ("https://host/a/net#v1", "https://host/a/net", "https://host/a/net", "v1"),
        ("https://token@host/net", "https://token@host/net", "https://host/net", None),
        ("https://me:secret@host:8443/net#x", "https://me:secret@host:8443/net", "https://host:8443/net", "x"),
        ("https://host/net?private_token=t", "https://host/net?private_token=t", "https://host/net", None),
        ("ssh://git:secret@host/net", "ssh://git:secret@host/net", "ssh://git@host/net", None),
        ("git@host:group/net.git#main", "git@host:group/net.git", "git@host:group/net.git", "main"),
        ("file:///srv/net.git", "file:///srv/net.git", "file:///srv/net.git", None),
    ],
)
def test_addresses_are_recognised_and_shown_without_credentials(
    text: str, address: str, shown: str, ref: str | None
) -> None:
    source = parse_source(Request(text))
    assert (source.kind, source.address, source.shown, source.ref) == ("repository", address, shown, ref)
    assert not any(secret in f"{source!r}{source.label}{source.recorded}" for secret in ("secret", "token", "me:"))
    assert label_of_request(Request(text)) == source.label
    credentials = address.partition("://")[2].rpartition("@")[0]
    repeated = source.without_credentials(
        f"cannot read '{address}': https://{credentials}@host and {credentials}@"
    )
    assert "secret" not in repeated and "token" not in repeated


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ext::sh -c touch% was-run", "would run a helper of git"),
        ("http://host/net.git", "http:// is not read, because nobody checks who answers"),
        ("git://host/net.git", "git:// is not read"),
        ("ftp://host/net.zip", "ftp:// is not read"),
        ("https://host/net.zip", "an archive is not downloaded; download it"),
        ("https://-oProxyCommand=touch/net", "no valid address"),
        ("https:///net", "no valid address"),
        ("https://[1/net", "no valid address"),
        ("https://host/net#", "give one version"),
        ("git@host:-x", "begins with `-`"),
        ("-x@host:net", "no such file or folder"),
        ("--upload-pack=x", "no such file or folder"),
        ("absent", "no such file or folder"),
        ("", "no source"),
        ("a\x1b[2J", "unprintable"),
        ("x" * 5_000, "File name too long"),
    ],
)
def test_other_addresses_are_refused(
    tmp_path: Path, text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path / "in", text) == 2
    printed = capsys.readouterr().out
    assert reason in printed and "\x1b" not in printed and len(printed.splitlines()) <= 3
    assert collected(tmp_path / "in") == {}


def test_files_that_are_no_archives_and_versions_of_none(tmp_path: Path) -> None:
    (tmp_path / "net.rar").touch()
    write_zip(tmp_path / "net.zip", files())
    write_files(tmp_path / "net", files())
    for name, reason in (
        ("net.rar", "neither a folder nor an archive that is read here"),
        ("net.zip#v1", "an archive has one version"),
        ("net#v1", "no git repository"),
    ):
        with pytest.raises(UsageError, match=reason):
            parse_source(Request(str(tmp_path / name)))


def test_path_with_a_hash_sign_is_a_path_if_it_exists(tmp_path: Path) -> None:
    write_files(tmp_path / "c#net", files())
    source = parse_source(Request(str(tmp_path / "c#net")))
    assert (source.kind, source.ref) == ("folder", None)


def test_folder_with_remains_of_git_is_a_folder(tmp_path: Path) -> None:
    write_files(tmp_path / "net", {**files(), ".git/config": "[core]\n"})
    assert parse_source(Request(str(tmp_path / "net"))).kind == "folder"
    commit(tmp_path / "other", files())
    assert parse_source(Request(str(tmp_path / "other"))).kind == "repository"


@pytest.mark.parametrize(
    "text",
    [
        "source,team,name,ref\na.zip,Team Ä,net,\nhttps://host/b,,,v1\n",
        "\ufeffRef;Name;Source;Team\r\n;net;a.zip;Team Ä\r\nv1;;https://host/b;\r\n\r\n",
        "source\tteam\tname\tref\na.zip\t Team Ä\tnet\nhttps://host/b\t\t\tv1\n;\n".replace(";\n", "\t\t\t\n"),
    ],
)
def test_lists_of_spreadsheets_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "teams.csv"
    path.write_bytes(text.encode())
    requests, ignored = read_list(path)
    assert [(one.text, one.ref, one.team, one.name) for one in requests] == [
        ("a.zip", None, "Team Ä", "net"),
        ("https://host/b", "v1", None, None),
    ]
    assert all(one.base == tmp_path for one in requests) and ignored == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the first line has the columns nothing; it needs `source`"),
        (b"address,team\nx,y\n", "the columns address, team; it needs `source`"),
        (b"source,source\nx,y\n", "each once"),
        (b"source,team\na,Team \xe4\n", "line 2: not UTF-8; save it as `CSV UTF-8`"),
        (b'source,team\n"a', "not a CSV file"),
        (b"source\n" + b"x" * 2**20, "over 1,048,576 bytes"),
        (None, "cannot be read"),
    ],
)
def test_unreadable_list_is_an_error(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "teams.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        read_list(path)


def test_columns_without_a_meaning_are_named(tmp_path: Path) -> None:
    path = tmp_path / "teams.csv"
    path.write_text("email,source\na@b.c,x\n")
    assert read_list(path)[1] == ["email"]


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ("net", "net"),
        ("Our Net", "our_net"),
        ("Müller & Söhne", "muller_sohne"),
        ("_net-2.", "net-2"),
        ("..", None),
        ("网络", None),
        ("Real-Images", None),
        ("x" * 300, "x" * 100),
        ("a\udcff\x1b[2Jb", "a_2jb"),
    ],
)
def test_valid_names_are_derived(found: str, name: str | None) -> None:
    if name is not None:
        assert valid_name(found) == name
        return
    with pytest.raises(UsageError, match="rename the folder, or give `name` in a --list"):
        valid_name(found)
