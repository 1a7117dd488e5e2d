"""The base of everything a user can write in a scenario."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen pydantic model that refuses unknown keys; a spec is also the behaviour.

    Members of a union of specs carry ``kind: Literal["..."]``, their discriminator.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
