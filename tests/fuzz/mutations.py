"""Hypothesis strategies: plain data, and mutations of a document."""

import contextlib
import copy
import math
from typing import Any

from hypothesis import strategies as st

from bench.contract.documents.checksum import checksum_of

# Values that have crashed other tools: non-finite and huge numbers, control characters, markup, formulas.
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


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    paths = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            paths += _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            paths += _paths(item, (*path, index))
    return paths


@st.composite
def mutated(draw: st.DrawFn, original: Any) -> Any:
    """Draw a copy of ``original`` with one to three values replaced, removed or renamed."""
    value = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        paths = _paths(value)
        if not paths:
            return draw(PLAIN)
        *parents, last = draw(st.sampled_from(paths))
        container = value
        for key in parents:
            container = container[key]
        match draw(st.sampled_from(("replace", "remove", "rename", "scalar"))):
            case "replace":
                container[last] = draw(PLAIN)
            case "scalar":
                container[last] = draw(SCALARS)
            case "remove":
                del container[last]
            case "rename" if isinstance(container, dict):
                container[draw(st.text(max_size=12))] = container.pop(last)
    return value


def with_valid_checksum(content: Any) -> Any:
    """Return the content with a valid checksum, or unchanged if it cannot have one."""
    if isinstance(content, dict):
        with contextlib.suppress(ValueError, RecursionError):
            content["checksum"] = checksum_of(content)
    return content
