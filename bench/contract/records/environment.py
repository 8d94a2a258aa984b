"""The machine description in a record: free-form, with fixed types for the fields that reports read."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bench.contract.documents.schema import with_current_names

OPEN = ConfigDict(extra="allow", strict=True)  # other fields are allowed; no type coercion of the known ones
Count = Field(default=None, ge=1, le=10**6)


class EarlierSegment(BaseModel):
    """A range of training steps that ran under other conditions than the last steps."""

    model_config = OPEN
    from_step: int = Field(ge=0)  # the first step
    to_step: int = Field(ge=0)  # exclusive


class Repository(BaseModel):
    """The git repository that the harness ran from."""

    model_config = OPEN
    commit: str | None = None  # hash
    clean: bool | None = None  # whether no file differed from the commit


class Environment(BaseModel):
    """The fields that tables, pages and certificates use. Other fields may have any type."""

    model_config = OPEN
    device: str | None = None  # model of the CPU or GPU
    device_type: str | None = None  # "cpu" or "cuda"
    device_memory_bytes: int | None = Field(default=None, ge=0)
    threads: int | None = Count  # CPU threads of the run
    jobs_side_by_side: int | None = Count  # parallel runs of the command
    packages: dict[str, str | None] = {}  # name -> version
    python: str | None = None  # version
    repository: Repository | None = None
    execution: dict[str, Any] = {}  # precision, and whether steps were compiled
    sandbox: dict[str, Any] = {}  # how processes, network and files were isolated
    earlier_segments: list[EarlierSegment] = []


FORMER_NAMES = {"walls": "sandbox", "earlier_parts": "earlier_segments"}
RecordedEnvironment = Annotated[
    dict[str, Any], BeforeValidator(lambda content: with_current_names(content, FORMER_NAMES))
]
