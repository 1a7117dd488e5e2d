"""The results of ``planner validate``, as a report reads them back."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from planner.report.inputs.simulated import Count, Found, Size, Text

#: Most predictions of a table of points, and most of a comparison.
_ROWS, _COMPARISONS = 500_000, 5_000
Error = Annotated[float, Field(ge=-1e15, le=1e15)]


class Errors(Found):
    """How far off predictions of a metric are."""

    n: Count
    mape: Error | None
    median_ape: Error | None
    bias: Error | None


Texts = Annotated[list[Text], Field(max_length=_ROWS)]
#: Such that no ratio of two is beyond what a float holds.
Sizes = Annotated[list[Annotated[float, Field(ge=1e-12, le=1e15)]], Field(max_length=_ROWS)]


class Rows(Found):
    """Every prediction beside what was measured, column by column."""

    id: Texts
    metric: Texts
    measured: Sizes
    predicted: Sizes
    groups: Annotated[dict[Text, Texts], Field(max_length=100)]

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        length = len(self.id)
        lengths = [len(self.metric), len(self.measured), len(self.predicted)]
        lengths += [len(column) for column in self.groups.values()]
        if any(each != length for each in lengths):
            raise ValueError(f"columns must have {length} values each, as many as id has")
        return self


class ValidatedPoints(Found):
    """What ``planner validate POINTS --json`` printed."""

    schema_version: Literal[1]
    tool_version: Text
    command: Text
    points: Count
    predicted: Count
    unsupported: Annotated[dict[Text, Count], Field(max_length=5_000)]
    metrics: Annotated[dict[Text, Errors], Field(max_length=100)]
    by: Annotated[dict[Text, dict[Text, Errors]], Field(max_length=20_000)]
    rows: Rows


class ComparedRow(Found):
    """One number, predicted and measured."""

    metric: Text
    statistic: Text | None
    unit: Text
    predicted: Size | None
    by_profile: Size | None = None
    measured: Size | None
    runs: Annotated[list[Size | None], Field(min_length=1, max_length=1_000)]
    predicted_runs: Annotated[tuple[Size | None, ...], Field(max_length=1_000)] = ()
    spread: Size | None
    error: Error | None
    met: bool | None


class Comparison(Found):
    """A prediction and the runs that it was made for."""

    label: Text
    requests_per_s: Size | None
    requests: Count
    rows: Annotated[list[ComparedRow], Field(max_length=1_000)]


class Compared(Found):
    """What ``planner validate --json`` printed of a scenario or of measured requests."""

    schema_version: Literal[1]
    tool_version: Text
    command: Text
    facts: Annotated[dict[Text, Text], Field(max_length=1_000)]
    tolerance: Size | None
    comparisons: Annotated[list[Comparison], Field(max_length=_COMPARISONS)]
