"""``bench papers``: the claims, unspecified details and errors of each paper, from the manifests alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.contract.manifest import Choice, Claim, Claims, Manifest, Variant, load_manifest
from bench.contract.searches import Search
from bench.contract.tracks import Track, choose_tracks, track_of
from bench.errors import ManifestError, NothingToDo
from bench.report.tables.text import in_markdown, markdown_row
from bench.text import harmless

SOURCES = {
    "paper": "stated in the paper",
    "inferred": "inferred from a number that the paper reports",
    "author's code": "read from the author's published code; facts only, no code",
    "cited source": "as in the implementation that the paper cites",
    "course template": "as in the template that several papers seem to start from (public student copies)",
    "library default": "the library's default",
    "ours": "our choice, without evidence",
}

INTRODUCTION = """\
# The papers: claims, unspecified details and errors

Made by `bench papers submissions/*` from the `submission.yaml` of each submission; a test keeps it current. Every
statement names its source: a section of the paper, the author's published code, or a count, variant or test of
this repository. The results of our runs are in `results/` and `bench compare`; here they appear only under
*Findings*. The papers are paraphrased.

Sources of choices:
"""


@dataclass(frozen=True)
class PaperEntry:
    """One submission."""

    name: str
    manifest: Manifest
    track: Track


def read_entries(folders: Iterable[Path], track: Path | None = None) -> list[PaperEntry]:
    """Read the submissions in ``folders``, sorted by paper and name, those without a numbered paper last.

    Args:
        folders: Folders of submissions; folders without a manifest are skipped.
        track: Only submissions of this track (name, or path of a track file); None for all shipped tracks.

    Raises:
        ManifestError: If a manifest is invalid, or two submissions describe the same paper differently.
        NothingToDo: If no folder has a manifest, or none is of the track.
        UsageError: If there is no such track.
    """
    chosen = choose_tracks(track)
    entries = []
    for folder in folders:
        path = folder / "submission.yaml"
        if path.exists():
            manifest = in_one_paragraph(load_manifest(path))
            entries.append(
                PaperEntry(folder.resolve().name, manifest, track_of(manifest.track, chosen.tracks, path))
            )
    entries = [entry for entry in entries if chosen.only in (None, entry.track.name)]
    if not entries:
        suffix = "" if track is None else f" of track {track}"
        raise NothingToDo(f"no submission.yaml{suffix} in the given folders")
    entries.sort(key=lambda entry: (paper_key(entry), entry.track.task, entry.name))
    for key, group in groupby(entries, key=paper_key):
        papers = [(entry.name, entry.manifest.paper) for entry in group]
        if any(paper != papers[0][1] for _, paper in papers):
            names = ", ".join(name for name, _ in papers)
            raise ManifestError(f"{names}: field `paper` differs between submissions of paper {key}")
    return entries


def in_one_paragraph(manifest: Manifest) -> Manifest:
    """Return the manifest with every text on one line and safe inside a Markdown paragraph: no HTML tags."""

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            return in_markdown(" ".join(harmless(value).split()), pipes=False)
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return Manifest.model_validate(plain(manifest.model_dump(exclude_unset=True)))


def paper_key(entry: PaperEntry) -> str:
    """Return the key that all submissions of a paper share; numbered papers sort first."""
    paper = entry.manifest.paper
    return (paper.id or f"~{paper.title}") if paper else "~~"


def papers_text(entries: list[PaperEntry]) -> str:
    """Return the document as Markdown."""
    blocks = [
        INTRODUCTION + "\n".join(f"- *{name}*: {text}" for name, text in SOURCES.items()),
        _overview(entries),
    ]
    for _, group in groupby(entries, key=paper_key):
        members = list(group)
        blocks.append(heading_of(members[0].manifest))
        blocks += [block for entry in members for block in _submission(entry)]
    return "\n\n".join(blocks) + "\n"


def _overview(entries: list[PaperEntry]) -> str:
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
    """Return a paper's title, authors and links as Markdown."""
    paper = manifest.paper
    if paper is None:
        return "## Without a paper"
    authors = f" ({', '.join(paper.authors)}{f', {paper.year}' if paper.year else ''})" if paper.authors else ""
    number = f"Paper {paper.id}: " if paper.id else ""
    lines = [f"## {number}{paper.title}{authors}"]
    lines += [f"<{paper.url}>"] if paper.url else []
    lines += [f"The author's code: {paper.code}."] if paper.code else []
    return "\n\n".join(lines)


def _submission(entry: PaperEntry) -> Iterator[str]:
    manifest = entry.manifest
    yield f"### {entry.name}\n\n{manifest.summary}. Track `{manifest.track}`."
    claims = [f"- {text}" for text in _claims(manifest.claims)]
    if claims:
        yield "**Claims**\n\n" + "\n".join(claims)
    if manifest.as_published is not None:
        published = manifest.as_published
        yield (
            f"**As published**: {published.mode} mode, batch size {published.batch_size}"
            f"{', FID with the resize of clean-fid' if published.resize == 'clean' else ''}"
            f"{', the best run' if published.best_seed else ''}. {published.why} Tables show the result of this "
            "evaluation next to the result of the harness's evaluation."
        )
    if manifest.choices:
        title = "**Unspecified details and our choices**" if manifest.claims.params else "**Choices**"
        yield title + "\n\n" + "\n".join(map(_choice, manifest.choices))
    if manifest.faults:
        faults = [f"- {f.says.rstrip('.')}. **But:** {f.found} *({f.evidence})*" for f in manifest.faults]
        yield "**Errors and inconsistencies in the paper**\n\n" + "\n".join(faults)
    if manifest.ablations:
        yield _variants(manifest)
    if manifest.search is not None:
        yield _search(manifest.search)
    if manifest.notes:
        yield "**Findings**\n\n" + "\n".join(f"- {note}" for note in manifest.notes)


def _choice(choice: Choice) -> str:
    return f"- {choice.what}: **{choice.chosen}** *({choice.source})*. {choice.why}"


def _variants(manifest: Manifest) -> str:
    lines = ["**Variants**", "", "| variant | change | settings | reported |", "|---|---|---|---|"]
    for name, variant in manifest.ablations.items():
        reported = ", ".join(_claims(variant.reports)) or "–"
        lines.append(markdown_row([f"`{name}`", variant.what, _settings(variant), reported]))
    return "\n".join(lines)


def _settings(variant: Variant) -> str:
    fields = [f"{key} = {value}" for key, value in variant.set.items()]
    if variant.steps is not None:
        fields.append(f"steps = {variant.steps:,}")
    return "`" + ", ".join(fields) + "`"


def _search(search: Search) -> str:
    fixed = f" Fixed in every trial: `{_fields(search.set)}`." if search.set else ""
    description = f" {search.what}" if search.what else ""
    lines = [f"**Search space** (`bench tune`, {search.trials} trials).{description}{fixed}", ""]
    lines += ["| field | values | condition |", "|---|---|---|"]
    for name, dimension in search.space.items():
        ((kind, values),) = dimension.model_dump(exclude_none=True, exclude={"when"}).items()
        text = ", ".join(map(str, values)) if kind == "choice" else f"{values[0]:g} to {values[1]:.10g}"
        condition = f"`{_fields(dimension.when)}`" if dimension.when else "–"
        lines.append(markdown_row([f"`{name}`", f"{kind.replace('_', '-')}: {text}", condition]))
    return "\n".join(lines)


def _fields(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _claims(claims: Claims) -> list[str]:
    """Return the text of each claim, with the paper's own rounding."""
    texts = [] if claims.params is None else [f"parameters {claims.params:,}"]
    for title, claim, scale in (
        ("test accuracy", claims.top1_accuracy, 100),
        ("train accuracy", claims.train_accuracy, 100),
        ("train loss", claims.train_loss, 1),
        ("FID", claims.fid, 1),
        ("LPIPS", claims.lpips, 1),
    ):
        if claim is not None:
            texts.append(f"{title} {_value(claim, scale)}")
    return texts


def _value(claim: Claim, scale: float) -> str:
    spread = "" if claim.std is None else f" ± {claim.std * scale:g}"
    source = [
        f"over {claim.over}" if claim.over else "",
        f"the best of {claim.selected}" if claim.selected else "",
    ]
    details = ", ".join(filter(None, source))
    return f"{claim.mean * scale:g}{spread}{' %' if scale == 100 else ''}" + (f" ({details})" if details else "")
