"""YAML 1.2 numbers on top of PyYAML, without duplicate keys and without exponential growth through aliases.

PyYAML implements YAML 1.1, where ``1e-3`` is text, ``0100`` is 64, ``1:30`` is 90, ``no`` is false, and the last
of two duplicate keys silently wins.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from bench.errors import ManifestError
from bench.text import one_line

MAX_BYTES = 2**20
MAX_VALUES = 100_000  # after every alias is expanded
# Scalars that are a number in YAML 1.1 and another number or text in 1.2. They are refused, so that the author
# has to write one of the two unambiguously.
AMBIGUOUS = re.compile(
    r"[-+]?0[0-7_]+|0o[0-7]+|[-+]?0b[01_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[-+]?[0-9]+_[0-9_]*\.[0-9_]*|[-+]?[0-9]*\.[0-9]*_[0-9_]*"
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema; underscores in integers stay allowed."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value:
            key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in keys:
                raise ConstructorError(
                    None, None, f"the key {key_node.value!r} is there twice", key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        plain = node.style is None if isinstance(node, yaml.ScalarNode) else False
        if (plain or node.tag.endswith((":int", ":float"))) and AMBIGUOUS.fullmatch(str(node.value)):
            problem = (
                f"YAML 1.1 and 1.2 read {node.value} differently; write a plain decimal number, "
                "or quote it if it is text"
            )
            raise ConstructorError(None, None, problem, node.start_mark)
        value = super().construct_scalar(node)
        if isinstance(value, str) and value != value.encode(errors="ignore").decode():
            raise ConstructorError(
                None, None, "text that is not valid Unicode: an unpaired surrogate", node.start_mark
            )
        return value


def _resolve(name: str, pattern: str, first: str) -> None:
    """Resolve plain scalars that match ``pattern`` to type ``name``.

    ``first`` contains the possible first characters; it is empty for the empty scalar.
    """
    characters = [*first] or [""]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"(?:{pattern})$"), characters)


_resolve("null", "~|null|Null|NULL", "~nN")
_resolve("null", "", "")
_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", "[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+", "-+0123456789")
_resolve("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?", "-+.0123456789")
_resolve("float", r"[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+.0123456789")
_resolve("merge", "<<", "<")


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        ManifestError: If the file is missing, unreadable, too large or not YAML, or contains a duplicate key or a
            number that YAML 1.1 and 1.2 read differently.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ManifestError(
                f"{path}: over {MAX_BYTES:,} bytes; a submission or track file needs a few thousand"
            )
        return parse_yaml(content.decode("utf-8"), path.name)
    except FileNotFoundError:
        raise ManifestError(f"{path}: no such file; `bench new NAME` writes one to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read ({error})") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ManifestError(f"{path}: not valid YAML: {one_line(str(error))}") from None


def parse_yaml(text: str, name: str = "text") -> Any:
    """Parse a YAML document; ``name`` is its name in error messages.

    Raises:
        yaml.YAMLError: If it is not YAML, or contains a duplicate key or a number that YAML 1.1 and 1.2 read
            differently.
        ValueError: If it contains itself, or has more than ``MAX_VALUES`` values after aliases are expanded.
    """
    loader = _Loader(text)
    loader.name = name
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}, set()) > MAX_VALUES:
            raise ValueError(f"over {MAX_VALUES:,} values after expanding its aliases")
        try:
            return loader.construct_document(node)
        except (KeyError, AttributeError, TypeError, IndexError) as error:  # raised by PyYAML for malformed tags
            raise ValueError(f"{type(error).__name__}: {error}") from None
    finally:
        loader.dispose()


def _size(node: yaml.Node, sizes: dict[int, int], ancestors: set[int]) -> int:
    """Count the values of a node after its aliases are expanded.

    Args:
        node: The node.
        sizes: id of a node -> its size, of the nodes already counted.
        ancestors: ids of the nodes that contain ``node``.
    """
    number = id(node)
    if number in ancestors:
        raise ValueError("an alias to a node that contains it")
    if number not in sizes:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [item for pair in node.value for item in pair]
        ancestors.add(number)
        sizes[number] = 1 + sum(_size(item, sizes, ancestors) for item in children)
        ancestors.remove(number)
    return sizes[number]
