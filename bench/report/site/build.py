"""Writing the site: static pages that work from the file system, without a network and without JavaScript."""

import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from bench import __version__
from bench.contract.contest import find_contest
from bench.contract.records.files import record_path
from bench.contract.records.record import Record
from bench.report.records.collected import NOTHING, Collected
from bench.report.records.current_claims import read_manifests
from bench.report.site.figures import pictures_of
from bench.report.site.pages import SiteData, index_sections, rules_of, track_sections
from bench.report.site.run import run_sections
from bench.report.site.submission import submission_sections
from bench.report.site.views import Section, record_copy, rules_page, run_page, submission_page, track_page
from bench.text import harmless

HERE = Path(__file__).parent
INLINE = re.compile(r"`(?P<code>[^`]+)`|(?P<url>https?://[^\s<>()\"'`]*[^\s<>()\"'`.,;:])")


def rich_text(text: str) -> Markup:
    """Return the text escaped, with backticks as code and URLs as links."""
    html, end = Markup(), 0
    for match in INLINE.finditer(text):
        html += escape(text[end : match.start()])
        if match["code"]:
            html += Markup("<code>{}</code>").format(match["code"])
        else:
            html += Markup('<a href="{0}">{0}</a>').format(match["url"])
        end = match.end()
    return html + escape(text[end:])


def environment() -> Environment:
    """Return the template environment: it escapes everything and raises on undefined variables."""
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["rich"] = rich_text
    templates.filters["markdown"] = markdown
    return templates


def markdown(text: str) -> Markup:
    """Return the organiser's Markdown as HTML, without HTML and pictures in it; its headings are small."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(harmless(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def build_site(
    records: Sequence[Record],
    problems: Sequence[str],
    results: Path,
    submissions: Path,
    target: Path,
    collected: Collected = NOTHING,
) -> Path:
    """Write all pages, replace the folder ``target`` by them, and return the path of the front page.

    Raises:
        OSError: If the folder cannot be written; the old one is kept.
    """
    front_page = target / "index.html"
    names = sorted({record.identity.submission for record in records})
    manifests, unread = read_manifests(submissions, names)
    source = SiteData(records, [*problems, *unread], manifests, results, collected)
    target = target.resolve()  # replace the folder that a symbolic link points to, not the link
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        new.chmod(0o755)
        _write_pages(source, new)
        shutil.copytree(HERE / "assets", new / "assets")
        old = new.with_name(new.name + ".old")
        if target.exists():
            target.rename(old)
        new.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return front_page


def _write_pages(source: SiteData, folder: Path) -> None:
    pages = environment()
    tracks = {item.protocol.track: source.title_of(item.protocol.track) for item in source.tables}
    menu = []
    for track in tracks:
        menu.append((track, track_page(track)))
        if track in source.tracks:
            menu.append(("rules" if len(tracks) == 1 else f"{track} rules", rules_page(track)))
    contest = find_contest()
    content = None if contest is None else contest.content

    def write(address: str, title: str, sections: Iterable[Section], path: Sequence[tuple[str, str]] = ()) -> None:
        root = "../" * address.count("/")
        page = pages.get_template("page.html").render(
            title=title, sections=list(sections), root=root, menu=menu, path=path, version=__version__,
            count=len(source.records), address=address, contest=content,
        )  # fmt: skip
        (folder / address).parent.mkdir(parents=True, exist_ok=True)
        (folder / address).write_text(page, encoding="utf-8")

    write("index.html", "Leaderboard" if content is None else content.title, index_sections(source))
    for track, title in tracks.items():
        write(track_page(track), title, track_sections(source, track))
        if track in source.tracks:
            write(
                rules_page(track), f"Rules: {title}", rules_of(source.tracks[track]), [(track, track_page(track))]
            )
    for name, (record, *_) in source.by_submission.items():
        breadcrumbs = [(record.protocol.track, track_page(record.protocol.track))]
        write(submission_page(record), name, submission_sections(source, name), breadcrumbs)
    for record in source.records:
        identity = record.identity
        breadcrumbs = [
            (record.protocol.track, track_page(record.protocol.track)),
            (identity.submission, submission_page(record)),
        ]
        title = f"{identity.submission}, {identity.variant}, seed {identity.seed}"
        write(run_page(record), title, run_sections(source, record), breadcrumbs)
        _copy_files(source, record, folder)


def _copy_files(source: SiteData, record: Record, folder: Path) -> None:
    """Copy the record and its pictures into the site, so that the site can be moved."""
    path = record_path(source.results, record.identity, record.protocol)
    if path.exists():
        copy = folder / record_copy(record)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
    for picture, figure in pictures_of(record, source.results):
        (folder / figure.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, folder / figure.path)
