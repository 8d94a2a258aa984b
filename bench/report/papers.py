"""``bench papers``: what each paper claims, leaves open and gets wrong, from the manifests alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.contract.manifest import Choice, Claim, Claims, Manifest, Variant, load_manifest
from bench.contract.searches import Search
from bench.contract.tracks import Track, choose_tracks, track_of
from bench.errors import ManifestError, NothingToDo
from bench.report.tables import in_markdown, markdown_row
from bench.text import harmless

SOURCES = {
    "paper": "stated in the paper",
    "inferred": "inferred from a number that the paper reports",
    "author's code": "read from the code that the author published; facts only",
    "cited source": "what the implementation that the paper cites does",
    "course template": "what several of the papers seem to have started from, as public student copies keep it",
    "library default": "what the library does if nothing is said",
    "ours": "our choice, without evidence",
}

INTRODUCTION = """\
# The papers: what they claim, what they leave open, what they get wrong

Made by `bench papers submissions/*` from the `submission.yaml` of each submission; a test keeps it current. Every
statement names where it comes from: a place in the paper, the author's published code, or a count, variant or test
of this repository. What our own runs gave is in `results/` and `bench compare`, and here only in the findings that
close some sections. What a paper says is told in our words.

Where a choice comes from:
"""


@dataclass(frozen=True)
class Entry:
    """One submission."""

    name: str
    manifest: Manifest
    track: Track


def read_entries(folders: Iterable[Path], track: Path | None = None) -> list[Entry]:
    """The submissions in ``folders``, by paper and name; those of no numbered paper last.

    Args:
        folders: Of submissions; others are passed over.
        track: Only those of this track: a name, or the file of one's own; None for all that ship.

    Raises:
        ManifestError: If a manifest does not fit, or two submissions tell different things of one paper.
        NothingToDo: If no folder has a manifest, or none is of the track.
        UsageError: If there is no such track.
    """
    chosen = choose_tracks(track)
    entries = []
    for folder in folders:
        path = folder / "submission.yaml"
        if path.exists():
            manifest = in_one_paragraph(load_manifest(path))
            entries.append(Entry(folder.resolve().name, manifest, track_of(manifest.track, chosen.tracks, path)))
    entries = [entry for entry in entries if chosen.only in (None, entry.track.name)]
    if not entries:
        of = "" if track is None else f" of track {track}"
        raise NothingToDo(f"no submission.yaml{of} in the folders given")
    entries.sort(key=lambda entry: (paper_key(entry), entry.track.task, entry.name))
    for key, group in groupby(entries, key=paper_key):
        papers = [(entry.name, entry.manifest.paper) for entry in group]
        if any(paper != papers[0][1] for _, paper in papers):
            names = ", ".join(name for name, _ in papers)
            raise ManifestError(f"{names}: field `paper` differs between submissions of paper {key}")
    return entries


def in_one_paragraph(manifest: Manifest) -> Manifest:
    """The same, whose texts are only text in a paragraph of Markdown: no HTML, and no lines of their own."""

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            return in_markdown(" ".join(harmless(value).split()), pipes=False)
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return Manifest.model_validate(plain(manifest.model_dump(exclude_unset=True)))


def paper_key(entry: Entry) -> str:
    """What submissions of one paper have in common; sorts numbered papers first."""
    paper = entry.manifest.paper
    return (paper.id or f"~{paper.title}") if paper else "~~"


def papers_text(entries: list[Entry]) -> str:
    """The whole document, Markdown."""
    blocks = [
        INTRODUCTION + "\n".join(f"- *{name}*: {what}" for name, what in SOURCES.items()),
        _overview(entries),
    ]
    for _, group in groupby(entries, key=paper_key):
        members = list(group)
        blocks.append(heading_of(members[0].manifest))
        blocks += [block for entry in members for block in _submission(entry)]
    return "\n\n".join(blocks) + "\n"


def _overview(entries: list[Entry]) -> str:
    lines = ["| submission | paper | track | parameters | reports |", "|---|---|---|---|---|"]
    for entry in entries:
        manifest = entry.manifest
        claims = manifest.claims
        paper = manifest.paper.id or ", ".join(manifest.paper.authors[:1]) or "–" if manifest.paper else "–"
        params = "–" if claims.params is None else f"{claims.params:,}"
        reported = ", ".join(text for text in _claims(claims) if not text.startswith("parameters")) or "–"
        lines.append(markdown_row([f"[{entry.name}](#{entry.name})", paper, entry.track.name, params, reported]))
    return "\n".join(lines)


def heading_of(manifest: Manifest) -> str:
    """A paper's title, authors and links."""
    paper = manifest.paper
    if paper is None:
        return "## Without a paper"
    by = f" ({', '.join(paper.authors)}{f', {paper.year}' if paper.year else ''})" if paper.authors else ""
    number = f"Paper {paper.id}: " if paper.id else ""
    lines = [f"## {number}{paper.title}{by}"]
    lines += [f"<{paper.url}>"] if paper.url else []
    lines += [f"The author's code: {paper.code}."] if paper.code else []
    return "\n\n".join(lines)


def _submission(entry: Entry) -> Iterator[str]:
    manifest = entry.manifest
    yield f"### {entry.name}\n\n{manifest.summary}. Track `{manifest.track}`."
    claims = [f"- {text}" for text in _claims(manifest.claims)]
    if claims:
        yield "**What it claims**\n\n" + "\n".join(claims)
    if manifest.as_published is not None:
        published = manifest.as_published
        yield (
            f"**As published**: {published.mode} mode, batches of {published.batch_size}"
            f"{', FID after clean-fid' if published.resize == 'clean' else ''}"
            f"{', the best run' if published.best_seed else ''}. {published.why} The harness's own way is "
            "the default; both are shown side by side."
        )
    if manifest.choices:
        title = "**What it leaves open, and what was chosen**" if manifest.claims.params else "**Choices**"
        yield title + "\n\n" + "\n".join(map(_choice, manifest.choices))
    if manifest.faults:
        faults = [f"- {f.says.rstrip('.')}. **But:** {f.found} *({f.evidence})*" for f in manifest.faults]
        yield "**What it gets wrong, or says in two ways**\n\n" + "\n".join(faults)
    if manifest.ablations:
        yield _variants(manifest)
    if manifest.search is not None:
        yield _search(manifest.search)
    if manifest.notes:
        yield "**What was found**\n\n" + "\n".join(f"- {note}" for note in manifest.notes)


def _choice(choice: Choice) -> str:
    return f"- {choice.what}: **{choice.chosen}** *({choice.source})*. {choice.why}"


def _variants(manifest: Manifest) -> str:
    lines = ["**Variants**", "", "| variant | change | sets | the paper reports |", "|---|---|---|---|"]
    for name, variant in manifest.ablations.items():
        reported = ", ".join(_claims(variant.reports)) or "–"
        lines.append(markdown_row([f"`{name}`", variant.what, _sets(variant), reported]))
    return "\n".join(lines)


def _sets(variant: Variant) -> str:
    fields = [f"{key} = {value}" for key, value in variant.set.items()]
    if variant.steps is not None:
        fields.append(f"steps = {variant.steps:,}")
    return "`" + ", ".join(fields) + "`"


def _search(search: Search) -> str:
    fixed = f" Fixed in every trial: `{_fields(search.set)}`." if search.set else ""
    said = f" {search.what}" if search.what else ""
    lines = [f"**Search** (`bench tune`, {search.trials} trials).{said}{fixed}", ""]
    lines += ["| field | drawn | only if |", "|---|---|---|"]
    for name, dimension in search.space.items():
        ((kind, among),) = dimension.model_dump(exclude_none=True, exclude={"when"}).items()
        drawn = ", ".join(map(str, among)) if kind == "choice" else f"{among[0]:g} to {among[1]:.10g}"
        only = f"`{_fields(dimension.when)}`" if dimension.when else "–"
        lines.append(markdown_row([f"`{name}`", f"{kind.replace('_', '-')}: {drawn}", only]))
    return "\n".join(lines)


def _fields(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _claims(claims: Claims) -> list[str]:
    """Each claim in words, as the paper gives it."""
    texts = [] if claims.params is None else [f"parameters {claims.params:,}"]
    for title, claim, scale in (
        ("test accuracy", claims.top1_accuracy, 100),
        ("train accuracy", claims.train_accuracy, 100),
        ("train loss", claims.train_loss, 1),
        ("FID", claims.fid, 1),
        ("LPIPS", claims.lpips, 1),
    ):
        if claim is not None:
            texts.append(f"{title} {_figure(claim, scale)}")
    return texts


def _figure(claim: Claim, scale: float) -> str:
    spread = "" if claim.std is None else f" ± {claim.std * scale:g}"
    said = [f"over {claim.over}" if claim.over else "", f"the best of {claim.selected}" if claim.selected else ""]
    details = ", ".join(filter(None, said))
    return f"{claim.mean * scale:g}{spread}{' %' if scale == 100 else ''}" + (f" ({details})" if details else "")
