"""The contest's file: found upwards from the current folder, it decides which tracks and folders commands know."""

import json
from pathlib import Path

import pytest

from bench import load_model, load_records, run
from bench.contract.contest import find_contest
from bench.contract.datasets import DataSource
from bench.contract.tracks import choose_tracks, load_tracks
from bench.data.store import data_root
from bench.errors import ManifestError
from bench.harness.submissions.scaffold import scaffold
from tests.making import TRACK, bench, write_submission

CONTEST = "title: The small contest\norganiser: Course 101\nurl: https://example.org\ntracks: [tracks/tiny.yaml]\n"


@pytest.fixture
def contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tracks").mkdir()
    (tmp_path / "tracks" / "tiny.yaml").write_text(TRACK)
    (tmp_path / "capbench.yaml").write_text(CONTEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_contest_is_found_upwards(contest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = contest / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    found = find_contest()
    assert found is not None and found.root == contest
    assert (found.submissions, found.results) == (Path("../../submissions"), Path("../../results"))
    assert set(load_tracks()) == {"tiny"}
    monkeypatch.chdir(contest.parent)
    assert find_contest() is None and "tiny" not in load_tracks()


def test_change_of_the_file_takes_effect(contest: Path) -> None:
    (contest / "capbench.yaml").write_text(
        CONTEST.replace("[tracks/tiny.yaml]", "[tracks/tiny.yaml, cifar100-open]")
    )
    assert set(load_tracks()) == {"tiny", "cifar100-open"}
    (contest / "tracks" / "tiny.yaml").write_text(TRACK.replace("name: tiny", "name: small"))
    assert set(load_tracks()) == {"small", "cifar100-open"}


def test_data_beside_the_track_are_found_once_they_are_there(contest: Path) -> None:
    own = "{name: mine, format: npz, path: mine.npz, channels: 1, size: 8, classes: 2}"
    (contest / "tracks" / "tiny.yaml").write_text(TRACK.replace("data: shapes4x16\n", f"data: {own}\n", 1))
    before = load_tracks()["tiny"].data
    (contest / "tracks" / "mine.npz").touch()
    after = load_tracks()["tiny"].data
    assert isinstance(before, DataSource) and before.path == Path("mine.npz")
    assert isinstance(after, DataSource) and after.path == contest / "tracks" / "mine.npz"


def test_file_of_a_track_of_the_contest_selects_it(contest: Path) -> None:
    chosen = choose_tracks(Path("tracks/tiny.yaml"))
    assert (chosen.only, chosen.file) == ("tiny", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tracks: [tracks/tiny.yaml]\n", "capbench.yaml: field `title`"),
        ("title: x\ntracks: []\n", "capbench.yaml: field `tracks`"),
        (
            "title: x\ntracks: [tracks/none.yaml]\n",
            "found 'tracks/none.yaml', neither a file beside it nor one of",
        ),
        ("title: x\ntracks: [tracks/tiny.yaml, tracks/tiny.yaml]\n", "found 'tiny', as in another track"),
        (CONTEST + "result: x\n", "field `result`"),
        ("- a\n", "capbench.yaml"),
    ],
)
def test_faulty_file_is_a_one_line_error_of_every_command(text: str, message: str, contest: Path) -> None:
    (contest / "capbench.yaml").write_text(text)
    with pytest.raises(ManifestError, match=message):
        load_tracks()
    for command in (("verify",), ("status",), ("new", "x"), ("data", "verify")):
        result = bench(*command)
        assert result.returncode == 2 and message.split(" nor", maxsplit=1)[0] in result.stderr, result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_submission_of_another_track_is_refused_with_the_known_ones(contest: Path) -> None:
    write_submission(contest / "submissions", "good")
    other = write_submission(contest / "submissions", "other")
    (other / "submission.yaml").write_text("track: cifar100-classification\n")
    result = bench("verify")
    assert "1 verified, 1 unreadable" in result.stdout + result.stderr
    assert "found 'cifar100-classification'; known tracks: tiny; " in result.stdout
    assert "capbench.yaml lists them" in result.stdout


def test_commands_in_a_subfolder_use_the_folders_of_the_contest(
    contest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_submission(contest / "submissions", "good")
    monkeypatch.chdir(contest / "submissions" / "good")
    assert bench("run", "--device", "cpu", "--sandbox", "none").returncode == 0
    records = list((contest / "results" / "runs" / "tiny" / "good").rglob("seed*.json"))
    assert len(records) == 2
    assert not (contest / "submissions" / "good" / "results").exists()
    assert bench("leaderboard").returncode == 0
    text = (contest / "results" / "LEADERBOARD.md").read_text()
    assert text.startswith("# The small contest\n\nOrganised by Course 101. https://example.org\n")
    page = (contest / "results" / "site" / "index.html").read_text()
    assert "<h1>The small contest</h1>" in page and "Course 101" in page
    status = bench("status")
    assert "--track" not in status.stdout and status.returncode == 0


def test_leaderboard_leaves_out_records_of_other_tracks(contest: Path) -> None:
    write_submission(contest / "submissions", "good")
    assert bench("run", "--device", "cpu", "--sandbox", "none").returncode == 0
    (contest / "tracks" / "tiny.yaml").write_text(TRACK.replace("name: tiny", "name: later"))
    result = bench("leaderboard", "--no-site")
    assert "left out 2 records of other tracks: tiny" in result.stderr


def test_options_have_priority_over_the_contest(contest: Path) -> None:
    write_submission(contest / "elsewhere", "good")
    result = bench("verify", "elsewhere/good")
    assert result.returncode == 0 and "1 verified" in result.stdout + result.stderr
    assert bench("leaderboard", "--results", "none").returncode == 5


def test_data_root_of_the_contest_has_priority_over_the_variable(
    contest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", "/elsewhere")
    assert data_root(None) == Path("/elsewhere")
    (contest / "capbench.yaml").write_text(CONTEST + "data_root: data\n")
    assert data_root(None) == contest / "data"
    assert data_root(Path("/option")) == Path("/option")


def test_new_submission_is_for_the_track_and_keeps_to_its_cap(contest: Path) -> None:
    assert bench("new", "mine").returncode == 0
    assert "track: tiny" in (contest / "submissions" / "mine" / "submission.yaml").read_text()
    result = bench("verify", "submissions/mine")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "contest has no such track" in bench("new", "gan", "--task", "generation").stderr


@pytest.mark.parametrize("cap", [60_000, 20_000, 5_000, 2_000])
def test_template_uses_the_width_that_the_cap_allows(cap: int, contest: Path) -> None:
    (contest / "tracks" / "tiny.yaml").write_text(
        TRACK.replace("caps: {params: 2000, stored_scalars: 6000}", f"caps: {{params: {cap}}}")
    )
    scaffold("mine", None, contest / "submissions")
    result = bench("verify", "--debug")
    assert result.returncode == 0, result.stdout + result.stderr


def test_outside_of_a_contest_folders_must_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = bench("verify")
    assert result.returncode == 2 and result.stderr == "bench: give submission folders, such as submissions/*\n"


def test_title_is_escaped(contest: Path) -> None:
    (contest / "capbench.yaml").write_text(
        json.dumps({"title": "<script>x</script>", "tracks": ["tracks/tiny.yaml"]})
    )
    write_submission(contest / "submissions", "good")
    assert bench("run", "--device", "cpu", "--sandbox", "none", "--seeds", "1").returncode == 0
    assert bench("leaderboard").returncode == 0
    for page in (contest / "results" / "site").rglob("*.html"):
        assert "<script>x" not in page.read_text()


def test_collected_submissions_must_be_of_a_track_of_the_contest(contest: Path) -> None:
    write_submission(contest / "uploads", "good")
    other = write_submission(contest / "uploads", "other")
    (other / "submission.yaml").write_text("track: cifar100-classification\n")
    result = bench("collect", "uploads")
    assert result.returncode == 2 and (contest / "submissions" / "good" / "model.py").exists()
    assert "found 'cifar100-classification'; known tracks: tiny" in result.stdout
    assert not (contest / "submissions" / "other").exists()


def test_new_submission_of_a_contest_with_several_tracks_needs_the_track(contest: Path) -> None:
    (contest / "tracks" / "small.yaml").write_text(TRACK.replace("name: tiny", "name: small"))
    (contest / "capbench.yaml").write_text(
        CONTEST.replace("[tracks/tiny.yaml]", "[tracks/tiny.yaml, tracks/small.yaml]")
    )
    refused = bench("new", "net")
    assert refused.returncode == 2 and "the contest has 2 tracks; give --track tiny or small" in refused.stderr
    assert not (contest / "submissions" / "net").exists()
    assert bench("new", "net", "--track", "small").returncode == 0
    assert "track: small\n" in (contest / "submissions" / "net" / "submission.yaml").read_text()


def test_python_uses_the_folders_of_the_contest(contest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_submission(contest / "submissions", "net")
    inside = contest / "notebooks"
    inside.mkdir()
    monkeypatch.chdir(inside)
    summary = run("../submissions/net", profile="quick", seeds=1, device="cpu", sandbox="none", log_format="quiet")
    assert summary.exit_code == 0 and list(inside.iterdir()) == []
    assert [record.identity.submission for record in load_records()] == ["net"]
    assert load_model("net", profile="quick").training is False
    (record,) = (contest / "results" / "runs").rglob("seed0-*.json")
    assert record.is_file()
