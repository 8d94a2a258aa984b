"""What all schemas have in common."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen schema that refuses unknown fields: a misspelt field is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")
