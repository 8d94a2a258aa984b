"""Names of things as parts of file names and addresses."""

import re


def slug(name: str) -> str:
    """``name`` with what neither a file system nor an address minds."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".") or "-"
