"""The result of ``planner plan``, as a report reads it back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from planner.report.inputs.limited import Loads  # noqa: TC001 - pydantic reads it
from planner.report.inputs.simulated import (
    Count,
    Estimate,
    Found,
    Share,
    Simulated,
    Size,
    Text,
)

#: Most options of a list.
_OPTIONS = 5_000
Signed = Annotated[float, Field(ge=-1e15, le=1e15)]


class Pool(Found):
    """Identical replicas."""

    device: Text
    replicas: Count
    spares: Count = 0
    tensor_parallel: Count = 1
    pipeline_parallel: Count = 1
    settings: Annotated[dict[Text, JsonValue], Field(max_length=100)]
    engine: Annotated[dict[Text, JsonValue], Field(max_length=100)]
    router: Annotated[dict[Text, JsonValue], Field(max_length=100)]


class Predicted(Estimate):
    """An objective and what is predicted for it."""

    objective: Text
    class_: Text | None = Field(default=None, alias="class")
    bound: Size
    margin: Signed | None = None
    probability: Share


class Option(Found):
    """A fleet that was simulated."""

    pools: Annotated[list[Pool], Field(min_length=1, max_length=100)]
    devices: Count
    usd_per_hour: Size | None
    usd_per_million_output_tokens: Size | None = None
    watts_at_design_power: Size | None = None
    quality_loss: Signed | None = None
    quality_source: Text = ""
    probability: Share
    objectives: Annotated[list[Predicted], Field(max_length=1_000)]
    unmeasured: Annotated[list[Text], Field(max_length=1_000)]
    traffic_share: Share = 1.0
    trade: Text = ""
    change: Text = ""


class Outage(Found):
    """What happens when replicas are lost."""

    lost: Count
    objectives: Annotated[list[Predicted], Field(max_length=1_000)]


class Bind(Found):
    """What keeps a plan from being cheaper, or from being more."""

    limit: Text
    why: Text


class Recommendation(Option):
    """The cheapest fleet that meets every objective with the confidence asked for."""

    metrics: Annotated[dict[Text, dict[Text, Estimate]], Field(max_length=100)]
    binding: Text
    binds: list[Bind] = Field(default=[], max_length=100)
    headroom: Signed | None
    because: Text
    outage: Outage | None = None


class Candidates(Found):
    """What became of the candidates."""

    total: Count
    excluded: Annotated[dict[Text, Count], Field(max_length=1_000)]
    simulated: Count


class Infeasible(Found):
    """Why there is no plan, and what could be had."""

    binding: Text
    why: Text
    nearest: Annotated[list[Option], Field(max_length=_OPTIONS)]


class Difference(Found):
    """What changes against the scenario's fleet."""

    sign: Literal["+", "-", "~"]
    key: Text
    before: Text
    after: Text


class Influence(Found):
    """What an uncertain input does to the plan."""

    input: Text
    low: float
    high: float
    still_enough: bool
    fewer_would_do: bool
    cheaper_would_do: Text | None = None
    changes_plan: bool


class Planned(Found):
    """What ``planner plan`` printed or wrote."""

    schema_version: Literal[1]
    tool_version: Text
    command: Text
    scenario: Annotated[dict[Text, Any], Field(max_length=2_000)]
    seed: int
    target: Annotated[list[Text], Field(max_length=1_000)]
    constraints: Annotated[dict[Text, Text], Field(max_length=100)]
    confidence: Share
    recommendation: Recommendation | None
    alternatives: Annotated[list[Option], Field(max_length=_OPTIONS)]
    pareto: Annotated[list[Option], Field(max_length=_OPTIONS)]
    candidates: Candidates
    infeasible: Infeasible | None
    today: Option | None
    difference: Annotated[list[Difference], Field(max_length=1_000)]
    sensitivity: Annotated[list[Influence], Field(max_length=1_000)]
    method: Annotated[dict[Text, Text | float], Field(max_length=100)]
    notices: Annotated[list[Text], Field(max_length=1_000)]
    simulation: Simulated | None = None
    loads: Loads = Field(default=[])
