"""Extensions of griffe for this code base: fields documented by comments, and parameters documented together."""

import ast
import io
import re
import tokenize
from typing import Any

import griffe

TOGETHER = re.compile(r"^( +)(\w+(?:, \w+)+): (.*(?:\n\1 +.*)*)", re.MULTILINE)  # `x, y: Where to paste.`


class ParametersTogether(griffe.Extension):
    """Split entries of several parameters (``x, y: Position``) into one entry per parameter."""

    def on_function_instance(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Rewrite the docstring of a function that griffe has read."""
        if func.docstring:
            func.docstring.value = TOGETHER.sub(_apart, func.docstring.value)


def _apart(match: re.Match[str]) -> str:
    indent, names, meaning = match.groups()
    return "\n".join(f"{indent}{name}: {meaning}" for name in names.split(", "))


class FieldComments(griffe.Extension):
    """Add a section "Attributes" to the docstring of each class with annotated fields or, in an enum, members."""

    def on_class_members(self, *, node: ast.AST | griffe.ObjectNode, cls: griffe.Class, **kwargs: Any) -> None:
        """Extend the docstring of a class that griffe has read."""
        fields = [one for one in cls.members.values() if _is_field(one)]
        text = cls.docstring.value if cls.docstring else ""
        if not fields or not isinstance(node, ast.AST) or "\nAttributes:" in text:
            return
        source: Any = cls.filepath  # a list of paths only for a package without __init__.py
        comments = _comments("\n".join(cls.lines_collection[source]))
        lines = [f"    {field.name}: {_meaning(field, comments)}" for field in fields]
        section = "\n\nAttributes:\n" + "\n".join(lines)
        before, raises, after = text.partition("\n\nRaises:")
        cls.docstring = griffe.Docstring(before + section + raises + after, parent=cls, lineno=cls.lineno)


def _is_field(member: Any) -> bool:
    if not member.is_attribute or member.name.startswith("_") or member.name == "model_config" or member.docstring:
        return False
    declared = member.annotation is not None or "class-attribute" in member.labels  # not merely set in a method
    return declared and "property" not in member.labels


def _comments(source: str) -> dict[int, tuple[str, bool]]:
    """Return line number -> (comment, whether the line has nothing else)."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: (token.string.lstrip("# "), token.line.lstrip().startswith("#"))
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _meaning(field: Any, comments: dict[int, tuple[str, bool]]) -> str:
    """Return the comments on the field's lines and directly above them."""
    parts = [comments[line][0] for line in range(field.lineno, field.endlineno + 1) if line in comments]
    line = field.lineno - 1
    above: list[str] = []
    while line in comments and comments[line][1]:
        above.insert(0, comments[line][0])
        line -= 1
    if above:
        parts.append(" ".join(above))
    if isinstance(field.value, griffe.ExprCall):  # pydantic's Field
        given = (one for one in field.value.arguments if isinstance(one, griffe.ExprKeyword))
        parts += [ast.literal_eval(str(one.value)) for one in given if one.name == "description"]
    meaning = ". ".join(part.rstrip(".") for part in parts).replace("->", "→") or _meaning_of_type(field)
    value = f"``{field.value}``" if field.value is not None and field.annotation is None else ""
    return ": ".join(part for part in (value, meaning) if part) or "–"


def _meaning_of_type(field: Any) -> str:
    """Return the values of the field's Literal type, or the first line of its class's docstring."""
    for name in re.findall(r"\w+", str(field.annotation or "")):
        kind = field.module.members.get(name)
        if kind is None or kind.is_alias:  # from another module, which may not have been read
            continue
        if kind.is_attribute and str(kind.value).startswith("Literal["):
            return ", ".join(f"``{value}``" for value in re.findall(r"['\"](.*?)['\"]", str(kind.value)))
        if kind.is_class and kind.docstring:
            return str(kind.docstring.value).splitlines()[0]
    return ""
