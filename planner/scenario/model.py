"""The scenario: everything that a user writes, and the rules between its sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objectives
from planner.scenario.service import Service
from planner.spec import Spec
from planner.traffic.spec import Traffic
from planner.units import Count, CountOrZero, Duration, OpenFraction


class SimulationSpec(Spec):
    """How a scenario is simulated.

    Parameters
    ----------
    seed : int
        Of all random streams, >= 0.
    replications : int
        Independent runs, >= 1; a traffic in which nothing is drawn is run once.
    warmup : float
        Requests that arrive before it count in no statistic. [s]
    confidence : float
        Of the intervals, in (0, 1).
    """

    seed: CountOrZero = 1
    replications: Count = 5
    warmup: Duration = 60.0
    confidence: OpenFraction = 0.95


class Scenario(Spec):
    """What a user wants to know the latency of.

    Parameters
    ----------
    schema_version : int
        1.
    name, description : str
        What it is called and about.
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
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    traffic: Traffic
    service: Service
    fleet: Fleet | None = None
    objectives: Objectives = ()
    simulation: SimulationSpec = SimulationSpec()
    _base_dir: Path = PrivateAttr(default_factory=Path)

    @property
    def base_dir(self) -> Path:
        """Folder that relative paths in the scenario start from."""
        return self._base_dir

    def with_base_dir(self, folder: Path) -> Scenario:
        """Return the same scenario with its relative paths starting from `folder`."""
        copy = self.model_copy()
        copy._base_dir = folder  # noqa: SLF001 - a copy of our own
        return copy
