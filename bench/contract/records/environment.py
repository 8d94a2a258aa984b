"""The machine description in a record: free-form, with fixed types for the fields that reports read."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bench.contract.documents.schema import with_current_names

OPEN = ConfigDict(extra="allow", strict=True)  # other fields are allowed; no type coercion of the known ones
Count = Field(default=None, ge=1, le=10**6)


class EarlierSegment(BaseModel):
    """A range of training steps that ran under other conditions than the last steps."""

    model_config = OPEN
    from_step: int = Field(ge=0)
    to_step: int = Field(ge=0)


class Repository(BaseModel):
    """The git repository that the harness ran from."""

    model_config = OPEN
    commit: str | None = None
    clean: bool | None = None


class Environment(BaseModel):
    """The fields that tables, pages and certificates use. Other fields may have any type."""

    model_config = OPEN
    device: str | None = None
    device_type: str | None = None
    device_memory_bytes: int | None = Field(default=None, ge=0)
    threads: int | None = Count
    jobs_side_by_side: int | None = Count
    packages: dict[str, str | None] = {}
    python: str | None = None
    repository: Repository | None = None
    execution: dict[str, Any] = {}
    sandbox: dict[str, Any] = {}
    earlier_segments: list[EarlierSegment] = []


FORMER_NAMES = {"walls": "sandbox", "earlier_parts": "earlier_segments"}
RecordedEnvironment = Annotated[
    dict[str, Any], BeforeValidator(lambda content: with_current_names(content, FORMER_NAMES))
]
