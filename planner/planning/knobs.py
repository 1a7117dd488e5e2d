"""What capacity turns up: the rate of the traffic, or the number of clients of a closed loop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from planner.errors import InputError, Problem
from planner.scenario.service import StagesService
from planner.traffic.arrivals import PoissonArrivals
from planner.traffic.closed import MAX_CLIENTS, ClosedLoopArrivals

if TYPE_CHECKING:
    from collections.abc import Callable

    from planner.scenario.model import Scenario
    from planner.spec import Spec
    from planner.traffic.arrivals import Arrivals
    from planner.traffic.classes import RequestClass
    from planner.traffic.spec import Traffic

#: Arrivals that look the same at any time, so that a longer run of them is the same traffic.
STATIONARY = {"poisson", "gamma", "deterministic", "mmpp"}
#: The load, as a share of saturation, at which requests do not meet.
UNLOADED = 1e-4
#: Fewer requests than these say nothing about a percentile.
LEAST_REQUESTS = 20
#: Requests of a run without load: their lengths are what its percentiles come from.
UNLOADED_REQUESTS = 2000


class Knob(Protocol):
    """Something that can be turned up until an objective fails."""

    @property
    def unit(self) -> str:
        """``req/s`` or ``clients``."""
        ...

    @property
    def own(self) -> float:
        """Where the scenario has it."""
        ...

    @property
    def least(self) -> float:
        """Below it too little would happen in a run to say anything."""
        ...

    @property
    def most(self) -> float:
        """Where it ends; inf if it does not."""
        ...

    @property
    def whole(self) -> bool:
        """Whether only whole numbers count."""
        ...

    def at(self, value: float) -> Scenario:
        """Return the scenario with the knob at `value`."""
        ...

    def unloaded(self, saturation: float | None) -> tuple[float, Scenario]:
        """Return a value at which requests do not meet, and the scenario there."""
        ...


def knob_of(scenario: Scenario) -> Knob:
    """Return what can be turned up in a scenario: clients if there are some, else the rate.

    Raises
    ------
    InputError
        If a trace or a table of rates cannot be used, or nothing arrives.
    """
    loops = [
        each.arrivals.clients
        for each in scenario.traffic.request_classes
        if isinstance(each.arrivals, ClosedLoopArrivals)
    ]
    if loops:
        return ClientsKnob(scenario, sum(loops))
    rate = scenario.traffic.open_rate(scenario.base_dir)
    if rate is None or not 0 < rate < math.inf:
        message = f"must have a mean rate > 0, got {rate or 0:g} req/s; write traffic.rate"
        raise InputError(Problem(message, "traffic"))
    return RateKnob(scenario, rate)


@dataclass(frozen=True)
class RateKnob:
    """The total mean rate of open-loop arrivals.

    Below the scenario's own rate a run of stationary arrivals lasts longer, so that it has as many
    requests; above it, where a number of requests or a trace ends the traffic, the warm-up is
    shorter, so that it has as many. One seed draws the same requests at every rate, closer
    together or further apart.
    """

    scenario: Scenario
    own: float
    unit: str = "req/s"
    most: float = math.inf
    whole: bool = False

    def at(self, value: float) -> Scenario:
        """Return the scenario with that total mean rate [1/s]."""
        traffic, simulation = self.scenario.traffic, self.scenario.simulation
        stretch = self.own / value
        change: dict[str, object] = {"rate": value}
        if traffic.duration is None and stretch < 1:
            simulation = simulation.model_copy(update={"warmup": simulation.warmup * stretch})
        if traffic.duration is not None and stretch > 1 and self._stationary():
            change["duration"] = traffic.duration * stretch
        traffic = traffic.model_copy(update=change)
        return self.scenario.model_copy(update={"traffic": traffic, "simulation": simulation})

    @property
    def least(self) -> float:
        """The rate of :data:`LEAST_REQUESTS` where a run cannot last longer, else 0 [1/s]."""
        duration = self.scenario.traffic.duration
        if duration is None or self._stationary():
            return 0.0
        return LEAST_REQUESTS / (duration - self.scenario.simulation.warmup)

    def _stationary(self) -> bool:
        fleet = self.scenario.fleet
        kinds = {each.arrivals.kind for each in self.scenario.traffic.request_classes}
        return kinds <= STATIONARY and not (fleet and fleet.events)

    def unloaded(self, saturation: float | None) -> tuple[float, Scenario]:
        """Return a rate at which requests do not meet, and the scenario there.

        Arrivals other than traces are Poisson in it, and the fleet does not change.
        """
        known = saturation is not None and 0 < saturation < math.inf
        rate = UNLOADED * (saturation if known and saturation else self.own)
        traffic = _map_arrivals(self.scenario.traffic, self._plain).model_copy(
            update={"rate": rate, "duration": None, "requests": UNLOADED_REQUESTS}
        )
        return rate, _calm(self.scenario, traffic)

    def _plain(self, arrivals: Arrivals) -> Spec:
        if arrivals.kind == "trace" or isinstance(arrivals, ClosedLoopArrivals):
            return arrivals
        base, duration = self.scenario.base_dir, self.scenario.traffic.duration
        known = arrivals.loaded(base)[0] if arrivals.kind == "profile" else arrivals
        return PoissonArrivals(rate=max(known.mean_rate(duration), 1e-9 * self.own))


@dataclass(frozen=True)
class ClientsKnob:
    """The clients of all closed loops together, shared as the scenario shares them.

    More clients than the scenario has send a number of requests sooner: where that number ends
    the traffic, the warm-up is shorter.
    """

    scenario: Scenario
    own: float
    unit: str = "clients"
    least: float = 1
    whole: bool = True

    @property
    def most(self) -> float:
        """More clients than requests would send nothing."""
        return min(MAX_CLIENTS, self.scenario.traffic.requests or MAX_CLIENTS)

    def at(self, value: float) -> Scenario:
        """Return the scenario with so many clients, at least one in each loop."""

        def with_share(arrivals: Arrivals) -> Spec:
            if not isinstance(arrivals, ClosedLoopArrivals):
                return arrivals
            clients = max(1, round(value * arrivals.clients / self.own))
            return arrivals.model_copy(update={"clients": clients})

        traffic, simulation = self.scenario.traffic, self.scenario.simulation
        if traffic.duration is None and value > self.own:
            warmup = simulation.warmup * self.own / value
            simulation = simulation.model_copy(update={"warmup": warmup})
        change = {"traffic": _map_arrivals(traffic, with_share), "simulation": simulation}
        return self.scenario.model_copy(update=change)

    def unloaded(self, saturation: float | None) -> tuple[float, Scenario]:  # noqa: ARG002 - as its sibling
        """Return the least number of clients, one in each loop, and the scenario there."""
        kinds = [each.arrivals.kind for each in self.scenario.traffic.request_classes]
        least = kinds.count("closed_loop")
        scenario = self.at(0)
        return least, _calm(scenario, scenario.traffic, keep_warmup=True)


def _calm(scenario: Scenario, traffic: Traffic, *, keep_warmup: bool = False) -> Scenario:
    """Return one replication of `scenario` with `traffic` on a fleet that does not change."""
    fleet, simulation = scenario.fleet, scenario.simulation
    if fleet is not None and not isinstance(scenario.service, StagesService):
        calm = {"events": (), "failures": None, "autoscaler": None}
        fleet = fleet.model_copy(update=calm)
    warmup = simulation.warmup if keep_warmup else 0.0
    simulation = simulation.model_copy(update={"warmup": warmup, "replications": 1})
    change = {"traffic": traffic, "fleet": fleet, "simulation": simulation}
    return scenario.model_copy(update=change)


def _map_arrivals(traffic: Traffic, change: Callable[[Arrivals], Spec]) -> Traffic:
    """Return `traffic` with the arrivals of each class replaced by what `change` makes of them."""

    def changed(each: RequestClass) -> RequestClass:
        return each.model_copy(update={"arrivals": change(each.arrivals)})

    if traffic.classes is not None:
        classes = tuple(changed(each) for each in traffic.classes)
        return traffic.model_copy(update={"classes": classes})
    (inline,) = traffic.request_classes
    return traffic.model_copy(update={"arrivals": change(inline.arrivals)})
