"""The report of refused uploads: complete, current, and without paths, passwords or tokens."""

import json
import re
from pathlib import Path

import pytest

from bench.contract.collected import REFUSED, read_refused, read_teams
from bench.errors import ManifestError, UsageError
from bench.harness.submissions.collecting.refusals import Refusals, upload_name
from bench.harness.submissions.collecting.sources import Request, Source
from tests.harness.submissions.collecting.making_sources import collect, files, git, write_files, write_zip


def write_list(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("source,team,name,ref", *rows)) + "\n")
    return path


def reported(into: Path) -> dict[str, tuple[str | None, str]]:
    """Return the report: upload -> team and reason."""
    return {refusal.upload: (refusal.team, refusal.reason) for refusal in read_refused(into)}


def test_refused_uploads_are_reported_and_accepted_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04")
    write_zip(tmp_path / "good.zip", files(1))
    listed = write_list(tmp_path / "teams.csv", 'damaged.zip,"Ä | <b>B</b>"', "good.zip,Good,good", "absent,Gone")
    assert collect(tmp_path / "in", list_file=listed) == 2
    assert set(reported(tmp_path / "in")) == {"damaged.zip", "absent"}
    assert reported(tmp_path / "in")["damaged.zip"][0] == "Ä | <b>B</b>"
    assert "no such file or folder" in reported(tmp_path / "in")["absent"][1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", read_refused(tmp_path / "in")[0].date)
    assert read_teams(tmp_path / "in", ["good", "other"]) == {"good": "Good"}


def test_uploads_in_a_folder_are_named_from_it_on(tmp_path: Path) -> None:
    for team in ("anna", "bert"):
        write_files(tmp_path / f"downloads/{team}/net", {"submission.yaml": "track: tiny\n"})
    assert collect(tmp_path / "in", tmp_path / "downloads") == 2
    assert set(reported(tmp_path / "in")) == {"downloads/anna/net", "downloads/bert/net"}


def test_later_upload_of_the_team_or_of_the_same_name_replaces_the_entry(tmp_path: Path) -> None:
    into = tmp_path / "in"
    for name in ("one.zip", "two.zip", "three.zip"):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    listed = write_list(tmp_path / "a.csv", "one.zip,Team 1", "two.zip,Team 2")
    assert collect(into, tmp_path / "three.zip", list_file=listed) == 2
    assert set(reported(into)) == {"one.zip", "two.zip", "three.zip"}
    write_zip(tmp_path / "better.zip", files(1))
    write_zip(tmp_path / "three.zip", files(3))
    listed = write_list(tmp_path / "b.csv", "better.zip,TEAM 1", "absent,Team 2")
    assert collect(into, tmp_path / "three.zip", list_file=listed) == 2
    assert {upload: team for upload, (team, _) in reported(into).items()} == {"absent": "Team 2"}
    write_zip(tmp_path / "last.zip", files(2))
    assert collect(into, list_file=write_list(tmp_path / "c.csv", "last.zip,Team 2")) == 0
    assert not (into / REFUSED).exists()


def test_dry_run_leaves_the_report_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04")
    assert collect(tmp_path / "in", tmp_path / "bad.zip", dry_run=True) == 2
    assert not (tmp_path / "in").exists()


def test_report_has_no_path_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home dir" / "jane"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    into = home / "contest" / "submissions"
    write_files(into / "net", files(5))  # there already, and not collected
    write_files(home / "up/net", files(6))
    git(home, "init", "-q", "no-commit")
    (home / "damaged.zip").write_bytes(b"PK\x03\x04")
    write_files(home / "up/link", {"submission.yaml": "track: tiny\n"})
    (home / "up/link/model.py").symlink_to("/etc/passwd")
    sources = ["up", "no-commit", "damaged.zip", "absent", "../elsewhere"]
    assert collect(into, *(home / source for source in sources), f"file://{home}/no-such") == 2
    text = (into / REFUSED).read_text()
    assert len(json.loads(text)["refused"]) == 7
    for secret in (str(tmp_path), "home dir", "jane", "/tmp", "~/"):
        assert secret not in text, text
    assert "submissions/net exists already" in text


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://jane:hunter2@git.example.org/team-7/net.git?token=hunter2#v1", "team-7/net"),
        ("https://hunter2@git.example.org/team-7/net", "team-7/net"),
        ("ssh://git@git.example.org/team-7/net.git", "team-7/net"),
        ("hunter2@git.example.org:team-7/net.git", "team-7/net"),
        ("file:///home/hunter2/net", "net"),
    ],
)
def test_report_has_no_password_or_token(tmp_path: Path, address: str, name: str) -> None:
    request, refusals = Request(address, team="T"), Refusals(tmp_path)
    source = Source("repository", address, address, address)
    assert upload_name(request, source) == upload_name(request, None) == name
    for variant in (address, address.partition("#")[0], f"'{address.partition('?')[0]}/': not found"):
        refusals.refuse(request, source, ".", f"fatal: unable to access {variant}")
        refusals.refuse(request, None, ".", f"no valid address ({variant})")
    refusals.write()
    assert "hunter2" not in (tmp_path / REFUSED).read_text()
    assert "fatal: unable to access" in (tmp_path / REFUSED).read_text()


def test_report_that_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / REFUSED).write_text('{"refused": [1]}')
    with pytest.raises(ManifestError, match=r"refused\.json: not a list of refused uploads .* correct or delete"):
        read_refused(tmp_path)
    (tmp_path / REFUSED).unlink()
    refusals = Refusals(tmp_path / "file")
    (tmp_path / "file").write_text("")
    refusals.refuse(Request("x"), None, ".", "why")
    with pytest.raises(UsageError, match="the report cannot be written"):
        refusals.write()
