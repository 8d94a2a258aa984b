"""Whether a submission has put functions of its own in the place of the harness's, torch's, or the clock's.

It shares a process with what trains it, and Python lets it reach anything. This finds what is replaced and left
so; code that puts everything back before it is looked at is not found. Scores do not hang on it: predictions and
samples are scored in other processes, against labels that this one never sees.
"""

import sys
from types import ModuleType

from bench.errors import ContractError
from bench.job.numerics import refuse_other_rounding, rounding

# What results hang on: clocks, random numbers, torch's operators and optimizers, and the harness itself.
WATCHED = (
    "time", "random", "numpy.random", "torch", "torch.nn.functional", "torch.optim", "torch.random",
    "safetensors.torch",
)  # fmt: skip
CONTAINERS = (int, float, str, bytes, bool, tuple, list, dict, set, type(None))


class Guard:
    """Remembers what the watched modules held before a submission was loaded."""

    def __init__(self) -> None:
        self.before = {name: _members(module) for name, module in _modules()}
        self.rounding = rounding()

    def refuse_changes(self) -> None:
        """Refuse a submission that replaced something, or rounds otherwise than its record says.

        Raises:
            ContractError: Naming the first thing replaced, or the setting changed.
        """
        refuse_other_rounding(self.rounding)
        for name, module in _modules():
            before, now = self.before.get(name, {}), _members(module)
            for member, value in before.items():
                if now.get(member) is not value and not _own(now.get(member), name):
                    raise ContractError(f"replaces {name}.{member}, which is not the submission's")


def _own(value: object, module: str) -> bool:
    """Whether a package has put something of its own there, as torch does once its compiler is loaded."""
    return str(getattr(value, "__module__", "")).partition(".")[0] == module.partition(".")[0]


def _modules() -> list[tuple[str, ModuleType]]:
    return [
        (name, module)
        for name, module in sorted(sys.modules.items())
        if isinstance(module, ModuleType) and (name in WATCHED or name == "bench" or name.startswith("bench."))
    ]


def _members(module: ModuleType) -> dict[str, object]:
    """Functions and classes of a module, and of classes of the harness their methods."""
    found: dict[str, object] = {}
    for name, value in vars(module).items():
        if callable(value) and not isinstance(value, CONTAINERS):
            found[name] = value
            if isinstance(value, type) and value.__module__.startswith("bench."):
                methods = {key: item for key, item in vars(value).items() if callable(item)}
                found |= {f"{name}.{key}": item for key, item in methods.items()}
    return found
