"""Writing the site: static pages that work from the file system, without a network and without a script."""

import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from bench import __version__
from bench.contract.records import Record, record_path
from bench.report.claims import read_manifests
from bench.report.site.drawings import pictures_of
from bench.report.site.pages import Source, index_sections, track_sections
from bench.report.site.run import run_sections
from bench.report.site.submission import submission_sections
from bench.report.site.views import Section, record_copy, run_page, submission_page, track_page

HERE = Path(__file__).parent
RICH = re.compile(r"`(?P<code>[^`]+)`|(?P<address>https?://[^\s<>()\"'`]*[^\s<>()\"'`.,;:])")


def rich_text(text: str) -> Markup:
    """Escaped text in which what stands in backticks is code, and addresses are links."""
    made, end = Markup(), 0
    for match in RICH.finditer(text):
        made += escape(text[end : match.start()])
        if match["code"]:
            made += Markup("<code>{}</code>").format(match["code"])
        else:
            made += Markup('<a href="{0}">{0}</a>').format(match["address"])
        end = match.end()
    return made + escape(text[end:])


def environment() -> Environment:
    """Templates that escape everything and fail on what is not there."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["rich"] = rich_text
    return made


def build_site(
    records: Sequence[Record], problems: Sequence[str], results: Path, submissions: Path, target: Path
) -> Path:
    """Write all pages to ``target``, in place of what is there, and return the front page's path.

    Raises:
        OSError: If the folder cannot be written; what was there stays.
    """
    named = target
    names = sorted({record.identity.submission for record in records})
    manifests, unread = read_manifests(submissions, names)
    source = Source(records, [*problems, *unread], manifests, results)
    target = target.resolve()  # of a link, what it leads to is replaced
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        made.chmod(0o755)
        _write_pages(source, made)
        shutil.copytree(HERE / "assets", made / "assets")
        old = made.with_name(made.name + ".old")
        if target.exists():
            target.rename(old)
        made.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return named / "index.html"


def _write_pages(source: Source, folder: Path) -> None:
    pages = environment()
    tracks = {item.protocol.track: source.title_of(item.protocol.track) for item in source.tables}
    menu = [(track, track_page(track)) for track in tracks]

    def write(address: str, title: str, sections: Iterable[Section], path: Sequence[tuple[str, str]] = ()) -> None:
        root = "../" * address.count("/")
        page = pages.get_template("page.html").render(
            title=title, sections=list(sections), root=root, menu=menu, path=path, version=__version__,
            count=len(source.records), address=address,
        )  # fmt: skip
        (folder / address).parent.mkdir(parents=True, exist_ok=True)
        (folder / address).write_text(page, encoding="utf-8")

    write("index.html", "Leaderboard", index_sections(source))
    for track, title in tracks.items():
        write(track_page(track), title, track_sections(source, track))
    for name, (own, *_) in source.by_submission.items():
        trail = [(own.protocol.track, track_page(own.protocol.track))]
        write(submission_page(own), name, submission_sections(source, name), trail)
    for record in source.records:
        identity = record.identity
        trail = [
            (record.protocol.track, track_page(record.protocol.track)),
            (identity.submission, submission_page(record)),
        ]
        title = f"{identity.submission}, {identity.variant}, seed {identity.seed}"
        write(run_page(record), title, run_sections(source, record), trail)
        _copy_beside(source, record, folder)


def _copy_beside(source: Source, record: Record, folder: Path) -> None:
    """The record itself, and its pictures, so that the site can be moved anywhere."""
    own = record_path(source.results, record.identity, record.protocol)
    if own.exists():
        copy = folder / record_copy(record)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(own, copy)
    for picture, figure in pictures_of(record, source.results):
        (folder / figure.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, folder / figure.path)
