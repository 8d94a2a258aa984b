"""The search space of ``bench tune`` in ``submission.yaml``, and the folders of studies."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bench.contract.documents.schema import PlainFields, Strict, check_json_value

Sampler = Literal["optuna", "random"]
Scheduler = Literal["asha", "none"]
STUDY = "study.db"  # Optuna's SQLite file
TRIAL_VARIANT = "trial-"  # prefix of the variant names of trials, in a study's results folder


def tuning_folder(results: Path) -> Path:
    """Return the folder of all studies. Each folder in it is a results folder, with validation results."""
    return results / "tuning"


def study_folder(results: Path, submission: str, profile: str) -> Path:
    """Return a study's results folder, which is separate so that no table mixes trials and real runs."""
    return tuning_folder(results) / f"{submission}-{profile}"


# Range limits whose difference is finite too, so that values can be drawn.
Bound = Annotated[float, Field(ge=-1e300, le=1e300, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]  # larger integers are not exact as floats, which Optuna uses
Value = Annotated[str | int | float | bool, AfterValidator(check_json_value)]


class Dimension(Strict):
    """The search dimension of one config field: exactly one of four kinds."""

    log_uniform: tuple[Bound, Bound] | None = None  # uniform in the logarithm, for example learning rates
    uniform: tuple[Bound, Bound] | None = None
    integer: tuple[Whole, Whole] | None = None  # both ends included
    choice: list[Value] | None = Field(default=None, min_length=1)
    when: dict[str, Value] = {}  # drawn only if these earlier fields have these values

    @model_validator(mode="after")
    def _one_kind(self) -> "Dimension":
        ranges = [item for item in (self.log_uniform, self.uniform, self.integer) if item is not None]
        if len(ranges) + (self.choice is not None) != 1:
            raise ValueError("give exactly one of log_uniform, uniform, integer and choice")
        if self.choice is not None and any(
            self.choice.index(item) < index for index, item in enumerate(self.choice)
        ):
            raise ValueError("`choice` has a value twice")  # 1, 1.0 and true are equal
        for low, high in ranges:
            if not low < high:
                raise ValueError(f"the range {low} to {high} is empty")
        if self.log_uniform is not None and self.log_uniform[0] <= 0:
            raise ValueError(f"log_uniform begins at {self.log_uniform[0]}; it must be above 0")
        return self

    def example(self) -> str | int | float | bool:
        """Return one of the possible values."""
        if self.choice is not None:
            return self.choice[0]
        return next(low for low, _ in filter(None, (self.log_uniform, self.uniform, self.integer)))


class Rungs(Strict):
    """The rungs of asynchronous successive halving (Li et al. 2020, arXiv 1810.05934), where trials may be pruned.

    The first rung is at the fraction ``first`` of a run's steps, each next one at ``factor`` times as many steps.
    Of the trials that have reached a rung, the best ``1 / factor`` continue.
    """

    first: float = Field(default=1 / 16, gt=0, lt=1)
    factor: int = Field(default=2, ge=2, le=1000)

    def steps(self, total: int) -> list[int]:
        """Return the steps of the rungs in a run of ``total`` steps."""
        rungs, share = [], self.first
        while (step := round(total * share)) < total:
            rungs += [step] if step > 0 and step not in rungs else []
            share *= self.factor
        return rungs


class Search(Strict):
    """The search that a submission declares."""

    what: str = ""  # origin of the search space
    trials: int = Field(default=50, gt=0)
    rungs: Rungs = Rungs()
    set: PlainFields = {}  # config fields with the same value in all trials, if other than in an official run
    space: dict[str, Dimension] = Field(min_length=1)  # config field -> dimension, in the order of drawing

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
        """Return whether ``name`` is drawn, given the values drawn before it."""
        return all(values.get(field) == value for field, value in self.space[name].when.items())
