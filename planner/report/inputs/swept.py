"""The result of ``planner sweep``, as a report reads it back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from planner.report.inputs.simulated import (
    Count,
    Estimate,
    Found,
    Objective,
    Provenance,
    Size,
    Text,
)

#: Most cells of a sweep, and values and axes of one.
_CELLS, _AXES = 20_000, 12


class Axis(Found):
    """What was varied."""

    key: Text
    unit: Text | None = None
    values: Annotated[list[JsonValue], Field(min_length=1, max_length=_CELLS)]
    today: Count | None = None


class CellObjective(Objective):
    """An objective in a cell, with its class."""

    class_: Text | None = Field(default=None, alias="class")
    bound: Size | None = None


class Point(Found):
    """What is kept of one of many simulations."""

    error: Text | None
    steady: bool | None = None
    objectives_met: bool | None = None
    offered_requests_per_s: Size | None = None
    saturation_requests_per_s: Size | None = None
    load: Size | None = None
    objectives: Annotated[list[CellObjective], Field(max_length=1_000)] | None = None
    metrics: Annotated[dict[Text, dict[Text, Estimate]], Field(max_length=50)] | None = None
    throughput: Annotated[dict[Text, float | None], Field(max_length=50)] | None = None
    utilisation: Annotated[dict[Text, float | None], Field(max_length=50)] | None = None
    cost: Annotated[dict[Text, Size | None], Field(max_length=50)] | None = None
    requests: Annotated[dict[Text, Count], Field(max_length=50)] | None = None

    def value(self, metric: str, statistic: str) -> float | None:
        """Return a statistic of a latency; None where it is not known [s]."""
        found = (self.metrics or {}).get(f"{metric}_s", {}).get(statistic)
        return None if found is None else found.value

    @property
    def usd_per_hour(self) -> float | None:
        """What the fleet costs [$/h]."""
        return (self.cost or {}).get("usd_per_hour")


class Cell(Point):
    """One point of the grid."""

    values: Annotated[dict[Text, JsonValue], Field(max_length=_AXES)]


class Swept(Found):
    """What ``planner sweep`` printed or wrote."""

    schema_version: Literal[1]
    tool_version: Text = ""
    command: Text = ""
    scenario: Text
    requests_per_s: Size | None = None
    base: Annotated[dict[Text, Any], Field(default_factory=dict, max_length=50)]
    provenance: Provenance = Provenance()
    vary: Annotated[list[Axis], Field(min_length=1, max_length=_AXES)]
    cells: Annotated[list[Cell], Field(min_length=1, max_length=_CELLS)]

    @model_validator(mode="before")
    @classmethod
    def _grid(cls, content: Any) -> Any:  # noqa: ANN401 - a validator sees anything
        """Refuse another number of cells than the axes have points."""
        if isinstance(content, dict):
            vary, cells = content.get("vary"), content.get("cells")
            if isinstance(vary, list) and isinstance(cells, list):
                points = 1
                for axis in vary:
                    values = axis.get("values") if isinstance(axis, dict) else None
                    points *= len(values) if isinstance(values, list) else 1
                if points != len(cells):
                    raise ValueError(f"must have {points} cells, one a point of vary, "
                                     f"got {len(cells)}")  # fmt: skip
        return content
