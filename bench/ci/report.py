"""The report of ``bench ci`` in Markdown, for a job's summary and a pull request's comment.

A bot publishes it under its own name, so nothing from a submission can become a link, a mention or a picture: its
messages are blocks of code, and its name is code.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import __version__
from bench.ci.examination import Examination
from bench.contract.manifest import label_of
from bench.errors import ExitCode
from bench.harness.commands.verify_text import Verified, mmacs
from bench.report.records.aggregate import summarize
from bench.report.regression.formats import HEADERS, count_text
from bench.report.tables.comparison import comparisons
from bench.report.tables.text import MISSING, grid, table_text
from bench.text import harmless, one_line

MARKER = "<!-- capbench report -->"  # the first line, by which a later push finds the comment again
MAX_CHARACTERS = 60_000  # a comment on GitHub has at most 65,536
FOR_LAST_LINE = 200
PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")  # of ASCII; Markdown takes each literally after a backslash
ELSEWHERE = (
    "params",
    "macs",
    "images_per_s",
    "steps",
    "status",
)  # columns that other parts have, or that are noise
HEADINGS = ["submission", "track", "params", "cap", "MMACs", "verified"]


@dataclass(frozen=True)
class Block:
    """A paragraph, a table or a block of code."""

    text: str
    optional: bool = False  # whether it may be left out of a report that is too long


def markdown_text(found: Examination) -> str:
    """Return the report, of at most ``MAX_CHARACTERS``: of too many messages, the last ones are left out."""
    blocks = [Block(f"{MARKER}\n## {_verdict(found)}"), *_remarks(found), *_verification(found)]
    blocks += [*_smoke(found), *_comparison(found), Block(_footer(found))]
    room = MAX_CHARACTERS - FOR_LAST_LINE
    kept: set[int] = set()
    for index in sorted(range(len(blocks)), key=lambda index: blocks[index].optional):
        size = len(blocks[index].text) + 2
        if size <= room:
            kept.add(index)
            room -= size
    texts = [block.text for index, block in enumerate(blocks) if index in kept]
    if left_out := len(blocks) - len(kept):
        texts.append(f"Too long for a comment: {left_out} parts are left out here, and are in the job's log.")
    return "\n\n".join(texts) + "\n"


def _verdict(found: Examination) -> str:
    """Return the heading: whether everything passes, and how many submissions do."""
    sign = "✓" if found.exit_code == ExitCode.OK else "✗"
    title = f"{_plain(found.title)}: " if found.title else ""
    if not found.examined:
        count = "no submission to verify"
    else:
        count = f"{found.passing} of {_counted(found.examined, 'submission')} passed"
    regressions = f", {_counted(len(found.regressions), 'figure')} worse than allowed" if found.regressions else ""
    errors = f", {_counted(len(found.errors), 'error')} of the contest's files" if found.errors else ""
    return f"{sign} {title}{count}{regressions}{errors}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _remarks(found: Examination) -> Iterator[Block]:
    """Yield what concerns no single submission: errors, and what a reviewer should look at."""
    yield from (_message(str(error)) for error in found.errors)
    lines = []
    if found.changes is not None:
        if found.changes.rules:
            names = ", ".join(_code(path.name) for path in found.changes.rules)
            lines.append(f"**Changes the rules of the contest** ({names}), so every submission was verified.")
        if found.changes.records:
            lines.append(f"**Changes the results**: {_counted(found.changes.records, 'record')}.")
        if found.changes.removed:
            lines.append(f"**Removes** {', '.join(map(_code, found.changes.removed))}.")
    if not found.sandboxed and found.verified:
        lines.append("**Without a sandbox**: the submissions could read and write what the job can.")
    lines += [_plain(note) for note in found.notes]
    if lines:
        yield Block("\n".join(f"- {line}" for line in lines))


def _verification(found: Examination) -> Iterator[Block]:
    """Yield the table of all submissions, and the messages of those that have some."""
    rows = [_row(found, verified) for verified in found.verified]
    rows += [[_code(name), MISSING, MISSING, MISSING, MISSING, "✗ unreadable"] for name, _ in found.unreadable]
    if not rows:
        return
    yield Block("### Verification")
    yield Block(grid(HEADINGS, rows, "github"))
    for source, variant, result in found.verified:
        lines = [f"✗ {problem.message}" for problem in result.problems]
        lines += [f"! {line}" for line in (*result.over_caps, *result.warnings)]
        if lines:
            yield from _messages(label_of(source.name, variant), lines)
    for name, error in found.unreadable:
        yield from _messages(name, [f"✗ {error}"])


def _row(found: Examination, verified: Verified) -> list[str]:
    source, variant, result = verified
    params = macs = MISSING
    if result.cost is not None:
        before = found.before.get(source.name)
        params = f"{result.cost.params:,}"
        macs = mmacs(result.cost)
        if before is not None and before.params != result.cost.params:
            params += f" ({result.cost.params - before.params:+,})"
        if before is not None and before.macs_per_image != result.cost.macs_per_image:
            macs += f" ({(result.cost.macs_per_image - before.macs_per_image) / 1e6:+,.2f})"
    cap = source.track.caps.params
    state = f"✗ {result.problems[0].status}" if result.problems else "over, unranked" if result.over_caps else "✓"
    name = _code(label_of(source.name, variant))
    return [name, _code(source.track.name), params, MISSING if cap is None else f"{cap:,}", macs, state]


def _smoke(found: Examination) -> Iterator[Block]:
    """Yield the tables of the runs of a few steps that finished, and the reasons of the others."""
    if not found.runs:
        return
    yield Block(
        "### A few steps on drawn images\n\nThese show that training, evaluation and scoring work, no more."
    )
    for item in comparisons(summarize([record for record in found.runs if record.status == "ok"])):
        keys = [column.key for column in item.columns if column.key not in ELSEWHERE]
        head = f"{_code(item.protocol.track)}, {item.protocol.steps:,} steps:"
        yield Block(f"{head}\n\n{table_text(item.table(keys), 'github')}")
    for record in found.failed_runs:
        name = label_of(record.identity.submission, record.identity.variant)
        yield from _messages(name, [f"✗ {record.status}: {record.reason}"], record.log_tail)


def _comparison(found: Examination) -> Iterator[Block]:
    """Yield the findings of the comparison with the base."""
    if not found.findings:
        return
    rows = [[_code(finding.name), *list(vars(finding).values())[1:]] for finding in found.findings]
    yield Block("### Compared with the base branch")
    yield Block(f"{grid(HEADERS, rows, 'github')}\n\n{count_text(found.findings)}")


def _footer(found: Examination) -> str:
    base = "" if found.changes is None else f", compared with {found.changes.commit[:9]}"
    return f"<sub>capbench {__version__}{base}</sub>"


def _messages(name: str, lines: Sequence[str], log: Sequence[str] = ()) -> Iterator[Block]:
    """Yield a submission's messages, and the last lines of its output, which stay indented."""
    yield _message("\n".join([*map(one_line, lines), *log]), f"{_code(name)}\n\n")


def _message(text: str, head: str = "") -> Block:
    """Return a block of code; its fence is longer than any row of backticks in it."""
    text = harmless(text)
    fence = "`" * max(3, _longest_row(text) + 1)
    return Block(f"{head}{fence}text\n{text}\n{fence}", optional=True)


def _code(name: str) -> str:
    """Return a name as code in one line."""
    name = one_line(name, 120)
    fence = "`" * (_longest_row(name) + 1)
    pad = " " if name.startswith("`") or name.endswith("`") else ""
    return f"{fence}{pad}{name}{pad}{fence}"


def _longest_row(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _plain(text: str) -> str:
    """Return a text in one line, without markup, links or mentions (a zero-width space follows each @)."""
    return PUNCTUATION.sub(r"\\\1", one_line(text)).replace("@", "@\u200b")
