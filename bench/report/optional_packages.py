"""Optional packages of reports, and the error if one is not installed."""

from importlib.util import find_spec

from bench.errors import UsageError


def require(package: str, command: str, extra: str = "report") -> None:
    """Check, before any work, that ``package``, of one of our extras, is installed.

    Raises:
        UsageError: If it is not installed; the message has the command to install it.
    """
    if find_spec(package) is None:
        raise UsageError(f"{command}: needs {package}; install it with pip install 'capbench[{extra}]'")
