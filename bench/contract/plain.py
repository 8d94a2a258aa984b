"""Values that come back from a file as they were, and strict reading of JSON.

JSON has no NaN and no infinity, its keys are text, and lists are all the sequences it has. What would come back as
something else, or as null, is refused where it enters: two settings that one record cannot tell apart would share
an identity.
"""

import json
import math
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BeforeValidator

from bench.text import harmless, one_line

DIGITS = 18  # of a whole number: more than any count, and not yet beyond what databases and floats bear


def unfit(value: Any) -> str | None:
    """Why ``value`` would not come back from JSON as it was; None if it would. A tuple counts as a list."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if abs(value) < 10**DIGITS else f"a number of more than {DIGITS} digits"
    if isinstance(value, float):
        return (
            None if math.isfinite(value) else f"{value}, which records cannot hold; give a finite number, or null"
        )
    if isinstance(value, str):
        return None if value == value.encode(errors="ignore").decode() else "text that is no Unicode"
    if isinstance(value, list | tuple):
        return next((why for item in value if (why := unfit(item)) is not None), None)
    if isinstance(value, dict):
        keys = next((f"the key {key!r}, which is no text" for key in value if not isinstance(key, str)), None)
        return keys or unfit([*value, *value.values()])
    return (
        f"{one_line(repr(value), 60)} ({type(value).__name__}); give a number, text, true, false, null or a list"
    )


def fit(value: Any) -> Any:
    """``value``.

    Raises:
        ValueError: If it would not come back from JSON as it was.
    """
    why = unfit(value)
    if why is not None:
        raise ValueError(f"holds {why}")
    return value


PlainFields = Annotated[dict[str, Any], AfterValidator(fit)]
# Text of others: a reason in one line, and a line of a log with its blanks.
Line = Annotated[str, BeforeValidator(lambda text: one_line(text) if isinstance(text, str) else text)]
LogLine = Annotated[str, BeforeValidator(lambda text: harmless(text[:400]) if isinstance(text, str) else text)]


def parse_json(text: str | bytes) -> Any:
    """The content of a JSON document that is one by the letter of its standard.

    Raises:
        ValueError: If it is none, or has NaN, an infinity, a number of more digits than any count has, or text
            that is no Unicode.
    """
    try:
        content = json.loads(text, parse_int=_whole, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    escape = b"\\ud" if isinstance(text, bytes) else "\\ud"
    if escape in text.lower():  # type: ignore[operator]  # of one kind with the text
        json.dumps(content, ensure_ascii=False).encode()  # fails on half a pair
    return content


def _whole(digits: str) -> int:
    if len(digits) > DIGITS + 1:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no JSON number")
