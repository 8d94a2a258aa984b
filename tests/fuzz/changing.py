"""Plain data with something in it changed, as hypothesis sees fit."""

import contextlib
import copy
import math
from typing import Any

from hypothesis import strategies as st

from bench.contract.documents.checksum import checksum_of

# What has brought something down before, somewhere: numbers that are none or are too large, text that acts.
NASTY = (
    math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0, 10**400, -(10**30), 2**63, 0,
    "\ud800", "\x1b[2J\x1b]0;title\x07", "a\nb\r\nc", "|", "<script>alert(1)</script>", "\\end{tabular}",
    "[red]x[/]", "=cmd()", "\u202e", "quick; touch x #", "../../x", "x" * 5_000, "1_0", "", "nan", "0100",
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(NASTY),
)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _places(item, (*path, index))
    return found


@st.composite
def changed(draw: st.DrawFn, original: Any) -> Any:
    """``original`` with one to three of its places replaced, removed or renamed."""
    value = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(value)
        if not places:
            return draw(PLAIN)
        *way, last = draw(st.sampled_from(places))
        holder = value
        for key in way:
            holder = holder[key]
        match draw(st.sampled_from(("replace", "remove", "rename", "scalar"))):
            case "replace":
                holder[last] = draw(PLAIN)
            case "scalar":
                holder[last] = draw(SCALARS)
            case "remove":
                del holder[last]
            case "rename" if isinstance(holder, dict):
                holder[draw(st.text(max_size=12))] = holder.pop(last)
    return value


def sealed(content: Any) -> Any:
    """The content with its checksum, where it is one that can have any."""
    if isinstance(content, dict):
        with contextlib.suppress(ValueError, RecursionError):
            content["checksum"] = checksum_of(content)
    return content
