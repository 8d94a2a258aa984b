"""Detect monkeypatching: functions or classes of the harness, torch or the clock that a submission has replaced.

A submission runs in the same process as the harness's training code and can modify any module. The detector
compares the state before and after. It misses code that restores the original before the comparison. Scores do
not depend on it: predictions and samples are scored in other processes, with labels that this process never reads.
"""

import sys
from types import ModuleType

from bench.errors import ContractError
from bench.job.steps.numerics import check_rounding, rounding

# Modules that affect results: clocks, random numbers, torch's operators and optimizers. The harness's own modules
# are watched too, see `_modules`.
WATCHED = (
    "time", "random", "numpy.random", "torch", "torch.nn.functional", "torch.optim", "torch.random",
    "safetensors.torch",
)  # fmt: skip
CONTAINERS = (int, float, str, bytes, bool, tuple, list, dict, set, type(None))


class MonkeypatchDetector:
    """The functions and classes of the watched modules before a submission was loaded."""

    def __init__(self) -> None:
        self.before = {name: _members(module) for name, module in _modules()}
        self.rounding = rounding()

    def check_unchanged(self) -> None:
        """Refuse a submission that replaced a member of a watched module or changed float32 rounding.

        Raises:
            ContractError: Naming the first replaced member, or the changed setting.
        """
        check_rounding(self.rounding)
        for name, module in _modules():
            before, now = self.before.get(name, {}), _members(module)
            for member, value in before.items():
                if now.get(member) is not value and not _is_from_package(now.get(member), name):
                    raise ContractError(
                        f"the submission replaced {name}.{member}, which belongs to the harness or a library; "
                        "leave it unchanged"
                    )


def _is_from_package(value: object, module: str) -> bool:
    """Return whether ``value`` comes from the same package as ``module``.

    A package may replace its own members, as torch does when its compiler is loaded.
    """
    return str(getattr(value, "__module__", "")).partition(".")[0] == module.partition(".")[0]


def _modules() -> list[tuple[str, ModuleType]]:
    """Return name and module of the loaded modules that are watched."""
    return [
        (name, module)
        for name, module in sorted(sys.modules.items())
        if isinstance(module, ModuleType) and (name in WATCHED or name == "bench" or name.startswith("bench."))
    ]


def _members(module: ModuleType) -> dict[str, object]:
    """Return the functions and classes of a module by name, with the methods of the harness's classes."""
    members: dict[str, object] = {}
    for name, value in vars(module).items():
        if callable(value) and not isinstance(value, CONTAINERS):
            members[name] = value
            if isinstance(value, type) and value.__module__.startswith("bench."):
                methods = {key: item for key, item in vars(value).items() if callable(item)}
                members |= {f"{name}.{key}": item for key, item in methods.items()}
    return members
