"""Names of things as parts of file names and addresses."""

import re

from bench.contract.records import Record


def slug(name: str) -> str:
    """``name`` with what neither a file system nor an address minds."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".") or "-"


def run_name(record: Record) -> str:
    """What files of a run are called."""
    identity = record.identity
    parts = (record.protocol.track, identity.submission, identity.variant, f"seed{identity.seed}-{identity.hash}")
    return "--".join(slug(part) for part in parts)
