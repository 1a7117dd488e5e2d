"""The result of ``planner capacity``, as a report reads it back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from planner.report.inputs.simulated import Count, Found, Parts, Share, Simulated, Size, Text
from planner.report.inputs.swept import Point  # noqa: TC001 - pydantic reads it

#: Most loads of a curve.
_LOADS = 1_000


class LoadPoint(Found):
    """What came of a scenario at one load."""

    value: Size
    at: Point


Loads = Annotated[list[LoadPoint], Field(max_length=_LOADS)]


class Missed(Found):
    """An objective that is missed."""

    class_: Text | None = Field(default=None, alias="class")
    objective: Text
    value: Size | None
    bound: Size


class Method(Found):
    """How the capacity was found."""

    statement: Text
    simulations: Count


class Limited(Found):
    """What ``planner capacity`` printed."""

    schema_version: Literal[1]
    tool_version: Text
    command: Text
    scenario: Text
    unit: Literal["req/s", "clients"]
    capacity: Size | None
    low: Size | None
    high: Size | None
    confidence: Share | None
    per_replica: Size | None
    replicas: Count | None
    own: Size
    headroom: Annotated[float, Field(ge=-1, le=1e15)] | None
    saturation_requests_per_s: Size | None
    ends_at: Literal["objectives", "saturation", "most", "unloaded"]
    binds: Annotated[list[Missed], Field(max_length=1_000)]
    parts: Parts | None
    method: Method
    notices: Annotated[list[Text], Field(max_length=1_000)]
    simulation: Simulated
    loads: Loads

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """The interval; without one the last load surely met, and the first surely missed.

        Too few time blocks leave a run without intervals of its objectives: then loads on either
        side, whose runs have them, decide.
        """
        if self.confidence is not None:
            return self.low, self.high
        met = [each.value for each in self.loads if _surely(each, met=True)]
        unsure = [each.value for each in self.loads if not _surely(each, met=True)]
        low = max((x for x in met if all(x < y for y in unsure if y > met[0])), default=None)
        missed = [each.value for each in self.loads if _surely(each, met=False)]
        beyond = [x for x in (*missed, self.saturation_requests_per_s) if x is not None]
        return low, min((x for x in beyond if x > (self.capacity or 0.0)), default=None)


def _surely(point: LoadPoint, *, met: bool) -> bool:
    """Return whether all objectives are met, or one is missed, by the whole of its interval."""
    found = [each.met is met and each.sure for each in point.at.objectives or ()]
    return all(found) if met else any(found)
