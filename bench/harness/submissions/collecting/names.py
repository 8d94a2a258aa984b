"""Names of collected submissions."""

import re
import unicodedata

from bench.contract.manifest import check_name
from bench.errors import UsageError
from bench.text import one_line

MAX_NAME_CHARACTERS = 100


def valid_name(found: str) -> str:
    """Return a valid name for a submission whose folder, archive or repository is called ``found``.

    Capitals become small, accents are dropped (``Müller`` becomes ``muller``), and other characters become ``_``.

    Raises:
        UsageError: If nothing is left, or the name is reserved.
    """
    plain = unicodedata.normalize("NFKD", found).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9_.-]+", "_", plain).strip("_.-")[:MAX_NAME_CHARACTERS]
    if not name or (reason := check_name(name)) is not None:
        reason = "no letter or digit from which a name could be made" if not name else reason
        raise UsageError(f"{one_line(found, 60)!r}: {reason}; rename the folder, or give `name` in a --list")
    return name


def check_given_name(name: str) -> str:
    """Return the name that a list gives.

    Raises:
        UsageError: If a submission cannot have it.
    """
    if (reason := check_name(name)) is not None:
        raise UsageError(f"`name` {one_line(name, 60)!r}: {reason}")
    return name
