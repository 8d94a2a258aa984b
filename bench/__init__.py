"""capbench: a benchmark harness for small image models under parameter and step caps.

A submission needs these five names and nothing else of the harness but ``bench.augment``::

    from bench import Batch, Budget, Classifier, DataSpec, Generator
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.contract.submission import Batch, Budget, Classifier, DataSpec, Generator

__all__ = ["Batch", "Budget", "Classifier", "DataSpec", "Generator"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Deferred, because the contract's classes need torch and the command line must start without it.
    if name in __all__:
        from bench.contract import submission

        return getattr(submission, name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
