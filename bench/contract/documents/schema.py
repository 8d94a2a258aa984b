"""The base class of all schemas, checks that values survive a round trip through JSON, and strict JSON parsing.

JSON has no NaN, no infinity and no tuples, and its keys are text. A value that would be read back as another value
is refused on entry: two settings that look the same in a record would share an identity.
"""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from bench.text import harmless, one_line

# Maximum digits of an integer: below 10^18 it fits into 64 bits, as databases require, and no count is larger.
DIGITS = 18


class Strict(BaseModel):
    """A frozen schema that forbids unknown fields, so that a misspelt field is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


def with_current_names(content: Any, former: Mapping[str, str]) -> Any:
    """Rename former field names in ``content`` to the current ones.

    Records are immutable, so a renamed field must still be readable under its former name.

    Args:
        content: The parsed JSON document.
        former: Former name -> current name.
    """
    if not isinstance(content, dict) or not former.keys() & content.keys():
        return content
    # If a document has both names, the former one stays, and the schema refuses it.
    names = {old: new for old, new in former.items() if new not in content}
    return {names.get(name, name): value for name, value in content.items()}


def json_problem(value: Any) -> str | None:
    """Return the reason why ``value`` would change in a round trip through JSON; None if it would not.

    A tuple counts as a list.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if abs(value) < 10**DIGITS else f"a number with more than {DIGITS} digits"
    if isinstance(value, float):
        return (
            None if math.isfinite(value) else f"{value}, which records cannot hold; give a finite number, or null"
        )
    if isinstance(value, str):
        return None if value == value.encode(errors="ignore").decode() else "text that is not valid Unicode"
    if isinstance(value, list | tuple):
        return next((reason for item in value if (reason := json_problem(item)) is not None), None)
    if isinstance(value, dict):
        key_problem = next(
            (f"the key {key!r}, which is not text" for key in value if not isinstance(key, str)), None
        )
        return key_problem or json_problem([*value, *value.values()])
    return (
        f"{one_line(repr(value), 60)} ({type(value).__name__}); give a number, text, true, false, null or a list"
    )


def check_json_value(value: Any) -> Any:
    """Return ``value`` unchanged.

    Raises:
        ValueError: If it would change in a round trip through JSON.
    """
    reason = json_problem(value)
    if reason is not None:
        raise ValueError(f"contains {reason}")
    return value


PlainFields = Annotated[dict[str, Any], AfterValidator(check_json_value)]
# Untrusted text, escaped: a reason in one line, and a line of a log with its spaces.
Line = Annotated[str, BeforeValidator(lambda text: one_line(text) if isinstance(text, str) else text)]
LogLine = Annotated[str, BeforeValidator(lambda text: harmless(text[:400]) if isinstance(text, str) else text)]


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON document strictly.

    Raises:
        ValueError: If it is not JSON, or contains NaN, an infinity, an integer of more than ``DIGITS`` digits, or
            text that is not valid Unicode.
    """
    try:
        content = json.loads(text, parse_int=_parse_integer, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    escape = b"\\ud" if isinstance(text, bytes) else "\\ud"
    if escape in text.lower():  # type: ignore[operator]  # of the same type as text
        json.dumps(content, ensure_ascii=False).encode()  # raises for an unpaired surrogate
    return content


def _parse_integer(digits: str) -> int:
    if len(digits) > DIGITS + 1:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is not a JSON number")
