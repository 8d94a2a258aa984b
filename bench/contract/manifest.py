"""``submission.yaml``: what a submission claims, and which variants of it exist."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from bench.contract.plain import PlainFields
from bench.contract.searches import Search
from bench.contract.strict import Strict
from bench.contract.yaml_files import read_yaml
from bench.errors import ManifestError
from bench.text import LONGEST_LINE, one_line

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")  # of a submission or variant: a folder's, with room beside it
MOST_PARAMS = 10**15
Steps = Annotated[int, Field(gt=0, le=10**12)]
MOST_FINDINGS = 10  # of a file, in one message
BASE_VARIANT = "base"
REAL_IMAGES = "real-images"  # the name under which real images are scored as if they were samples


def refuse_name(name: str) -> str | None:
    """Why a submission cannot have this name; None if it can."""
    if name == REAL_IMAGES:
        return f"the name {REAL_IMAGES} stands for real images in tables; take another"
    if not NAME.fullmatch(name):
        return "a submission's name has lower-case letters, digits, `-`, `_` and `.`, and at most 100 of them"
    return None


def label_of(submission: str, variant: str) -> str:
    """How a submission's variant is called: by the submission's name alone if it is the base."""
    return submission if variant == BASE_VARIANT else f"{submission}/{variant}"


class Paper(Strict):
    """Where a submission comes from."""

    title: str
    authors: list[str] = []
    year: int | None = Field(default=None, ge=0, le=9999)
    url: str | None = Field(default=None, pattern=r"^https?://[^\s<>]+$")
    id: str | None = None  # the short number used in this repository
    code: str | None = None  # where the author published it, and which version


class Claim(Strict):
    """A published figure. ``std`` is the paper's own ±, and ``over`` says what it was taken over."""

    mean: float = Field(allow_inf_nan=False)
    std: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    over: str | None = None
    margin: float | None = Field(
        default=None, gt=0, allow_inf_nan=False
    )  # what still counts as the same, if not the usual
    runs: int = Field(
        default=1, ge=1, le=1_000_000
    )  # that the mean is over; ``std`` is then over these, if it is given
    selected: str | None = None  # what it is the best of, where the author chose by this very figure
    best_of: int | None = Field(
        default=None, ge=2, le=1_000_000
    )  # how many that were; None: not known, or no best
    rests_on: str | None = None  # what else has to be true for a verdict, such as a mode inferred from this figure
    protocol: Literal["default", "as-published"] = "default"  # which of our figures it is set beside

    @model_validator(mode="after")
    def _best_of_something(self) -> "Claim":
        if self.best_of is not None and self.selected is None:
            raise ValueError(
                f"`best_of: {self.best_of}` needs `selected`: what it is the best of, and by which figure"
            )
        if self.best_of is not None and self.runs > 1:
            raise ValueError("is a mean of `runs` or the best of `best_of`, not both")
        return self


def _number_as_claim(value: Any) -> Any:
    return {"mean": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


ClaimField = Annotated[Claim, BeforeValidator(_number_as_claim)]


class Claims(Strict):
    """What the paper reports. Accuracies are fractions, FID is as published."""

    params: int | None = Field(default=None, ge=0, le=MOST_PARAMS)
    params_by_module: dict[
        str, Annotated[int, Field(ge=0, le=MOST_PARAMS)]
    ] = {}  # module, as `bench verify` names it, or the start of names -> count
    top1_accuracy: ClaimField | None = None
    train_accuracy: ClaimField | None = None
    train_loss: ClaimField | None = None
    fid: ClaimField | None = None
    lpips: ClaimField | None = None


class AsPublished(Strict):
    """How the paper's author measured, where that differs from the sound way."""

    mode: Literal["train", "eval"]  # train: batch statistics and dropout on, as when nobody calls eval()
    batch_size: int = Field(gt=0)
    average: Literal["images", "batches"] = "images"  # batches: a short last one weighs as much as a full one
    best_seed: bool = False  # the best run is reported, chosen on the very images that it is scored on
    resize: Literal["clean"] | None = None  # images are resized for FID as clean-fid does it
    lpips: Literal["real images"] | None = None  # what is compared, where that is no sample
    why: str


class Variant(Strict):
    """An ablation: the config fields it sets, and what the paper reports for it."""

    set: PlainFields = {}
    steps: Steps | None = None  # of an official run, if not the base's
    what: str = ""  # the change in words
    reports: Claims = Claims()

    @model_validator(mode="after")
    def _changes_something(self) -> "Variant":
        if not self.set and self.steps is None:
            raise ValueError("changes nothing; give `set`, `steps` or both")
        return self


Source = Literal[
    "paper",  # stated there
    "inferred",  # from a number that the paper reports
    "author's code",  # published by the author; facts only
    "cited source",  # the implementation that the paper says it follows
    "course template",  # what several of the papers seem to have started from
    "library default",
    "ours",
]


class Choice(Strict):
    """What the paper leaves open, and what was chosen."""

    what: str
    chosen: str
    source: Source
    why: str


class Fault(Strict):
    """What the paper gets wrong, or says in two ways."""

    says: str
    found: str
    evidence: str  # a place in the paper, the author's code, or a count, variant or test of this repository


class ProfileOverride(Strict):
    """Config fields that a profile sets, for example fewer sampling steps in ``smoke``."""

    set: PlainFields


class Manifest(Strict):
    """A whole ``submission.yaml``."""

    track: str
    summary: str = ""
    paper: Paper | None = None
    steps: Steps | None = None  # of an official run, if fewer than the track's budget
    claims: Claims = Claims()
    as_published: AsPublished | None = None
    ablations: dict[str, Variant] = {}
    profiles: dict[str, ProfileOverride] = {}
    search: Search | None = None  # what `bench tune` looks through
    choices: list[Choice] = []
    faults: list[Fault] = []
    notes: list[str] = []  # what was found when it was run

    @property
    def measured_as_published(self) -> dict[str, Any] | None:
        """How the author measured, as a run's identity has it: without the why."""
        way = self.as_published
        return None if way is None else way.model_dump(exclude={"why"}, exclude_none=True)

    def official_steps(self, variant: str) -> int | None:
        """Steps of an official run of ``variant``; None for the track's budget."""
        of_variant = None if variant == BASE_VARIANT else self.ablations[variant].steps
        return of_variant or self.steps

    def overrides(self, variant: str, profile: str) -> dict[str, Any]:
        """The config fields that ``variant`` sets under ``profile``; a variant's own setting wins.

        Raises:
            KeyError: If there is no such variant.
        """
        of_profile = self.profiles[profile].set if profile in self.profiles else {}
        of_variant = {} if variant == BASE_VARIANT else self.ablations[variant].set
        return {**of_profile, **of_variant}

    def declared(self) -> dict[str, dict[str, Any]]:
        """All that it would set of a config: place in the file -> field -> a value, which is one of a range's."""
        ablations = {f"ablations.{name}.set": variant.set for name, variant in self.ablations.items()}
        profiles = {f"profiles.{name}.set": profile.set for name, profile in self.profiles.items()}
        if self.search is None:
            return {**ablations, **profiles}
        space = {name: dimension.example() for name, dimension in self.search.space.items()}
        return {**ablations, **profiles, "search.set": self.search.set, "search.space": space}

    def claims_of(self, variant: str) -> Claims:
        """What the paper reports for ``variant``."""
        return self.claims if variant == BASE_VARIANT else self.ablations[variant].reports


def describe_validation_error(path: Path | str, error: ValidationError) -> str:
    """Pydantic's findings in one line: file, field, what was found, what it must be."""
    findings = []
    for item in error.errors(include_url=False):
        field = " ".join(".".join(str(part) for part in item["loc"]).split()) or "the whole file"
        if item["type"] == "extra_forbidden":
            findings.append(f"unknown field `{field}`; remove it or correct its spelling")
        elif item["type"] == "missing":
            findings.append(f"field `{field}` is missing")
        else:
            shown = one_line(_shown(item["input"]), 60)
            message = item["msg"].removeprefix("Value error, ")
            findings.append(f"field `{field}`: found {shown}; {message[0].lower() + message[1:]}")
    more = f"; and {len(findings) - MOST_FINDINGS} more" if len(findings) > MOST_FINDINGS else ""
    return one_line(f"{path}: " + "; ".join(findings[:MOST_FINDINGS]) + more, 4 * LONGEST_LINE)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except ValueError as error:  # a number of thousands of digits
        return str(error)


def load_manifest(path: Path) -> Manifest:
    """Read and check a ``submission.yaml``.

    Raises:
        ManifestError: If the file is absent or does not fit; the message names the field.
    """
    content = read_yaml(path)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise ManifestError(describe_validation_error(path, error)) from None
    for name in manifest.ablations:
        if not NAME.fullmatch(name) or name == BASE_VARIANT:
            raise ManifestError(
                f"{path}: ablation {name!r}: a name has lower-case letters, digits, `-`, `_` and `.`, "
                f"and is not {BASE_VARIANT!r}"
            )
    return manifest
