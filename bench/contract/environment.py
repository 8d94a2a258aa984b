"""What a record says of the machine: free in what it holds, and of one kind in what reports read."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

ANYTHING_ELSE = ConfigDict(extra="allow", strict=True)  # what reports read is of the very kind, not alike
Count = Field(default=None, ge=1, le=10**6)


class Part(BaseModel):
    """Steps of a training that ran under other conditions than its last ones."""

    model_config = ANYTHING_ELSE
    from_step: int = Field(ge=0)
    to_step: int = Field(ge=0)


class Repository(BaseModel):
    """The checkout that ran."""

    model_config = ANYTHING_ELSE
    commit: str | None = None
    clean: bool | None = None


class Environment(BaseModel):
    """The fields that tables, pages and certificates show or reckon with. All others may be anything."""

    model_config = ANYTHING_ELSE
    device: str | None = None
    device_type: str | None = None
    device_memory_bytes: int | None = Field(default=None, ge=0)
    threads: int | None = Count
    jobs_side_by_side: int | None = Count
    packages: dict[str, str | None] = {}
    python: str | None = None
    repository: Repository | None = None
    execution: dict[str, Any] = {}
    walls: dict[str, Any] = {}
    earlier_parts: list[Part] = []
