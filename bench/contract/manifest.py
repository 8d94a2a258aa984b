"""The schema of ``submission.yaml``: a submission's paper, claims, variants and search space."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from bench.contract.documents.schema import PlainFields, Strict
from bench.contract.documents.validation import describe_validation_error
from bench.contract.documents.yaml_files import read_yaml
from bench.contract.searches import Search
from bench.errors import ManifestError

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")  # of a submission or variant; a folder name with room for a suffix
MAX_PARAMS = 10**15
Steps = Annotated[int, Field(gt=0, le=10**12)]
BASE_VARIANT = "base"
REAL_IMAGES = "real-images"  # the name under which real images are scored as if they were samples


def check_name(name: str) -> str | None:
    """Return the reason why a submission cannot have this name; None if it can."""
    if name == REAL_IMAGES:
        return f"the name {REAL_IMAGES} is reserved for real images in tables; choose another"
    if not NAME.fullmatch(name):
        return "a submission's name has at most 100 lower-case letters, digits, `-`, `_` and `.`"
    return None


def label_of(submission: str, variant: str) -> str:
    """Return the displayed name of a variant: ``submission`` for the base variant, else ``submission/variant``."""
    return submission if variant == BASE_VARIANT else f"{submission}/{variant}"


class Paper(Strict):
    """The paper that a submission reproduces."""

    title: str
    authors: list[str] = []
    year: int | None = Field(default=None, ge=0, le=9999)  # of publication
    url: str | None = Field(default=None, pattern=r"^https?://[^\s<>]+$")  # begins with http:// or https://
    id: str | None = None  # the short number used in this repository
    code: str | None = None  # where the author's code is published, and its version


class Claim(Strict):
    """A published value. ``std`` is the paper's ±, and ``over`` describes the set that it is computed over."""

    mean: float = Field(allow_inf_nan=False)
    std: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    over: str | None = None
    # Equivalence margin, if not the metric's default.
    margin: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    # Number of runs that the mean, and the std if there is one, are computed over.
    runs: int = Field(default=1, ge=1, le=1_000_000)
    selected: str | None = None  # the set of runs that it is the best of, if the author selected by this value
    # Size of this set; None if not known, or if the value is not a best one.
    best_of: int | None = Field(default=None, ge=2, le=1_000_000)
    rests_on: str | None = None  # assumption of a verdict, such as a mode inferred from this value
    protocol: Literal["default", "as-published"] = "default"  # which of our metrics it is compared with

    @model_validator(mode="after")
    def _best_of_something(self) -> "Claim":
        if self.best_of is not None and self.selected is None:
            raise ValueError(
                f"`best_of: {self.best_of}` needs `selected`: the set that it is the best of, and by which metric"
            )
        if self.best_of is not None and self.runs > 1:
            raise ValueError("is either a mean of `runs` or the best of `best_of`, not both")
        return self


def _number_as_claim(value: Any) -> Any:
    return {"mean": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


ClaimField = Annotated[Claim, BeforeValidator(_number_as_claim)]


class Claims(Strict):
    """The results that the paper reports. Accuracies are fractions; FID is as published."""

    params: int | None = Field(default=None, ge=0, le=MAX_PARAMS)
    # Module as `bench verify` names it, or a prefix of such names -> count.
    params_by_module: dict[str, Annotated[int, Field(ge=0, le=MAX_PARAMS)]] = {}
    top1_accuracy: ClaimField | None = None
    train_accuracy: ClaimField | None = None
    train_loss: ClaimField | None = None
    fid: ClaimField | None = None
    lpips: ClaimField | None = None


class AsPublished(Strict):
    """The author's evaluation protocol, where it differs from the default one."""

    mode: Literal["train", "eval"]  # train: batch statistics and dropout, as without a call of eval()
    batch_size: int = Field(gt=0)
    average: Literal["images", "batches"] = "images"  # batches: a short last batch has the weight of a full one
    best_seed: bool = False  # the paper reports the best run, selected on the evaluation images
    resize: Literal["clean"] | None = None  # resize images for FID as clean-fid does
    lpips: Literal["real images"] | None = None  # images that LPIPS compares, if not samples
    why: str  # the evidence for this protocol


class Variant(Strict):
    """An ablation: the config fields that it sets, and the results that the paper reports for it."""

    set: PlainFields = {}
    steps: Steps | None = None  # of an official run, if not the base's
    what: str = ""  # description of the change
    reports: Claims = Claims()

    @model_validator(mode="after")
    def _changes_something(self) -> "Variant":
        if not self.set and self.steps is None:
            raise ValueError("changes nothing; give `set`, `steps` or both")
        return self


Source = Literal[
    "paper",  # stated in the paper
    "inferred",  # inferred from a number in the paper
    "author's code",  # published by the author; facts only
    "cited source",  # the implementation that the paper says it follows
    "course template",  # the template from which several papers seem to start
    "library default",
    "ours",
]


class Choice(Strict):
    """A detail that the paper leaves open, and the choice made here."""

    what: str  # the detail
    chosen: str
    source: Source
    why: str  # the evidence for the choice


class Fault(Strict):
    """An error or a contradiction in the paper."""

    says: str  # the statement of the paper
    found: str  # what contradicts it
    evidence: str  # section of the paper, author's code, or a count, variant or test of this repository


class ProfileOverride(Strict):
    """Config fields that a profile sets, for example fewer sampling steps in ``smoke``."""

    set: PlainFields


class Manifest(Strict):
    """The content of ``submission.yaml``."""

    track: str  # name of the track
    summary: str = ""  # one line that describes the method
    paper: Paper | None = None
    steps: Steps | None = None  # of an official run, if fewer than the track's budget
    claims: Claims = Claims()  # of the paper
    as_published: AsPublished | None = None
    ablations: dict[str, Variant] = {}  # name -> variant
    profiles: dict[str, ProfileOverride] = {}  # name of a profile -> config fields that it sets
    search: Search | None = None  # search of `bench tune`
    choices: list[Choice] = []  # details that the paper leaves open
    faults: list[Fault] = []  # errors in the paper
    notes: list[str] = []  # observations from running it

    @property
    def measured_as_published(self) -> dict[str, Any] | None:
        """The author's evaluation protocol without ``why``, as it enters a run's identity."""
        protocol = self.as_published
        return None if protocol is None else protocol.model_dump(exclude={"why"}, exclude_none=True)

    def official_steps(self, variant: str) -> int | None:
        """Return the steps of an official run of ``variant``; None for the track's budget."""
        variant_steps = None if variant == BASE_VARIANT else self.ablations[variant].steps
        return variant_steps or self.steps

    def overrides(self, variant: str, profile: str) -> dict[str, Any]:
        """Return the config fields that profile and variant set; the variant overrides the profile.

        Raises:
            KeyError: If there is no such variant.
        """
        from_profile = self.profiles[profile].set if profile in self.profiles else {}
        from_variant = {} if variant == BASE_VARIANT else self.ablations[variant].set
        return {**from_profile, **from_variant}

    def declared(self) -> dict[str, dict[str, Any]]:
        """Return all config fields that the file sets: section -> field -> value, or one value of its range."""
        ablations = {f"ablations.{name}.set": variant.set for name, variant in self.ablations.items()}
        profiles = {f"profiles.{name}.set": profile.set for name, profile in self.profiles.items()}
        if self.search is None:
            return {**ablations, **profiles}
        space = {name: dimension.example() for name, dimension in self.search.space.items()}
        return {**ablations, **profiles, "search.set": self.search.set, "search.space": space}

    def claims_of(self, variant: str) -> Claims:
        """Return the results that the paper reports for ``variant``."""
        return self.claims if variant == BASE_VARIANT else self.ablations[variant].reports


def load_manifest(path: Path) -> Manifest:
    """Read and check a ``submission.yaml``.

    Raises:
        ManifestError: If the file is missing or violates the schema; the message names the field.
    """
    content = read_yaml(path)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise ManifestError(describe_validation_error(path, error, Manifest)) from None
    for name in manifest.ablations:
        if not NAME.fullmatch(name) or name == BASE_VARIANT:
            raise ManifestError(
                f"{path}: ablation {name!r}: a name has at most 100 lower-case letters, digits, `-`, `_` and `.`, "
                f"and is not {BASE_VARIANT!r}"
            )
    return manifest
