"""Names as parts of file names and URLs."""

import re

from bench.contract.records.record import Record


def slug(name: str) -> str:
    """Replace the characters of ``name`` that are unsafe in file names and URLs by hyphens."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".") or "-"


def run_name(record: Record) -> str:
    """Return the stem of the names of a run's files."""
    identity = record.identity
    parts = (record.protocol.track, identity.submission, identity.variant, f"seed{identity.seed}-{identity.hash}")
    return "--".join(slug(part) for part in parts)
