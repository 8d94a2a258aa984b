"""The code that a submission is: its own file and what it imports of this repository's, with hashes."""

import ast
import hashlib
import tokenize
from collections.abc import Iterator
from pathlib import Path

from bench.errors import ContractError
from bench.files import REPOSITORY

# Code that a submission may import and that is therefore part of what it is.
SHARED = ("reference_models", "bench.augment")
MOST_BYTES = 65_536  # of model.py: a network is some hundred lines, and weights are no code


def sources_of(model: Path) -> dict[str, str]:
    """A submission's ``model.py`` and every shared module that it uses, directly or not, with their hashes.

    Raises:
        ContractError: If a file cannot be read, is not valid Python, imports relatively or what is the harness's
            own, or is larger than code is.
    """
    _refuse_internals(model)
    sources = {model.name: hash_code(model)}
    waiting = _shared_imports(model)
    while waiting:
        path = waiting.pop()
        name = path.relative_to(REPOSITORY).as_posix()
        if name not in sources:
            sources[name] = hash_code(path)
            waiting += _shared_imports(path)
    return dict(sorted(sources.items()))


def _refuse_internals(model: Path) -> None:
    """Refuse what no network needs: the harness's own rooms, and weights written out as source text."""
    for node in ast.walk(_parse(model)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            if name.startswith("bench.") and not name.startswith("bench.augment"):
                line = getattr(node, "lineno", "?")
                raise ContractError(
                    f"{model}, line {line}: imports {name}, which is the harness's own; a submission may import "
                    "bench's public names and bench.augment"
                )
    size = model.stat().st_size
    if size > MOST_BYTES:
        raise ContractError(f"{model}: {size:,} bytes, {MOST_BYTES:,} are allowed; weights belong into parameters")


def _shared_imports(path: Path) -> list[Path]:
    """The files of shared code that a file's import statements use."""
    files: list[Path] = []
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                files += _files(alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ContractError(f"{path}, line {node.lineno}: a relative import; a submission is one file")
            for alias in node.names:
                files += _files(node.module, alias.name)
    return files


def hash_code(path: Path) -> str:
    """The sha256 of a file's code: comments, docstrings, blank lines and trailing spaces are left out.

    So a better word in a shared docstring does not make everybody's records stale.

    Raises:
        ContractError: If the file is not valid Python.
    """
    tree = _parse(path)
    with tokenize.open(path) as file:  # in the file's own encoding
        lines = file.read().split("\n")
    for row, column in _comments(path):
        lines[row] = lines[row][:column]
    for first, last in _docstrings(tree):
        lines[first:last] = [""] * (last - first)
    within = _rows_of_long_strings(tree)
    code = [line if row in within else line.rstrip() for row, line in enumerate(lines)]
    kept = [line for row, line in enumerate(code) if line or row in within]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def _rows_of_long_strings(tree: ast.Module) -> set[int]:
    """The rows, from 0, of strings of several rows but for docstrings: every space and blank row there counts."""
    remarks = {row for first, last in _docstrings(tree) for row in range(first, last)}
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    long = [node for node in strings if node.end_lineno is not None and node.end_lineno > node.lineno]
    return {row for node in long for row in range(node.lineno - 1, node.end_lineno or 0)} - remarks


def _comments(path: Path) -> Iterator[tuple[int, int]]:
    """Row and column, from 0, at which each comment begins."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0] - 1, token.start[1]


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """The rows, from 0 and up to but without the last, of each docstring that has its rows to itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
                continue
            if isinstance(first.value.value, str) and first.end_lineno is not None:
                above = 0 if isinstance(node, ast.Module) else node.lineno
                below = min((other.lineno for other in node.body[1:]), default=first.end_lineno + 1)
                if above < first.lineno and first.end_lineno < below:
                    yield first.lineno - 1, first.end_lineno


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise ContractError(f"{path}: cannot be read ({error.strerror})") from None
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise ContractError(f"{path}{f', line {line}' if line else ''}: not valid Python ({error})") from None


def _files(module: str, name: str | None) -> list[Path]:
    """The file that ``from module import name`` takes ``name`` from; all of a package for ``import module``.

    A package's ``__init__`` only passes names on, so what it has besides the ones used is not part of a
    submission: adding a block to ``reference_models`` leaves everybody's records as they are.
    """
    if not (module + ".").startswith(tuple(f"{shared}." for shared in SHARED)):
        return []
    base = REPOSITORY / module.replace(".", "/")
    if not base.is_dir():
        return [base.with_suffix(".py")]
    if name is not None and name != "*":
        if (base / f"{name}.py").is_file():
            return [base / f"{name}.py"]
        for node in ast.walk(_parse(base / "__init__.py")):
            if isinstance(node, ast.ImportFrom) and node.module and any(a.name == name for a in node.names):
                return _files(node.module, name)
    return sorted(base.rglob("*.py"))
