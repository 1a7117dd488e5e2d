"""The scenario: everything that a user writes, and the rules between its sections."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from planner.errors import InputError
from planner.scenario.fleet import Fleet, LeastOutstanding
from planner.scenario.objectives import LatencyObjective, Objective, Objectives, parse_objectives
from planner.scenario.plan import PlanSpec
from planner.scenario.rules import Broken, refuse
from planner.scenario.service import LlmService, Service
from planner.spec import Spec
from planner.traffic.spec import Traffic
from planner.units import DURATION, Duration, OpenFraction

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Most replications: beyond them intervals hardly shrink.
MAX_REPLICATIONS = 10_000
#: Most failures and repairs, or decisions of an autoscaler, in a run: each takes time.
MAX_CHANGES = 50_000


class SimulationSpec(Spec):
    """How a scenario is simulated.

    Parameters
    ----------
    seed : int
        Of all random streams, >= 0, at most 2**53.
    replications : int
        Independent runs, 1 to 10,000; a traffic in which nothing is drawn is run once.
    warmup : float
        Requests that arrive before it count in no statistic. [s]
    confidence : float
        Of the intervals, above 0 and at most 0.9999.
    """

    seed: Annotated[int, Field(ge=0, le=2**53, strict=True)] = 1
    replications: Annotated[int, Field(ge=1, le=MAX_REPLICATIONS, strict=True)] = 5
    warmup: Duration = 60.0
    confidence: Annotated[OpenFraction, Field(le=0.9999)] = 0.95


class Scenario(Spec):
    """What a user wants to know the latency of.

    Parameters
    ----------
    schema_version : int
        Version of the format.
    name : str
        What it is called in output.
    description : str
        What it is about, for readers.
    traffic : Traffic
        Requests: when they come and how long they are.
    service : LlmService or StagesService
        What serves them.
    fleet : Fleet, optional
        On what; compulsory for an LLM, and only a price tag for stages.
    objectives : tuple of Objective
        What the latency of all requests must keep to; classes have their own.
    simulation : SimulationSpec
        How to simulate.
    plan : PlanSpec, optional
        What `planner plan` may choose from and must keep to.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: str = ""
    traffic: Traffic
    service: Service
    fleet: Fleet | None = None
    objectives: Objectives = ()
    simulation: SimulationSpec = SimulationSpec()
    plan: PlanSpec | None = None
    _base_dir: Path = PrivateAttr(default_factory=Path)

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Self:
        refuse(scenario_problems(self))
        return self

    @property
    def base_dir(self) -> Path:
        """Folder that relative paths in the scenario start from."""
        return self._base_dir

    def with_base_dir(self, folder: Path) -> Scenario:
        """Return the same scenario with its relative paths starting from `folder`."""
        copy = self.model_copy()
        copy._base_dir = folder  # noqa: SLF001 - a copy of our own
        return copy

    def class_objectives(self) -> dict[str, tuple[Objective, ...]]:
        """Return the objectives of each class that has some, by its name."""
        return {
            each.name: parse_objectives(each.objectives)
            for each in self.traffic.request_classes
            if each.objectives
        }


def scenario_problems(scenario: Scenario) -> Iterator[Broken]:
    """Yield the rules between the sections of a scenario that it breaks."""
    service, fleet = scenario.service, scenario.fleet
    if isinstance(service, LlmService):
        if fleet is None:
            yield Broken("fleet", "must be given, since an LLM runs on devices")
        yield from _closed_loop_problems(scenario.traffic, service)
    elif fleet is not None:
        yield from _price_tag_problems(fleet)
    yield from _objectives_problems(scenario)
    duration = scenario.traffic.duration
    if duration is None:
        return
    rule = f"< traffic.duration ({DURATION.text(duration)})"
    if scenario.simulation.warmup >= duration:
        given = "warmup" in scenario.simulation.model_fields_set
        default = "" if given else ", its default"
        message = f"must be {rule}, got {DURATION.text(scenario.simulation.warmup)}{default}"
        yield Broken("simulation.warmup", f"{message}; nothing would be left to measure")
    yield from _changes_problems(fleet, duration)
    for index, event in enumerate(fleet.events if fleet else ()):
        if event.at >= duration:
            yield Broken(
                f"fleet.events.{index}.at", f"must be {rule}, got {DURATION.text(event.at)}"
            )


def _changes_problems(fleet: Fleet | None, duration: float) -> Iterator[Broken]:
    """Yield what changes the fleet so often that simulating it would not end."""
    if fleet is None:
        return
    if fleet.failures is not None:
        each = (fleet.failures.mtbf + fleet.failures.mttr) / 2
        changes = duration * fleet.replicas / each if each else math.inf
        if changes > MAX_CHANGES:
            what = f"{changes:.2g} failures and repairs in {DURATION.text(duration)}"
            got = f"must make at most {MAX_CHANGES:,} changes of the fleet, got about {what}"
            yield Broken("fleet.failures.mtbf", f"{got}; make mtbf or mttr longer")
    if fleet.autoscaler is not None:
        changes = duration / fleet.autoscaler.interval
        if changes > MAX_CHANGES:
            what = f"{changes:.2g} decisions in {DURATION.text(duration)}"
            got = f"must make at most {MAX_CHANGES:,} decisions, got about {what}"
            yield Broken("fleet.autoscaler.interval", f"{got}; make it longer")


def _closed_loop_problems(traffic: Traffic, service: LlmService) -> Iterator[Broken]:
    loops = [each for each in traffic.request_classes if each.arrivals.kind == "closed_loop"]
    for key in ("before", "after"):
        if loops and getattr(service, key):
            yield Broken(
                f"service.{key}",
                f"must be left out where clients wait for their answers, as {loops[0].name!r} do; "
                "write a traffic with a rate",
            )


def _price_tag_problems(fleet: Fleet) -> Iterator[Broken]:
    """Yield what a service of stages cannot use: its fleet only says what it costs."""
    for key, default in (
        ("router", LeastOutstanding()),
        ("events", ()),
        ("failures", None),
        ("autoscaler", None),
    ):
        if getattr(fleet, key) != default:
            yield Broken(
                f"fleet.{key}",
                "must be left out for a service of stages, whose fleet only says what it costs",
            )


def _objectives_problems(scenario: Scenario) -> Iterator[Broken]:
    found = [("objectives", scenario.objectives)]
    for index, each in enumerate(scenario.traffic.classes or ()):
        key = f"traffic.classes.{index}.objectives"
        try:
            found.append((key, parse_objectives(each.objectives or "")))
        except InputError as error:
            yield from (Broken(key, problem.message) for problem in error.problems)
    if isinstance(scenario.service, LlmService):
        return
    for key, objectives in found:
        for objective in objectives:
            metrics = (
                {objective.metric}
                if isinstance(objective, LatencyObjective)
                else {bound.metric for bound in objective.bounds}
            )
            if metrics & {"tpot", "itl"}:
                yield Broken(
                    key,
                    f"must bound ttft, e2e or wait, got {objective.text!r}; stages answer all at "
                    "once, so that there is no time between tokens",
                )
