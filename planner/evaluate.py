"""Evaluate a scenario: draw its traffic, simulate the replications, reduce them to a result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from planner import __version__
from planner.errors import Notice
from planner.limits import check_memory, check_window
from planner.results.checked import Checked, KvCache, in_words
from planner.results.context import RunContext
from planner.results.records import REJECTED
from planner.results.summary import summarise
from planner.scenario.dump import scenario_json
from planner.scenario.service import StagesService
from planner.simulation.kernels.compiled import is_compiled
from planner.simulation.price import replica_price
from planner.simulation.provenance import (
    model_provenance,
    pool_line,
    profile_line,
    served_by,
    weight_notices,
)
from planner.simulation.run import admissible, run_llm
from planner.simulation.saturation import saturation_per_replica, serving_replicas
from planner.simulation.stage_service import run_stage_service
from planner.simulation.system import System, build_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from planner.results.records import Records
    from planner.results.result import Result
    from planner.scenario.model import Scenario
    from planner.simulation.control import Control
    from planner.traffic.requests import Requests


__all__ = ["Replication", "Run", "check", "is_compiled", "replicate", "replications", "simulate"]


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
    system = None if isinstance(scenario.service, StagesService) else build_system(scenario)
    device = system.device if system else None
    price = replica_price(scenario.fleet, device) if scenario.fleet else None
    done = [
        replicate(
            scenario, system, k, control=control, extra_replicas=extra_replicas, progress=tell
        )
        for k, tell in enumerate(_shares(progress, replications(scenario)))
    ]
    progress(1.0)
    records = [each.records for each in done]
    context = RunContext(
        command=command,
        tool_version=__version__,
        scenario=scenario_json(scenario),
        seed=scenario.simulation.seed,
        title=scenario.name,
        served_by=served_by(scenario, system),
        profile=profile_line(system, advise=True),
        provenance=model_provenance(system),
        offered_per_s=_mean([_offered(each) for each in done]),
        saturation_per_s=_saturation(scenario, system, done[0], controlled=bool(control)),
        traffic_random=scenario.traffic.random,
        price_per_replica_hour=price.usd_per_hour if price else None,
        watts_per_replica=price.watts if price else None,
        confidence=scenario.simulation.confidence,
        objectives=scenario.objectives,
        class_objectives=scenario.class_objectives(),
        notices=_notices(scenario, system),
    )
    return Run(summarise(records, context), tuple(records))


class Replication(NamedTuple):
    """One replication: what arrived, and what happened.

    Parameters
    ----------
    requests : Requests
        The traffic.
    records : Records
        Of its simulation.
    """

    requests: Requests
    records: Records


def replicate(
    scenario: Scenario,
    system: System | None,
    k: int,
    *,
    control: Sequence[Control] = (),
    extra_replicas: int = 0,
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Replication:
    """Draw the traffic of replication `k` and simulate it.

    Parameters
    ----------
    scenario : Scenario
        What to simulate.
    system : System or None
        Its replica, resolved; None for a service of stages.
    k : int
        Number of the replication.
    control, extra_replicas, progress
        As for :func:`simulate`; the share is that of the replication.

    Raises
    ------
    InputError
        If the scenario cannot be simulated.
    """
    progress(0.0)
    requests = scenario.traffic.draw(scenario.simulation.seed, k, scenario.base_dir)
    check_window(scenario, requests.end_s)
    if k == 0:
        check_memory(system, requests, replications(scenario))
    if isinstance(scenario.service, StagesService):
        records = run_stage_service(scenario, scenario.service, requests, replication=k)
    else:
        assert system is not None  # noqa: S101 - one of the two kinds
        records = run_llm(
            scenario,
            system,
            requests,
            replication=k,
            control=control,
            extra_replicas=extra_replicas,
            progress=progress,
        )
    check_window(scenario, records.measured_to_s)
    return Replication(requests, records)


def check(scenario: Scenario) -> Checked:
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
    refused = [] if system is None else admissible(requests, system).notices
    return Checked(
        scenario=scenario.name,
        served_by=served_by(scenario, system),
        requests=int(np.isfinite(requests.arrival_s).sum()),
        closed_loop=bool(requests.closed),
        offered=in_words(requests),
        kv_cache=None if system is None else KvCache.of(system.pool),
        pool="" if system is None else pool_line(system),
        profile=profile_line(system, advise=True),
        traffic=tuple(requests.notices),
        notices=(*refused, *_notices(scenario, system)),
    )


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


def _shares(progress: Callable[[float], None], total: int) -> Iterator[Callable[[float], None]]:
    """Yield, for each of `total` replications, what turns its share done into one of all."""

    def tell(k: int, share: float) -> None:
        progress((k + share) / total)

    for k in range(total):
        yield partial(tell, k)


def _saturation(
    scenario: Scenario, system: System | None, done: Replication, *, controlled: bool
) -> float:
    """Return the highest rate [1/s] that model, fleet and stages sustain."""
    service = scenario.service
    if isinstance(service, StagesService):
        return min(stage.saturation_rate() for stage in service.stages)
    assert system is not None  # noqa: S101 - one of the two kinds
    up = serving_replicas(scenario, done.records.timeline, controlled=controlled)
    rate = saturation_per_replica(system, done.requests) * up
    around = (*service.before, *service.after)
    return min([rate, *(stage.saturation_rate() for stage in around)])


def _offered(done: Replication) -> float | None:
    """Return the mean rate of arrivals in the window [1/s]; None where clients set it."""
    requests, records = done
    if requests.closed:
        return None
    inside = (records.arrival_s >= records.measured_from_s) & (
        records.arrival_s <= records.measured_to_s
    )
    window = records.measured_to_s - records.measured_from_s
    if not window > 0:
        return None
    return float((inside & (records.status != REJECTED)).sum() / window)


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
    if system is not None:
        notices += weight_notices(system)
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
