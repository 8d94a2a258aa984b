"""YAML as people mean it: numbers by the rules of YAML 1.2, every key once, and no document that grows when read.

PyYAML follows YAML 1.1, where ``1e-3`` is text, ``0100`` is 64, ``1:30`` is 90, ``no`` is false, and of a key that
is there twice the last one wins without a word.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from bench.errors import ManifestError
from bench.text import one_line

MOST_BYTES = 2**20
MOST_VALUES = 100_000  # once every alias is written out
# What YAML 1.1 takes for a number, and 1.2 for another one or for text: whoever writes it has to say which.
AMBIGUOUS = re.compile(
    r"[-+]?0[0-7_]+|0o[0-7]+|[-+]?0b[01_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[-+]?[0-9]+_[0-9_]*\.[0-9_]*|[-+]?[0-9]*\.[0-9]*_[0-9_]*"
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema; underscores in whole numbers are kept."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known = set()
        for key_node, _ in node.value:
            key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in known:
                raise ConstructorError(
                    None, None, f"the key {key_node.value!r} is there twice", key_node.start_mark
                )
            known.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        plain = node.style is None if isinstance(node, yaml.ScalarNode) else False
        if (plain or node.tag.endswith((":int", ":float"))) and AMBIGUOUS.fullmatch(str(node.value)):
            said = (
                f"{node.value} is read in two ways by versions of YAML; write a plain decimal number, or quotes "
            )
            raise ConstructorError(None, None, f"{said}around it if it is text", node.start_mark)
        value = super().construct_scalar(node)
        if isinstance(value, str) and value != value.encode(errors="ignore").decode():
            raise ConstructorError(
                None, None, "text that is no Unicode: half of a surrogate pair", node.start_mark
            )
        return value


def _resolve(name: str, pattern: str, first: str) -> None:
    """Take plain text that ``pattern`` is as a ``name``; its first sign is one of ``first``, or there is none."""
    signs = [*first] or [""]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"(?:{pattern})$"), signs)


_resolve("null", "~|null|Null|NULL", "~nN")
_resolve("null", "", "")
_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", "[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+", "-+0123456789")
_resolve("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?", "-+.0123456789")
_resolve("float", r"[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+.0123456789")
_resolve("merge", "<<", "<")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ManifestError: If the file is absent, unreadable, too large, or not YAML; or has a key twice, or a number
            that two versions of YAML read differently.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ManifestError(
                f"{path}: over {MOST_BYTES:,} bytes; a submission's or track's file has some thousand"
            )
        return parse_yaml(content.decode("utf-8"), path.name)
    except FileNotFoundError:
        raise ManifestError(f"{path}: no such file; `bench new NAME` writes one to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read ({error})") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ManifestError(f"{path}: not valid YAML: {one_line(str(error))}") from None


def parse_yaml(text: str, name: str = "text") -> Any:
    """The content of a YAML document; ``name`` is what messages call it.

    Raises:
        yaml.YAMLError: If it is none, or has a key twice, or a number that two versions of YAML read differently.
        ValueError: If it is nested in itself, or aliases make it larger than any document of ours.
    """
    loader = _Loader(text)
    loader.name = name
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}, set()) > MOST_VALUES:
            raise ValueError(f"over {MOST_VALUES:,} values, once its aliases are written out")
        try:
            return loader.construct_document(node)
        except (KeyError, AttributeError, TypeError, IndexError) as error:  # of PyYAML's own, for odd tags
            raise ValueError(f"{type(error).__name__}: {error}") from None
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int], within: set[int]) -> int:
    """How many values a node stands for, with those that it only points to."""
    number = id(node)
    if number in within:
        raise ValueError("an alias to what it is part of")
    if number not in known:
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif isinstance(node, yaml.MappingNode):
            inner = [item for pair in node.value for item in pair]
        within.add(number)
        known[number] = 1 + sum(_size(item, known, within) for item in inner)
        within.remove(number)
    return known[number]
