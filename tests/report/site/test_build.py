"""The pages as files: complete, linked, escaped, and identical for the same records."""

import filecmp
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from bench.contract.collected import Origin, Refusal, write_refused
from bench.contract.records.files import read_record
from bench.report.leaderboard import leaderboard_command
from bench.report.site.build import rich_text
from tests.report.making_contest import contest, write_contest
from tests.report.making_records import make_record
from tests.report.site.conftest import HOSTILE


class Page(HTMLParser):
    """The URLs, ids, headings and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.urls, self.ids, self.headings, self.text = path, [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.urls += [value for name in ("href", "src", "xlink:href") if (value := values.get(name))]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def pages(site: Path) -> list[Page]:
    return [Page(path) for path in sorted(site.rglob("*.html"))]


def page(pages: list[Page], name: str) -> Page:
    return next(item for item in pages if item.path.name == name or str(item.path).endswith(name))


def test_every_track_submission_and_run_has_a_page(site: Path, pages: list[Page]) -> None:
    names = {str(item.path.relative_to(site)) for item in pages}
    assert {"index.html", "tracks/cifar100-classification.html", "tracks/cifar100-generation.html"} <= names
    assert {f"submissions/{name}.html" for name in ("wide", "se_net", "narrow", "moody", "gan", "ddpm")} <= names
    runs = [name for name in names if name.startswith("runs/")]
    assert len(runs) == len(contest()) + 1  # failed runs included
    assert sum("--deep--" in name for name in runs) == 1


def test_links_resolve_within_the_site(site: Path, pages: list[Page]) -> None:
    for item in pages:
        for url in item.urls:
            if url.startswith(("data:", "https://example.org")):
                continue
            path, _, anchor = url.partition("#")
            target = (item.path.parent / unquote(path)).resolve() if path else item.path
            assert target.is_relative_to(site.resolve()) and target.is_file(), f"{item.path}: {url}"
            if anchor and target.suffix == ".html":
                assert anchor in Page(target).ids, f"{item.path}: {url}"


def test_ids_are_unique_and_each_page_has_one_h1(pages: list[Page]) -> None:
    for item in pages:
        duplicates = [name for name, count in Counter(item.ids).items() if count > 1]
        assert not duplicates, f"{item.path}: {duplicates}"
        assert item.headings[0] == "h1" and item.headings.count("h1") == 1


def test_text_of_submissions_is_escaped(pages: list[Page], site: Path) -> None:
    for path in site.rglob("*.html"):
        assert HOSTILE not in path.read_text() and "<b>nets" not in path.read_text()
    assert f"ValueError: {HOSTILE}" in page(pages, "submissions/unlucky.html").text
    assert "On <b>nets</b>" in page(pages, "submissions/wide.html").text
    (failed,) = [item for item in pages if "seed5" in item.path.name]
    assert f"</pre>{HOSTILE}" in failed.text and "first line" in failed.text


def test_urls_become_links_and_backticks_become_code() -> None:
    assert str(rich_text("<i> https://example.org/a?b=1&c=2, `x < y`")) == (
        '&lt;i&gt; <a href="https://example.org/a?b=1&amp;c=2">https://example.org/a?b=1&amp;c=2</a>, '
        "<code>x &lt; y</code>"
    )
    assert "<a" not in str(rich_text("javascript:alert(1) https://"))


def test_submission_page_has_claims_audit_ablation_and_runs(pages: list[Page]) -> None:
    wide = page(pages, "submissions/wide.html").text
    for phrase in (
        "it is 1 < 2", "was found to be a net", "our choice, without evidence", "more layers",
        "Errors and inconsistencies", "Ablation: cifar100-classification, official", "over the cap", "woman",
    ):  # fmt: skip
        assert phrase in wide, phrase
    assert "84,194" in page(pages, "submissions/se_net.html").text  # without a manifest, from records only
    assert "reproduced" in page(pages, "submissions/se_net.html").text


def test_pictures_and_records_are_copied(site: Path, pages: list[Page]) -> None:
    gan = page(pages, "submissions/gan.html")
    sheets = [url for url in gan.urls if url.endswith("samples.png")]
    assert sheets and not [url for url in gan.urls if "step-000100" in url]
    run = next(item for item in pages if "--gan--" in item.path.name)
    assert any("step-000100" in url for url in run.urls)
    for path in (site / "records").glob("*.json"):
        assert read_record(path).status  # byte for byte: the checksum still holds


def test_site_is_reproducible_and_stale_pages_are_removed(tmp_path: Path, site: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(site.parent / "runs", results / "runs")
    (results / "site").mkdir()
    (results / "site" / "stale.html").write_text("old")
    leaderboard_command(results, site.parents[1] / "submissions", check=False, site=True)
    names = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file())
    assert names == sorted(
        str(p.relative_to(results / "site")) for p in (results / "site").rglob("*") if p.is_file()
    )
    assert filecmp.cmpfiles(site, results / "site", names, shallow=False)[0] == names
    assert [path.name for path in results.iterdir() if path.name.startswith(".")] == []


def test_records_of_older_code_are_marked(tmp_path: Path) -> None:
    old = make_record("net", 0, 0.1, source="old")
    new = make_record("net", 0, 0.9, source="new", finished_at="2026-02-01T00:00:00+00:00")
    write_contest(tmp_path, [old, new])
    leaderboard_command(tmp_path, tmp_path, check=False, site=True)
    text = Page(tmp_path / "site" / "submissions" / "net.html").text
    assert "1 of them are of an earlier version of the code" in text
    assert len(list((tmp_path / "site" / "runs").iterdir())) == 2


def test_unreadable_manifest_is_reported_on_the_front_page(tmp_path: Path) -> None:
    write_contest(tmp_path / "results", [make_record("net")])
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "submission.yaml").write_text("track: [")
    leaderboard_command(tmp_path / "results", tmp_path, check=False, site=True)
    assert "not valid YAML" in Page(tmp_path / "results" / "site" / "index.html").text


def test_large_site_omits_drawings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    shutil.copytree(site.parent / "runs", tmp_path / "runs")
    (tmp_path / "submissions").mkdir()
    run_page = Page(next((site / "runs").glob("*se_net--base--seed0*.html")))
    assert "<svg" in run_page.path.read_text()
    monkeypatch.setattr("bench.report.site.pages.MOST_RUNS_DRAWN", 3)
    leaderboard_command(tmp_path, tmp_path / "submissions", check=False, site=True)
    site_folder = tmp_path / "site"
    assert "<svg" not in (site_folder / "runs" / run_page.path.name).read_text()
    assert "<svg" in (site_folder / "submissions" / "se_net.html").read_text()
    monkeypatch.setattr("bench.report.site.pages.MOST_ROWS_DRAWN", 3)
    leaderboard_command(tmp_path, tmp_path / "submissions", check=False, site=True)
    text = (site_folder / "submissions" / "se_net.html").read_text()
    assert "<svg" not in text and "bench plot curves se_net" in text and "worst class" in text


RULES = """Teams of three. Hand in by **1 July**.

# A heading

<script>alert(1)</script> ![x](http://evil.example/x.png) [bad](javascript:alert(1)) [forum](https://example.org/forum)
"""
CAPBENCH = {
    "title": "A | <b>contest</b>",
    "tracks": ["cifar100-classification"],
    "rules": RULES,
    "about": "*For* all.",
}


@pytest.fixture
def contest_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site of a contest with teams, refused uploads, and failed runs of two profiles."""
    (tmp_path / "capbench.yaml").write_text(yaml.safe_dump(CAPBENCH))
    monkeypatch.chdir(tmp_path)
    smoke = make_record("wide", 3, None, profile="smoke", reason="KeyError: a typo in a smoke run")
    long = make_record("failing", 0, None, reason="ValueError: " + "many words " * 40)
    write_contest(tmp_path / "results", [record for record in contest() if record.task == "classification"])
    write_contest(tmp_path / "results", [smoke, long])
    origin = Origin(source="x", team="`T` <i>7</i> https://evil.example", collected="d", sha256="0", files=2)
    (tmp_path / "submissions" / "wide").mkdir(parents=True)
    (tmp_path / "submissions" / "wide" / "collected.yaml").write_text(origin.to_yaml())
    refusal = Refusal(
        upload="a.zip", team="Ä & <b>B</b>", date="2026-07-01T12:34:56+00:00", reason="no `model.py` <i>"
    )
    write_refused(tmp_path / "submissions", [refusal])
    leaderboard_command(tmp_path / "results", tmp_path / "submissions", check=False, site=True)
    return tmp_path / "results" / "site"


def test_rules_are_on_a_page_of_their_own(contest_site: Path) -> None:
    rules = Page(contest_site / "rules" / "cifar100-classification.html")
    for phrase in (
        "at most",
        "100,000",
        "distinct trainable parameters",
        "bench verify",
        "Hand in by 1 July.",
        "<script>",
    ):
        assert phrase in rules.text, phrase
    html = rules.path.read_text()
    assert "<strong>1 July</strong>" in html and 'href="https://example.org/forum"' in html
    assert "<script>alert" not in html and "<img" not in html
    assert not [url for url in rules.urls if url.startswith("javascript")]
    assert rules.headings.count("h1") == 1
    for page_name in ("index.html", "tracks/cifar100-classification.html"):
        assert any(
            url.endswith("rules/cifar100-classification.html") for url in Page(contest_site / page_name).urls
        )
    assert "<em>For</em> all." in (contest_site / "index.html").read_text()


def test_teams_and_refused_uploads_are_on_the_front_page(contest_site: Path) -> None:
    front = Page(contest_site / "index.html")
    for phrase in (
        "`T` <i>7</i> https://evil.example",
        "Refused",
        "Ä & <b>B</b>",
        "2026-07-01 12:34",
        "no `model.py` <i>",
    ):
        assert phrase in front.text, phrase
    assert "https://evil.example" not in front.urls  # a name is no link


def test_runs_of_other_profiles_are_not_among_failed_official_runs(contest_site: Path) -> None:
    front = Page(contest_site / "index.html").text
    assert "OSError: 5" in front and "typo in a smoke run" not in front
    track = Page(contest_site / "tracks" / "cifar100-classification.html").text
    official, other = track.split("Failed runs of other profiles (unranked)")[-2:]
    assert "typo in a smoke run" in other and "wide/base seed 3, smoke" in other and "OSError: 5" not in other
    assert "OSError: 5" in official


def test_reasons_are_short_in_tables_and_complete_on_the_page_of_the_submission(contest_site: Path) -> None:
    track = Page(contest_site / "tracks" / "cifar100-classification.html").text
    assert "error: ValueError: many words" in track and "Status: error: an exception in its code" in track
    reason = ("many words " * 40).strip()
    assert (
        f"Failed, seed 0: error: ValueError: {reason}" in Page(contest_site / "submissions" / "failing.html").text
    )
    assert "`T` <i>7</i> https://evil.example" in Page(contest_site / "submissions" / "wide.html").text
