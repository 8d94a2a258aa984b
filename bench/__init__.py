"""capbench: a benchmark harness for small image models under parameter and step caps.

A submission's ``model.py`` imports these names, and ``bench.augment`` if it needs it, but nothing else of bench::

    from bench import Batch, Budget, Classifier, DataSpec, Generator

Notebooks and scripts use these (``bench/api/``)::

    bench.run, bench.load_records, bench.compare, bench.load_model
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import Comparisons, Records, Summary, compare, load_model, load_records, run
    from bench.contract.submission import Batch, Budget, Classifier, DataSpec, Generator

FOR_SUBMISSIONS = ("Batch", "Budget", "Classifier", "DataSpec", "Generator")
__all__ = [
    "Batch",
    "Budget",
    "Classifier",
    "Comparisons",
    "DataSpec",
    "Generator",
    "Records",
    "Summary",
    "compare",
    "load_model",
    "load_records",
    "run",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Lazy imports: the command line must start without torch, and a submission's process without the harness.
    if name in FOR_SUBMISSIONS:
        from bench.contract import submission

        return getattr(submission, name)
    if name in __all__:
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
