"""Names of classes, for people; results are by number."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml


@cache
def class_names(data: str) -> tuple[str, ...] | None:
    """The names of a data set's classes in label order; None where they are not known."""
    path = Path(str(files("bench.contract"))) / "class_names.yaml"
    found = yaml.safe_load(path.read_text(encoding="utf-8")).get(data)
    return None if found is None else tuple(found)
