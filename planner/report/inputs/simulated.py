"""The result of ``planner simulate``, as a report reads it back."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Longest text, list and mapping of a result: far more than a run writes.
_TEXT, _LIST, _KEYS = 20_000, 20_000, 2_000

Text = Annotated[str, Field(max_length=_TEXT)]
#: A number that can be drawn beside others.
Size = Annotated[float, Field(ge=0, le=1e15)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Column = Annotated[list[Size | None], Field(max_length=_LIST)]


class Found(BaseModel):
    """A part of a result; keys that a report does not need are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


Of = TypeVar("Of", bound=Found)


def _columns_as_long(found: Of, name: str) -> Of:
    """Refuse columns that are not as long as the one called `name`."""
    length = len(getattr(found, name))
    for key, column in found:
        if isinstance(column, list) and key != "changes" and len(column) != length:
            raise ValueError(f"{key} must have {length} numbers as {name} has, got {len(column)}")
    return found


class Estimate(Found):
    """A number with the ends of its interval."""

    value: Size | None
    low: Size | None = None
    high: Size | None = None


class Objective(Estimate):
    """An objective and what came of it."""

    objective: Text
    met: bool
    sure: bool


class Distributions(Found):
    """Quantiles of every metric at `shares` [s]."""

    shares: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1, max_length=_LIST)
    ]
    ttft_s: Column
    tpot_s: Column
    itl_s: Column
    e2e_s: Column
    wait_s: Column

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        return _columns_as_long(self, "shares")


class Change(Found):
    """A change of the fleet."""

    at_s: Size
    kind: Literal["order", "join", "leave", "fail"]
    replicas_up: Count


class Timeline(Found):
    """State of the fleet over time, column by column."""

    time_s: Annotated[list[Size], Field(max_length=_LIST)]
    waiting: Column
    running: Column
    replicas_up: Column
    busy: Column
    compute: Column
    storage: Column
    transfer: Column
    kv_cache: Column
    changes: Annotated[list[Change], Field(max_length=_LIST)]
    changes_total: Count

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        return _columns_as_long(self, "time_s")


Statistics = Annotated[dict[Text, Estimate], Field(max_length=_KEYS)]
Parts = Annotated[dict[Text, float | None], Field(max_length=_KEYS)]


class Group(Found):
    """What is reported of all requests, or of one class."""

    requests: Annotated[dict[Text, Count], Field(max_length=_KEYS)]
    metrics: Annotated[dict[Text, Statistics], Field(max_length=_KEYS)]
    parts: Annotated[dict[Text, dict[Text, Parts]], Field(max_length=_KEYS)]
    distributions: Distributions | None = None
    throughput: Annotated[dict[Text, float | None], Field(max_length=_KEYS)]
    objectives: Annotated[list[Objective], Field(max_length=1_000)]

    def value(self, metric: str, statistic: str) -> float | None:
        """Return a statistic of a latency; None where it is not known [s]."""
        found = self.metrics.get(f"{metric}_s", {}).get(statistic)
        return None if found is None else found.value


class Number(Found):
    """A number that went into the run, and where it comes from."""

    name: Text
    value: float
    unit: Text = ""
    provenance: Text
    source: Text = ""
    standard_error: float | None = None


class Provenance(Found):
    """Where the numbers of a run come from."""

    profile: Annotated[dict[Text, Any], Field(max_length=_KEYS)] = {}
    numbers: Annotated[list[Number], Field(max_length=_LIST)] = []


class Method(Found):
    """How the intervals were made."""

    statement: Text
    replications: int
    measured_requests: int


class Message(Found):
    """A notice."""

    message: Text
    count: int = 0


class Simulated(Group):
    """What ``planner simulate`` printed or wrote."""

    schema_version: Literal[1]
    tool_version: Text
    command: Text
    scenario: Annotated[dict[Text, Any], Field(max_length=_KEYS)]
    seed: int
    provenance: Provenance
    steady: bool
    offered_requests_per_s: Size | None
    saturation_requests_per_s: Size | None
    timeline: Timeline | None = None
    utilisation: Annotated[dict[Text, float | None], Field(max_length=_KEYS)]
    preemptions: int
    cost: Annotated[dict[Text, float | None], Field(max_length=_KEYS)]
    watts_at_design_power: float | None = None
    classes: Annotated[dict[Text, Group], Field(max_length=_KEYS)] | None
    method: Method
    notices: Annotated[list[Message], Field(max_length=_LIST)]

    @property
    def name(self) -> str:
        """Name of the scenario."""
        return str(self.scenario.get("name", "simulation"))

    @property
    def met(self) -> bool:
        """Whether every objective is met."""
        return all(each.met for _, each in self.outcomes())

    def outcomes(self) -> list[tuple[str, Objective]]:
        """Return every objective with the class it belongs to, empty for all requests."""
        whole = [("", each) for each in self.objectives]
        return whole + [
            (name, each)
            for name, group in (self.classes or {}).items()
            for each in group.objectives
        ]
