"""The list of sources: a CSV file with a header, as spreadsheets write it."""

import csv
from pathlib import Path

from bench.contract.collected import printable
from bench.errors import UsageError
from bench.harness.submissions.collecting.sources import Request
from bench.text import one_line

COLUMNS = ("source", "team", "name", "ref")
MAX_LIST_BYTES = 2**20
MAX_TEAM_CHARACTERS = 100


def read_list(path: Path) -> tuple[list[Request], list[str]]:
    """Read a list of sources. Return a request per row, and the names of columns that mean nothing here.

    Commas, semicolons and tabs separate columns, as in the header. Relative paths start in the list's folder.

    Raises:
        UsageError: If the file cannot be read, is not UTF-8, or has no column ``source``.
    """
    rows = _rows(path)
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if "source" not in header or len(set(header)) < len(header):
        found = ", ".join(one_line(cell, 40) for cell in header[:10]) or "nothing"
        raise UsageError(
            f"{path}: the first line has the columns {found}; it needs `source`, and may have team, name and ref, "
            "each once"
        )
    requests = []
    for row in rows[1:]:
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
        if any(cell.strip() for cell in row):
            team, name, ref = (cells.get(column) or None for column in COLUMNS[1:])
            team = None if team is None else printable(team, MAX_TEAM_CHARACTERS)
            requests.append(Request(cells.get("source", ""), ref, team, name, path.parent))
    return requests, [one_line(name, 40) for name in header if name not in COLUMNS]


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MAX_LIST_BYTES:
        raise UsageError(f"{path}: over {MAX_LIST_BYTES:,} bytes; a list of sources needs a line per team")
    try:
        text = content.decode("utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = next((character for character in ",;\t" if character in first), ",")
        return list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: not UTF-8; save it as `CSV UTF-8`") from None
    except csv.Error as error:
        raise UsageError(f"{path}: not a CSV file ({error})") from None
