"""Plain data with something in it changed, as hypothesis sees fit."""

import copy
from typing import Any

from hypothesis import strategies as st

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
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
