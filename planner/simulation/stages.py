"""Stages as a network of queues, in SimPy.

Each of compute, storage and transfer of a stage is a station with one FCFS queue, ``split`` with
one server and ``pool`` with P; a request passes all of them one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from simpy import Environment

from planner.latency.stages import STATIONS
from planner.results.records import PARTS
from planner.simulation.stations import Clients, Delay, Station

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from simpy import Event

    from planner.latency.stages import Stage
    from planner.traffic.requests import ClosedLoop

FloatArray = npt.NDArray[np.float64]

_DELAY = -1  # what a delay has in place of a part and a column


@dataclass(frozen=True)
class StageTimes:
    """What happened to n requests in a tandem of k stations.

    Parameters
    ----------
    arrival_s : array, shape (n,)
        Arrival; +inf or NaN where a request never came. [s]
    admitted_s, departure_s : array, shape (n,)
        Start of the first service, and end of the last overhead; NaN where it did not happen
        before the horizon. Without stations a request is admitted when it arrives. [s]
    parts : array, shape (n, 5)
        :data:`~planner.results.records.PARTS` of ``departure_s - arrival_s``, which each row
        adds up to; NaN where a request did not depart. [s]
    stations : tuple of str, length k
        ``<stage>/<part>`` of each station.
    servers : array, shape (k,)
        How many requests each serves at a time.
    start_s, service_s : array, shape (n, k)
        Start of each service, NaN where there was none, and its length. [s]
    """

    arrival_s: FloatArray
    admitted_s: FloatArray
    departure_s: FloatArray
    parts: FloatArray
    stations: tuple[str, ...]
    servers: npt.NDArray[np.int64]
    start_s: FloatArray
    service_s: FloatArray

    def busy_s(self, from_s: float, to_s: float) -> FloatArray:
        """Return the server time spent between two moments at each station, shape ``(k,)`` [s].

        Divided by ``servers * (to_s - from_s)`` it is the station's utilisation.
        """
        begin = np.maximum(self.start_s, from_s)
        end = np.minimum(self.start_s + self.service_s, to_s)
        busy: FloatArray = np.nansum(np.maximum(end - begin, 0.0), axis=0)
        return busy


def run_stages(
    stages: Sequence[Stage],
    arrival_s: FloatArray,
    rng: np.random.Generator,
    *,
    closed: Sequence[ClosedLoop] = (),
    think_s: FloatArray | None = None,
    until: float | None = None,
) -> StageTimes:
    """Send requests through all stages, one after the other.

    Every stage draws its service times from a child of `rng` of its own, row by row and whether
    needed or not: requests keep their numbers when rows or stages follow or times change.

    Parameters
    ----------
    stages : sequence of Stage
        At least one.
    arrival_s : array, shape (n,)
        Arrivals >= 0 in any order; equal ones are served in row order. NaN or +inf never arrives,
        unless a closed loop issues it. [s]
    rng : Generator
        Where service times are drawn from.
    closed : sequence of ClosedLoop
        Rows whose arrival follows a departure.
    think_s : array, shape (n,), optional
        Pause before each request of a closed loop; 0 if not given. [s]
    until : float, optional
        Horizon: what happens later is not seen. Without it all requests depart. [s]

    Raises
    ------
    ValueError
        If there is no stage, an arrival is negative or the horizon is not > 0.
    """
    arrival_s = np.array(arrival_s, dtype=np.float64)
    if not stages:
        raise ValueError("stages must have at least one member")
    if np.any(arrival_s < 0):
        raise ValueError(f"arrival_s must be >= 0, got {np.nanmin(arrival_s)}")
    if until is not None and not until > 0:
        raise ValueError(f"until must be > 0, got {until}")
    services = _services(stages, len(arrival_s), rng)
    think = think_s if think_s is not None else np.zeros(len(arrival_s))
    route = _route(stages)
    start_s = _simulate(route, services, arrival_s, closed, think, until)
    return _collect(route, services, arrival_s, start_s, until)


def _services(stages: Sequence[Stage], n: int, rng: np.random.Generator) -> FloatArray:
    """Draw the service times of `n` requests, shape ``(n, 3 stages)`` [s]."""
    return np.hstack(
        [
            stage.variability.factors(n, child) * np.array(stage.station_times())
            for stage, child in zip(stages, rng.spawn(len(stages)), strict=True)
        ]
    )


@dataclass(frozen=True)
class _Stop:
    """A station on the way through the stages, or the delay of a stage's overhead."""

    name: str
    part: int  # index into STATIONS; _DELAY if it is a delay
    column: int  # of the service times
    servers: int
    delay_s: float


def _route(stages: Sequence[Stage]) -> list[_Stop]:
    """Return the stops of a request in order, those that take no time left out."""
    route: list[_Stop] = []
    for index, stage in enumerate(stages):
        for part, name in enumerate(STATIONS):
            if stage.station_times()[part] > 0:
                column = len(STATIONS) * index + part
                servers = stage.servers()[part]
                route.append(_Stop(f"{stage.name}/{name}", part, column, servers, 0.0))
        if stage.overhead > 0:
            route.append(_Stop(stage.name, _DELAY, _DELAY, 0, stage.overhead))
    return route


def _simulate(  # noqa: PLR0917 - the arguments of run_stages
    route: Sequence[_Stop],
    services: FloatArray,
    arrival_s: FloatArray,
    closed: Sequence[ClosedLoop],
    think_s: FloatArray,
    until: float | None,
) -> FloatArray:
    """Run the clock; return the starts of service, shape ``(n, k)``; fill in closed arrivals."""
    env = Environment()
    stops = [
        Delay(env, stop.delay_s)
        if stop.part == _DELAY
        else Station(env, stop.servers, services[:, stop.column].tolist())
        for stop in route
    ]
    for stop, following in pairwise(stops):
        stop.leave = following.join
    stops[-1].leave = Clients(env, closed, think_s.tolist(), arrival_s, stops[0].join).departed
    env.process(_arrivals(env, arrival_s, stops[0].join))
    env.run(until)
    starts = [stop.start_s for stop in stops if isinstance(stop, Station)]
    return np.array(starts).reshape(len(starts), len(arrival_s)).T


def _arrivals(
    env: Environment, arrival_s: FloatArray, enter: Callable[[int], None]
) -> Generator[Event, None, None]:
    """Let the requests enter that have a time, ties in row order."""
    order = np.argsort(arrival_s, kind="stable")
    order = order[np.isfinite(arrival_s[order])]
    for row, time in zip(order.tolist(), arrival_s[order].tolist(), strict=True):
        if time > env.now:
            yield env.timeout(time - env.now)
        enter(row)


def _collect(
    route: Sequence[_Stop],
    services: FloatArray,
    arrival_s: FloatArray,
    start_s: FloatArray,
    until: float | None,
) -> StageTimes:
    """Return the times of all requests from the starts of their services."""
    horizon = np.inf if until is None else until
    came = np.where(arrival_s <= horizon, arrival_s, np.nan)
    came[np.isinf(came)] = np.nan
    parts = np.zeros((len(arrival_s), len(PARTS)))
    admitted_s, ended_s, k = came, came, 0
    for stop in route:
        if stop.part == _DELAY:
            ended_s = ended_s + stop.delay_s
            parts[:, PARTS.index("overhead")] += stop.delay_s
        else:
            admitted_s = start_s[:, 0]
            ended_s = start_s[:, k] + services[:, stop.column]
            parts[:, PARTS.index(STATIONS[stop.part])] += services[:, stop.column]
            k += 1
    departure_s = np.where(ended_s <= horizon, ended_s, np.nan)
    wait_s = departure_s - came - parts.sum(axis=1)
    parts[:, PARTS.index("wait")] = np.maximum(wait_s, 0.0)  # the clock rounds
    parts[np.isnan(departure_s)] = np.nan
    stations = [stop for stop in route if stop.part != _DELAY]
    return StageTimes(
        arrival_s=arrival_s,
        admitted_s=admitted_s,
        departure_s=departure_s,
        parts=parts,
        stations=tuple(stop.name for stop in stations),
        servers=np.array([stop.servers for stop in stations], dtype=np.int64),
        start_s=start_s,
        service_s=services[:, [stop.column for stop in stations]],
    )
