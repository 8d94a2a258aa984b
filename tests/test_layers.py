"""The house stands as docs/architecture.md draws it: imports point down only, and the parent never loads torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "bench.cli": 6,
    "bench.report": 5,
    "bench.run": 5,
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
MODULES = sorted(path for path in (ROOT / "bench").rglob("*.py") if path.parent != ROOT / "bench/contract/tracks")


def room(module: str) -> str | None:
    return next((name for name in FLOORS if module == name or module.startswith(name + ".")), None)


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
def test_imports_point_down(path: Path) -> None:
    own = room(module_name(path))
    if own is None:
        assert path.name in ("__init__.py", "__main__.py")
        return
    for imported in imports(path):
        other = room(imported)
        if other is not None and other != own:
            assert FLOORS[other] < FLOORS[own], f"{module_name(path)} imports {imported}: upwards or sideways"


def test_every_room_is_drawn() -> None:
    rooms = {room(module_name(path)) for path in MODULES} - {None}
    assert rooms == set(FLOORS)
    drawing = (ROOT / "docs" / "architecture.md").read_text()
    for name in FLOORS:
        assert name.replace("bench.", "").replace(".", "/") in drawing, f"{name} is not in docs/architecture.md"


@pytest.mark.parametrize("path", sorted((ROOT / "reference_models").glob("*.py")), ids=lambda path: path.name)
def test_reference_models_need_torch_only(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith("bench")]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "submissions").glob("*/model.py")), ids=lambda path: path.parent.name
)
def test_submissions_use_public_names_only(path: Path) -> None:
    allowed = ("bench.augment", "reference_models", "torch", "torchvision")
    for name in imports(path):
        assert name == "bench" or name.split(".")[0] in sys.stdlib_module_names or name.startswith(allowed), name


def loaded(*modules: str) -> set[str]:
    """What of the large packages is there after importing ``modules`` in a fresh interpreter."""
    large = "{'torch', 'torchvision', 'matplotlib', 'jinja2', 'scipy.stats'}"
    check = f"import sys, {', '.join(modules)}; print(*({large} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_parent_does_not_load_torch() -> None:
    parents = [
        module_name(path)
        for path in MODULES
        if room(module_name(path)) in ("bench.cli", "bench.run", "bench.report")
    ]
    assert len(parents) > 30 and not loaded(*parents) & {"torch", "torchvision", "scipy.stats"}


def test_tables_load_neither_plots_nor_templates() -> None:
    assert not loaded(
        "bench.cli", "bench.report.compare", "bench.report.check", "bench.report.leaderboard", "bench.report.plot"
    )


def test_public_names_are_what_they_say() -> None:
    import bench

    for name in bench.__all__:
        assert getattr(bench, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        _ = bench.Trainer
