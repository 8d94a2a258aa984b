"""What ``bench tune`` searches: the space in ``submission.yaml``, and where a study keeps what it found."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from bench.contract.plain import PlainFields, fit
from bench.contract.strict import Strict

STUDY = "study.db"  # SQLite, as Optuna keeps it
TRIAL_VARIANT = "trial-"  # what the variants of trials begin with, in a study's own results folder


def tuning_folder(results: Path) -> Path:
    """Where what was tried on validation images lies, apart: each folder is a results folder of its own."""
    return results / "tuning"


def study_folder(results: Path, submission: str, profile: str) -> Path:
    """A results folder of a study's own: its records never stand in a table beside real runs."""
    return tuning_folder(results) / f"{submission}-{profile}"


# A range has to be one that can be drawn from: finite, and its width too.
Bound = Annotated[float, Field(ge=-1e300, le=1e300, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]  # beyond, Optuna's floats skip some
Value = Annotated[str | int | float | bool, AfterValidator(fit)]


class Dimension(Strict):
    """What one field of the config may be: exactly one of four kinds."""

    log_uniform: tuple[Bound, Bound] | None = None  # uniform in the logarithm, as rates are
    uniform: tuple[Bound, Bound] | None = None
    integer: tuple[Whole, Whole] | None = None  # both ends included
    choice: list[Value] | None = Field(default=None, min_length=1)
    when: dict[str, Value] = {}  # drawn only where these earlier fields have these values

    @model_validator(mode="after")
    def _one_kind(self) -> "Dimension":
        ranges = [item for item in (self.log_uniform, self.uniform, self.integer) if item is not None]
        if len(ranges) + (self.choice is not None) != 1:
            raise ValueError("give exactly one of log_uniform, uniform, integer and choice")
        if self.choice is not None and any(self.choice.index(item) < at for at, item in enumerate(self.choice)):
            raise ValueError("`choice` has a value twice")  # 1, 1.0 and true are one
        for low, high in ranges:
            if not low < high:
                raise ValueError(f"the range {low} to {high} is empty")
        if self.log_uniform is not None and self.log_uniform[0] <= 0:
            raise ValueError(f"log_uniform begins at {self.log_uniform[0]}; it must be above 0")
        return self

    def example(self) -> str | int | float | bool:
        """One of the values that it may have."""
        if self.choice is not None:
            return self.choice[0]
        return next(low for low, _ in filter(None, (self.log_uniform, self.uniform, self.integer)))


class Rungs(Strict):
    """Where asynchronous successive halving (Li et al. 2020, arXiv 1810.05934) may end a trial.

    The first rung is a share of a run's steps, each next one ``factor`` times as far; of the trials that have
    reached a rung the best ``1 / factor`` go on.
    """

    first: float = Field(default=1 / 16, gt=0, lt=1)
    factor: int = Field(default=2, ge=2, le=1000)

    def steps(self, total: int) -> list[int]:
        """The steps after which trials are compared, of a run of ``total``."""
        found, share = [], self.first
        while (step := round(total * share)) < total:
            found += [step] if step > 0 and step not in found else []
            share *= self.factor
        return found


class Search(Strict):
    """One search, as a submission declares it."""

    what: str = ""  # where the space comes from
    trials: int = Field(default=50, gt=0)
    rungs: Rungs = Rungs()
    set: PlainFields = {}  # config fields that are the same in every trial, if not as in an official run
    space: dict[str, Dimension] = Field(min_length=1)  # config field -> what it may be, in the order of drawing

    @model_validator(mode="after")
    def _conditions_are_on_earlier_fields(self) -> "Search":
        known: set[str] = set()
        for name, dimension in self.space.items():
            unknown = sorted(set(dimension.when) - known)
            if unknown:
                raise ValueError(f"`{name}` depends on `{unknown[0]}`, which is not in the space before it")
            known.add(name)
        return self

    def draws(self, name: str, values: dict[str, Any]) -> bool:
        """Whether ``name`` is drawn, given the values drawn before it."""
        return all(values.get(field) == value for field, value in self.space[name].when.items())
