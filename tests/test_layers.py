"""The layers of docs/architecture.md: imports point down only, and the parent process never loads torch."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {
    "bench.cli": 7,
    "bench.api": 6,
    "bench.ci": 6,
    "bench.report": 5,
    "bench.harness": 5,
    "bench.job": 4,
    "bench.measure": 3,
    "bench.data": 3,
    "bench.augment": 3,
    "bench.contract": 2,
    "bench.download": 2,
    "bench.pictures": 2,
    "bench.errors": 1,
    "bench.files": 1,
    "bench.git": 2,
    "bench.locks": 2,
    "bench.text": 1,
    "bench.seeding": 1,
    "bench.stats": 1,
}
MODULES = sorted(path for path in (ROOT / "bench").rglob("*.py") if path.parent != ROOT / "bench/tracks")


def layer_of(module: str) -> str | None:
    return next((name for name in LAYERS if module == name or module.startswith(name + ".")), None)


def imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module or "")
    return names


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_to_lower_layers(path: Path) -> None:
    layer = layer_of(module_name(path))
    if layer is None:
        assert path.name in ("__init__.py", "__main__.py")
        return
    for imported in imports(path):
        target = layer_of(imported)
        if target is not None and target != layer:
            assert LAYERS[target] < LAYERS[layer], f"{module_name(path)} imports {imported}: not lower"


def test_every_package_is_in_the_architecture() -> None:
    packages = {layer_of(module_name(path)) for path in MODULES} - {None}
    assert packages == set(LAYERS)
    document = (ROOT / "docs" / "architecture.md").read_text()
    for name in LAYERS:
        assert f"`{name.removeprefix('bench.')}`" in document, f"{name} is not in docs/architecture.md"


@pytest.mark.parametrize("path", sorted((ROOT / "reference_models").glob("*.py")), ids=lambda path: path.name)
def test_reference_models_do_not_import_bench(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith("bench")]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "submissions").glob("*/model.py")), ids=lambda path: path.parent.name
)
def test_submissions_import_public_names_only(path: Path) -> None:
    allowed = ("bench.augment", "reference_models", "torch", "torchvision")
    for name in imports(path):
        assert name == "bench" or name.split(".")[0] in sys.stdlib_module_names or name.startswith(allowed), name


def loaded(*modules: str) -> set[str]:
    """Return the large packages that importing ``modules`` loads in a new interpreter."""
    large = "{'torch', 'torchvision', 'matplotlib', 'jinja2', 'scipy.stats'}"
    check = f"import sys, {', '.join(modules)}; print(*({large} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    return set(result.stdout.split())


def test_parent_process_does_not_load_torch() -> None:
    parents = [
        module_name(path)
        for path in MODULES
        if layer_of(module_name(path)) in ("bench.api", "bench.cli", "bench.harness", "bench.report")
    ]
    assert len(parents) > 30 and not loaded(*parents) & {"torch", "torchvision", "scipy.stats"}


def test_tables_load_neither_plots_nor_templates() -> None:
    assert not loaded(
        "bench.cli",
        "bench.report.compare",
        "bench.report.regression.check",
        "bench.report.leaderboard",
        "bench.report.plots.command",
    )


def test_paths_in_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    paths = set(re.findall(r"`((?:bench/)?[a-z_]+/[a-z_/]*(?:\.py)?)`", text))
    # The row of a package names its folders relative to the package.
    folders = [ROOT, ROOT / "bench", *(ROOT / "bench").glob("*/")]
    missing = [path for path in paths if not any((folder / path).exists() for folder in folders)]
    assert len(paths) > 40 and not missing


def test_class_names_are_unique() -> None:
    modules_of_class: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                modules_of_class.setdefault(node.name, []).append(module_name(path))
    assert not {name: modules for name, modules in modules_of_class.items() if len(modules) > 1}
