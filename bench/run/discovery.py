"""Which submissions a command means, and the hash of the code that each one runs."""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.manifest import BASE_VARIANT, NAME, Manifest, load_manifest
from bench.contract.tracks import Track
from bench.errors import BenchError, ContractError, ManifestError, NothingToDo, UsageError
from bench.files import REPOSITORY, hash_file, hash_json

MANIFEST = "submission.yaml"
MODEL = "model.py"
# Code that a submission may import and that is therefore part of what it is.
SHARED = ("reference_models", "bench.augment")


@dataclass(frozen=True)
class Found:
    """A submission on disk: what it claims and what code it is."""

    name: str
    folder: Path
    manifest: Manifest
    track: Track
    sources: dict[str, str]  # path relative to the folder or the repository -> sha256

    @property
    def source_hash(self) -> str:
        """The sha256 over all sources."""
        return hash_json(self.sources)


def discover(paths: Sequence[Path], tracks: dict[str, Track]) -> tuple[list[Found], list[tuple[Path, BenchError]]]:
    """The submissions at ``paths``, and the folders that were meant to be some but cannot be read.

    A path is a submission's folder, or a folder of such folders. Plain files are passed over, so that
    ``submissions/*`` may have a README beside the folders.

    Raises:
        UsageError: If a path does not exist.
        NothingToDo: If there is no submission at all.
    """
    found: list[Found] = []
    broken: list[tuple[Path, BenchError]] = []
    for folder in _folders(paths):
        try:
            found.append(_read(folder, tracks))
        except BenchError as error:
            broken.append((folder, error))
    names = [submission.name for submission in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two submissions are called {twice[0]!r}; records are kept by name, rename one folder")
    if not found and not broken:
        raise NothingToDo(f"no {MANIFEST} in {', '.join(map(str, paths))}; `bench new NAME` writes a submission")
    return found, broken


def _folders(paths: Iterable[Path]) -> list[Path]:
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such folder; give a submission's folder, such as submissions/se_dsconv")
        if path.is_dir() and not path.name.startswith(("_", ".")):
            is_one = (path / MANIFEST).exists() or (path / MODEL).exists()
            inner = sorted(child.parent for child in path.glob(f"*/{MANIFEST}"))
            for folder in [path] if is_one else inner:
                folders[folder.resolve()] = None
    return list(folders)


def _read(folder: Path, tracks: dict[str, Track]) -> Found:
    path = folder / MANIFEST
    if not NAME.fullmatch(folder.name):
        raise ManifestError(f"{folder}: a submission's folder name has lower-case letters, digits, `-`, `_`, `.`")
    manifest = load_manifest(path)
    if manifest.track not in tracks:
        known = ", ".join(sorted(tracks))
        raise ManifestError(f"{path}: field `track`: found {manifest.track!r}; known tracks: {known}")
    track = tracks[manifest.track]
    unknown = sorted(set(manifest.profiles) - set(track.profiles))
    if unknown:
        known = ", ".join(sorted(track.profiles))
        raise ManifestError(f"{path}: field `profiles`: the track has no {unknown[0]!r}; it has {known}")
    if not (folder / MODEL).is_file():
        raise ContractError(f"{folder / MODEL}: no such file; a submission is {MANIFEST} and {MODEL}")
    return Found(folder.name, folder, manifest, track, _sources(folder / MODEL))


def variants_of(found: Found, wanted: str) -> list[str]:
    """The variants that ``--variants`` names: ``base``, ``all``, or names separated by commas.

    Raises:
        UsageError: If the submission has no such variant.
    """
    every = [BASE_VARIANT, *found.manifest.ablations]
    if wanted == "all":
        return every
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in every:
            raise UsageError(f"{found.name}: no variant {name!r}; it has {', '.join(every)}")
    return names


def _sources(model: Path) -> dict[str, str]:
    """The submission's ``model.py`` and every shared module that it uses, directly or not, with hashes."""
    sources = {MODEL: hash_file(model)}
    waiting = _shared_imports(model)
    while waiting:
        path = waiting.pop()
        name = path.relative_to(REPOSITORY).as_posix()
        if name not in sources:
            sources[name] = hash_file(path)
            waiting += _shared_imports(path)
    return dict(sorted(sources.items()))


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


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
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
