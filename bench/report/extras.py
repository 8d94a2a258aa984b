"""Packages that only some reports need, and what to say where one is not installed."""

from importlib.util import find_spec

from bench.errors import UsageError


def require(package: str, command: str) -> None:
    """Fail with what to do, before any work, where ``package`` is not there.

    Raises:
        UsageError: If it is not installed.
    """
    if find_spec(package) is None:
        raise UsageError(f"{command}: needs {package}; pip install 'capbench[report]'")
