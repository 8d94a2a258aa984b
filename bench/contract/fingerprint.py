"""Hashes of a submission's code: ``model.py`` and the files of this repository that it imports."""

import ast
import hashlib
import tokenize
from collections.abc import Iterator
from pathlib import Path

from bench import FOR_SUBMISSIONS
from bench.errors import ContractError
from bench.files import REPOSITORY

# Code of this repository that a submission may import and that is therefore hashed with it.
SHARED = ("reference_models", "bench.augment")
DEFAULTS = REPOSITORY / "bench/contract/defaults.py"  # hashed with submissions that rely on one of them
PUBLIC = ("bench", *(f"bench.{name}" for name in FOR_SUBMISSIONS))
DEFAULTED = ("init_training", "train_step", "augment", "augment_batch", "loss", "sample")
# Of model.py: a network needs a few hundred lines; a larger file would have room for weights as source text.
MAX_BYTES = 65_536


def sources_of(model: Path) -> dict[str, str]:
    """Hash a submission's ``model.py`` and every shared module that it imports, directly or indirectly.

    Returns:
        Path in the repository (for the submission, the file's name) -> sha256 of the file's code.

    Raises:
        ContractError: If a file cannot be read, is not valid Python, has a relative import, or if ``model.py``
            imports internal modules of the harness or exceeds ``MAX_BYTES``.
    """
    _check_imports(model)
    sources = {model.name: hash_code(model)}
    queue = _shared_imports(model) + ([DEFAULTS] if _relies_on_defaults(model) else [])
    while queue:
        path = queue.pop()
        name = path.relative_to(REPOSITORY).as_posix()
        if name not in sources:
            sources[name] = hash_code(path)
            queue += _shared_imports(path)
    return dict(sorted(sources.items()))


def _relies_on_defaults(model: Path) -> bool:
    """Return whether a submission may call a method for which the harness has a default.

    It does not if its classes define ``init_training`` and ``train_step``, and for a generator ``sample``, and
    call no default through ``super()``, the base class, or ``self`` (``self.loss``).
    """
    tree = _parse(model)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    defined: set[str] = set()
    for node in (statement for cls in classes for statement in cls.body):
        if isinstance(node, ast.FunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign):
            defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    bases = [node for cls in classes for base in cls.bases for node in ast.walk(base)]
    names = {getattr(node, "id", getattr(node, "attr", None)) for node in bases}
    needed = {"init_training", "train_step"} | ({"sample"} if "Generator" in names else set())
    return not needed <= defined or any(_calls_default(node, defined) for node in ast.walk(tree))


def _calls_default(node: ast.AST, defined: set[str]) -> bool:
    """Return whether a node is a defaulted method of a base class, or of ``self`` without an own definition."""
    if not isinstance(node, ast.Attribute) or node.attr not in DEFAULTED:
        return False
    owner = node.value.func if isinstance(node.value, ast.Call) else node.value
    name = getattr(owner, "id", getattr(owner, "attr", None))
    return name in ("super", "Classifier", "Generator") or (name in ("self", "cls") and node.attr not in defined)


def _check_imports(model: Path) -> None:
    """Raise ContractError for imports of the harness's internal modules, and for a file with room for weights."""
    for node in ast.walk(_parse(model)):
        for name in _names_from_bench(node):
            if name not in PUBLIC and not name.startswith("bench.augment"):
                raise ContractError(
                    f"{model}, line {getattr(node, 'lineno', '?')}: imports {name}, which is no part of the "
                    f"interface of a submission; it may import {', '.join(FOR_SUBMISSIONS)} and bench.augment"
                )
    size = model.stat().st_size
    if size > MAX_BYTES:
        raise ContractError(f"{model}: {size:,} bytes, {MAX_BYTES:,} are allowed; store weights as parameters")


def _names_from_bench(node: ast.AST) -> list[str]:
    """Return the modules and names of bench that an import statement takes: ``bench``, ``bench.Batch``."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module == "bench":
        names = [f"bench.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module]
    return [name for name in names if name.split(".")[0] == "bench"]


def _shared_imports(path: Path) -> list[Path]:
    """Return the files of shared code that a file imports directly."""
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
    """Return the sha256 of a file's code without comments, docstrings, blank lines and trailing spaces.

    These are left out so that editing a shared docstring does not invalidate existing records.

    Raises:
        ContractError: If the file is not valid Python.
    """
    tree = _parse(path)
    with tokenize.open(path) as file:  # in the encoding that the file declares
        lines = file.read().split("\n")
    for row, column in _comments(path):
        lines[row] = lines[row][:column]
    for first, last in _docstrings(tree):
        lines[first:last] = [""] * (last - first)
    string_rows = _rows_of_multiline_strings(tree)
    stripped = [line if row in string_rows else line.rstrip() for row, line in enumerate(lines)]
    code = [line for row, line in enumerate(stripped) if line or row in string_rows]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def _rows_of_multiline_strings(tree: ast.Module) -> set[int]:
    """Return the rows, from 0, of multi-line strings except docstrings; blanks there are part of the code."""
    docstrings = {row for first, last in _docstrings(tree) for row in range(first, last)}
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    multiline = [node for node in strings if node.end_lineno is not None and node.end_lineno > node.lineno]
    return {row for node in multiline for row in range(node.lineno - 1, node.end_lineno or 0)} - docstrings


def _comments(path: Path) -> Iterator[tuple[int, int]]:
    """Yield the row and column, both from 0, at which each comment starts."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0] - 1, token.start[1]


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield the half-open range of rows, from 0, of each docstring that shares no row with other code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
                continue
            if isinstance(first.value.value, str) and first.end_lineno is not None:
                row_above = 0 if isinstance(node, ast.Module) else node.lineno
                row_below = min((statement.lineno for statement in node.body[1:]), default=first.end_lineno + 1)
                if row_above < first.lineno and first.end_lineno < row_below:
                    yield first.lineno - 1, first.end_lineno


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise ContractError(f"{path}: cannot be read ({error.strerror})") from None
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ContractError(f"{path}{f', line {line}' if line else ''}: not valid Python ({reason})") from None


def _files(module: str, name: str | None) -> list[Path]:
    """Return the file that defines ``name`` of ``from module import name``; for ``import module``, all its files.

    A package's ``__init__`` only re-exports names, so the names that a submission does not import are not part of
    it: adding a block to ``reference_models`` leaves existing records valid.
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
