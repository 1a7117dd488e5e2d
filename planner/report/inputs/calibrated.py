"""A profile and what it was fitted to, as a report reads them back."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from planner.catalog.profile import Profile  # noqa: TC001 - pydantic reads it
from planner.report.inputs.simulated import Found, Text

#: Most measurements of a fit.
_MOST = 200_000
Texts = Annotated[list[Text], Field(max_length=_MOST)]
Sizes = Annotated[list[Annotated[float, Field(gt=0, le=1e15)]], Field(max_length=_MOST)]


class Residuals(Found):
    """How far off the fit is for each step that was measured, column by column."""

    left_out: bool
    variant: Texts
    kind: Texts
    seconds: Sizes
    tokens: Sizes
    sequences: Sizes
    context: Sizes
    error: Annotated[list[Annotated[float, Field(ge=-1e6, le=1e6)]], Field(max_length=_MOST)]

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        columns = (self.kind, self.seconds, self.tokens, self.sequences, self.context, self.error)
        if any(len(column) != len(self.variant) for column in columns):
            raise ValueError(f"columns must have {len(self.variant)} values each, as variant has")
        return self


class Calibrated(Found):
    """What ``planner calibrate`` printed or wrote; a profile alone is one too."""

    schema_version: Literal[1]
    tool_version: Text = ""
    command: Text = ""
    profile: Profile
    residuals: Residuals | None = None

    @model_validator(mode="before")
    @classmethod
    def _profile_alone(cls, content: Any) -> Any:  # noqa: ANN401 - a validator sees anything
        """Take a profile as it stands in ``profile.json``."""
        if isinstance(content, dict) and "coefficients" in content:
            return {"schema_version": content.get("schema_version"), "profile": content}
        return content
