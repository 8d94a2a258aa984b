"""Pages of the code reference, with one mkdocstrings directive per name."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from docs.site.documents import ROOT

PYTHON = """# Python interface

For notebooks and scripts. See also [an example](../python.md) and [a tour](../tour.md).
"""
SUBMISSION = """# Submission interface

The names that the `model.py` of a submission imports from `bench`. [Writing a submission](../submit.md) explains
them step by step.
"""
AUGMENT = """# Augmentations

Functions of `bench.augment`, for `augment` and `augment_batch` of a [submission](submission.md).
"""
MODELS = """# Reference models

Blocks and networks of `reference_models`, for [submissions](submission.md) to use or to start from. They depend on
torch only.
"""
ERRORS = """# Errors and exit codes

Every error that a user can cause is a subclass of `BenchError`. Its message is one line: what failed, where, the
value found, the values allowed, and what to do. `bench` prints it and ends with the error's exit code.
"""
RECORD = """# Record of a run

One JSON file per run in `results/runs/`, and what [`bench.load_records`](python.md) returns. Values that were not
measured are null, with a reason in `not_measured`.
"""
FILES = """# Submission and track files

The schema of `submission.yaml`, and of the YAML file of [a contest](../contest.md). Unknown fields are errors.
"""
BASE_CLASSES = ("Classifier", "Generator")  # listed first, because a submission subclasses one of them
INTERFACE = (
    "run",
    "Summary",
    "load_records",
    "Records",
    "compare",
    "Comparisons",
    "load_model",
)  # in order of use


def reference_pages() -> dict[str, str]:
    """Return name -> Markdown of each page."""
    contract = [name for name in _exports("bench") if name not in INTERFACE]
    manifest, tracks, record, environment = (
        f"bench.contract.{name}" for name in ("manifest", "tracks", "records.record", "records.environment")
    )
    return {
        "python": _page(PYTHON, _directives("bench", INTERFACE)),
        "submission": _page(
            SUBMISSION,
            _directives("bench", sorted(contract, key=lambda name: name not in BASE_CLASSES)),
            _directives("bench.contract.submission", ["Submission"]),
        ),
        "augment": _page(
            AUGMENT, _introduction("bench.augment"), _directives("bench.augment", _exports("bench.augment"))
        ),
        "models": _page(MODELS, _directives("reference_models", _exports("reference_models"))),
        "errors": _page(ERRORS, _directives("bench.errors", _classes("bench.errors"))),
        "record": _page(
            RECORD,
            _directives(record, _classes(record, first="Record"), schema=True),
            _directives(environment, _classes(environment, first="Environment"), schema=True),
            _directives(tracks, ["Protocol"], schema=True),
        ),
        "files": _page(
            FILES,
            "## submission.yaml\n",
            _directives(manifest, _classes(manifest, first="Manifest"), level=3, schema=True, fields_only=True),
            "## A track's file\n",
            _directives(tracks, ["Track", "Profile", "Caps", "Advice"], level=3, schema=True, fields_only=True),
            _directives(
                "bench.contract.datasets", ["DataSource", "Normalisation"], level=3, schema=True, fields_only=True
            ),
            "## capbench.yaml\n",
            _directives("bench.contract.contest", ["ContestFile"], level=3, schema=True, fields_only=True),
        ),
    }


def _page(*parts: str) -> str:
    return "\n".join(parts)


@cache
def _module(name: str) -> Any:
    """Return griffe's model of a module, which it parses without importing it."""
    import griffe

    package, _, rest = name.partition(".")
    return _module(package)[rest] if rest else griffe.load(package, search_paths=[ROOT])


def _exports(package: str) -> dict[str, Any]:
    """Return name -> griffe object of each name in the package's ``__all__``."""
    members = {str(name): _module(package).members[str(name)] for name in _module(package).exports or ()}
    return {name: member.final_target if member.is_alias else member for name, member in members.items()}


def _classes(module: str, first: str = "") -> list[str]:
    """Return the public classes of a module in the order of the source, except that ``first`` comes first."""
    members = _module(module).members.values()
    names = [m.name for m in members if not m.is_alias and m.is_class and not m.name.startswith("_")]
    return sorted(names, key=lambda name: name != first)


def _directives(
    module: str, names: Iterable[str], *, level: int = 2, schema: bool = False, fields_only: bool = False
) -> str:
    """Return the directives of ``names``. Those of a schema omit modules and base classes."""
    options = {"heading_level": level, "show_bases": not schema, "show_root_full_path": not schema}
    if fields_only:
        options["members"] = False
    lines = "".join(f"      {name}: {str(value).lower()}\n" for name, value in options.items())
    return "\n".join(f"::: {module}.{name}\n    options:\n{lines}" for name in names)


def _introduction(package: str) -> str:
    docstring = _module(package).docstring
    return f"{docstring.value}\n" if docstring else ""
