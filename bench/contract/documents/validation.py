"""Messages of files that violate their schema, for the person who wrote them."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bench.text import LONGEST_LINE, one_line

MAX_ERRORS = 10  # errors of one file per message


def describe_validation_error(
    path: Path | str, error: ValidationError, schema: type[BaseModel] | None = None
) -> str:
    """Format pydantic's errors in one line: file, field, value found, and what is allowed.

    Args:
        path: The file.
        error: The error of its validation.
        schema: The schema of a file that people write, whose known fields are then named; None for a record.
    """
    lines = []
    for item in error.errors(include_url=False):
        field = " ".join(".".join(str(part) for part in item["loc"]).split()) or "the whole file"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            lines.append(f"unknown field `{field}`; {_known(schema, item['loc'])}")
        elif item["type"] == "missing":
            lines.append(f"field `{field}` is missing")
        elif item["type"] == "value_error" and isinstance(item["input"], dict):  # of several fields together
            lines.append(message if not item["loc"] else f"field `{field}`: {message}")
        else:
            value = one_line(_repr(item["input"]), 60)
            lines.append(f"field `{field}`: found {value}; {message[0].lower() + message[1:]}")
    more = f"; and {len(lines) - MAX_ERRORS} more" if len(lines) > MAX_ERRORS else ""
    return one_line(f"{path}: " + "; ".join(lines[:MAX_ERRORS]) + more, 4 * LONGEST_LINE)


def _known(schema: type[BaseModel] | None, location: tuple[int | str, ...]) -> str:
    """Return what to do about an unknown field: the most similar known one, or all known ones."""
    *parents, name = location
    models = [] if schema is None else [schema]
    for part in parents:
        models = [inner for model in models for inner in _inside(model, str(part))]
    known = sorted({field for model in models for field in model.model_fields})
    similar = get_close_matches(str(name), known, n=1)
    if similar:
        return f"did you mean `{similar[0]}`?"
    return f"known here: {', '.join(known)}" if known else "remove it or correct its spelling"


def _inside(model: type[BaseModel], part: str) -> list[type[BaseModel]]:
    """Return the schemas in the field ``part`` of ``model``, or ``model`` if ``part`` is an item of a list."""
    field = model.model_fields.get(part)
    return [model] if field is None else list(_models(field.annotation))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the schemas in a type, such as ``dict[str, Claims] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except ValueError as error:  # an integer beyond Python's limit of 4,300 digits
        return str(error)
