"""Evaluate a scenario: draw its traffic, simulate the replications, reduce them to a result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner import __version__
from planner.errors import Notice
from planner.limits import check_memory, check_window
from planner.results.context import RunContext
from planner.results.summary import Result, summarise
from planner.scenario.dump import scenario_json
from planner.scenario.service import StagesService
from planner.simulation.kernels.compiled import is_compiled
from planner.simulation.price import replica_price
from planner.simulation.provenance import model_provenance, profile_line, served_by
from planner.simulation.run import admissible, run_llm
from planner.simulation.saturation import saturation_per_replica, serving_replicas
from planner.simulation.stage_service import run_stage_service
from planner.simulation.system import System, build_system

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from planner.results.records import Records
    from planner.scenario.model import Scenario
    from planner.simulation.control import Control
    from planner.traffic.requests import Requests


__all__ = ["Run", "check", "is_compiled", "replications", "simulate"]


@dataclass(frozen=True)
class Run:
    """A result and the records that it was made from.

    Parameters
    ----------
    result : Result
        Metrics, intervals, objectives.
    records : tuple of Records
        One per replication.
    """

    result: Result
    records: tuple[Records, ...]


def simulate(
    scenario: Scenario,
    *,
    command: str = "",
    control: Sequence[Control] = (),
    extra_replicas: int = 0,
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Run:
    """Simulate a scenario.

    Parameters
    ----------
    scenario : Scenario
        What to simulate.
    command : str
        Command line, for the result.
    control : sequence of callable
        Control processes of your own, each called with the clock and the fleet; see
        ``docs/extending.md``.
    extra_replicas : int
        Replicas that they may order beside those of the scenario.
    progress : callable
        Called now and then with the share of the work that is done.

    Raises
    ------
    InputError
        If the scenario cannot be simulated; the message says what to do.
    """
    service = scenario.service
    system = None if isinstance(service, StagesService) else build_system(scenario)
    price = replica_price(scenario.fleet) if scenario.fleet else None
    total = replications(scenario)
    records: list[Records] = []
    saturation, offered = math.nan, list[float | None]()
    for k in range(total):
        progress(k / total)
        requests = scenario.traffic.draw(scenario.simulation.seed, k, scenario.base_dir)
        check_window(scenario, requests.end_s)
        if k == 0:
            check_memory(system, requests, total)
        if isinstance(service, StagesService):
            records.append(run_stage_service(scenario, service, requests, replication=k))
            saturation = min(stage.saturation_rate() for stage in service.stages)
        else:
            assert system is not None  # noqa: S101 - one of the two kinds
            records.append(
                run_llm(
                    scenario,
                    system,
                    requests,
                    replication=k,
                    control=control,
                    extra_replicas=extra_replicas,
                    progress=_of(k, total, progress),
                )
            )
            if k == 0:
                up = serving_replicas(scenario, records[0].timeline, controlled=bool(control))
                saturation = _saturation(system, requests, up)
        check_window(scenario, records[-1].measured_to_s)
        offered.append(_offered(requests, records[-1]))
    progress(1.0)
    context = RunContext(
        command=command,
        tool_version=__version__,
        scenario=scenario_json(scenario),
        seed=scenario.simulation.seed,
        title=scenario.name,
        served_by=served_by(scenario, system),
        profile=profile_line(system),
        provenance=model_provenance(system),
        offered_per_s=_mean(offered),
        saturation_per_s=saturation,
        traffic_random=scenario.traffic.random,
        price_per_replica_hour=price.usd_per_hour if price else None,
        watts_per_replica=price.watts if price else None,
        confidence=scenario.simulation.confidence,
        objectives=scenario.objectives,
        class_objectives=scenario.class_objectives(),
        notices=_notices(scenario, system),
    )
    return Run(summarise(records, context), tuple(records))


def check(scenario: Scenario) -> list[str]:
    """Resolve everything a scenario names, draw its traffic, and return what it amounts to.

    Raises
    ------
    InputError
        If the scenario cannot be simulated; the message says what to do.
    """
    requests = scenario.traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
    service = scenario.service
    system = None if isinstance(service, StagesService) else build_system(scenario)
    check_window(scenario, requests.end_s)
    check_memory(system, requests, replications(scenario))
    sent = int(np.isfinite(requests.arrival_s).sum())
    lines = [
        f"{scenario.name}: {served_by(scenario, system)}",
        f"{sent:,} requests" + (" at first, then as clients send them" * bool(requests.closed)),
        *map(str, requests.notices),
    ]
    if system is not None:
        lines += [profile_line(system), *map(str, admissible(requests, system).notices)]
    return [*lines, *map(str, _notices(scenario, system))]


def replications(scenario: Scenario) -> int:
    """Return how often to run `scenario`: once where nothing in it is drawn."""
    fleet, service = scenario.fleet, scenario.service
    drawn = scenario.traffic.random
    if isinstance(service, StagesService):
        drawn |= any(stage.variability.kind != "constant" for stage in service.stages)
    elif fleet is not None:
        around = (*service.before, *service.after)
        drawn |= any(stage.variability.kind != "constant" for stage in around)
        drawn |= fleet.random
    return scenario.simulation.replications if drawn else 1


def _of(k: int, total: int, progress: Callable[[float], None]) -> Callable[[float], None]:
    """Return what reports the share of replication `k` as a share of all."""
    return lambda share: progress((k + share) / total)


def _saturation(system: System, requests: Requests, replicas: float) -> float:
    """Return the highest rate [1/s] that model, fleet and the stages around it sustain."""
    rate = saturation_per_replica(system, requests) * replicas
    around = (*system.service.before, *system.service.after)
    return min([rate, *(stage.saturation_rate() for stage in around)])


def _offered(requests: Requests, records: Records) -> float | None:
    """Return the mean rate of arrivals in the window [1/s]; None where clients set it."""
    if requests.closed:
        return None
    inside = (records.arrival_s >= records.measured_from_s) & (
        records.arrival_s <= records.measured_to_s
    )
    window = records.measured_to_s - records.measured_from_s
    if not window > 0:
        return None
    return float((inside & (records.status != 3)).sum() / window)


def _mean(values: list[float | None]) -> float | None:
    """Return the mean; None if a value is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _notices(scenario: Scenario, system: System | None) -> tuple[Notice, ...]:
    """Return what the result should say beside what happened to the requests."""
    notices = []
    asked = scenario.simulation.replications
    if replications(scenario) < asked and "replications" in scenario.simulation.model_fields_set:
        notices.append(Notice(f"nothing is drawn: run once, not {asked} times"))
    if system is not None and system.service.engine.max_model_len is None:
        longest = system.pool.max_model_len
        if longest < system.shape.max_position:
            notices.append(
                Notice(
                    f"max_model_len is {longest}, what the KV pool holds, instead of the model's "
                    f"{system.shape.max_position}"
                )
            )
    return tuple(notices)
