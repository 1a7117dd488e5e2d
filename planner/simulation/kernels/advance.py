"""The clock of the data plane: arrivals and lanes in order of time, up to a horizon.

Order at one instant: steps that end, then arrivals, then steps that start. A lane therefore runs
freely up to the next arrival that may reach it; only closed loops, where a finished request
makes an arrival, force the lanes to keep pace with each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import REJECTED
from planner.simulation.kernels.chunked import advance_chunked
from planner.simulation.kernels.compiled import entry, kernel
from planner.simulation.kernels.heaps import pop
from planner.simulation.kernels.prefill_first import advance_prefill_first
from planner.simulation.kernels.routing import accept, choose
from planner.simulation.kernels.static_batch import advance_static, static_ready
from planner.simulation.kernels.steps import end_step
from planner.simulation.layout import (
    CHUNKED,
    LEAST_KV,
    LEAST_OUTSTANDING,
    NONE,
    POWER_OF_TWO,
    PREFILL_FIRST,
    STATIC,
)

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


@kernel
def _ready(p: Plane, e: int) -> float:
    """Return when lane `e`, at rest, can start a step; inf if it has nothing to do."""
    lane = p.lanes[e]
    if p.config[0].scheduler == STATIC:
        return float(static_ready(p, e))
    return float(lane.now) if lane.running > 0 or lane.waiting > 0 else np.inf


@kernel
def _start(p: Plane, e: int, limit: float) -> int:
    """Start the next step, or several, of lane `e`; return how many requests finished."""
    scheduler = p.config[0].scheduler
    if scheduler == CHUNKED:
        return int(advance_chunked(p, e, limit))
    if scheduler == PREFILL_FIRST:
        return int(advance_prefill_first(p, e, limit))
    return int(advance_static(p, e))


@kernel
def advance_lane(p: Plane, e: int, limit: float, until_finish: bool) -> None:
    """End the steps of lane `e` that end by `limit` and start those that start before it.

    With `until_finish`, stop at the first finished request.
    """
    lane = p.lanes[e]
    while True:
        finished = 0
        if lane.stepping == 1:
            if lane.step_end > limit:
                lane.next_event = lane.step_end
                return
            finished = end_step(p, e)
        ready = _ready(p, e)
        if ready >= limit or (until_finish and finished > 0):
            lane.next_event = ready
            return
        lane.now = ready
        finished = _start(p, e, limit)
        if until_finish and finished > 0 and lane.stepping == 0:
            lane.next_event = _ready(p, e)
            return


@kernel
def _next_arrival(p: Plane) -> float:
    """Return the time of the next arrival known, inf if there is none."""
    fleet = p.fleet[0]
    time = np.inf
    if fleet.next_open < fleet.open_stop:
        time = p.requests[fleet.next_open].arrival
    if fleet.late > 0:
        time = min(time, p.late[0, 0].key)
    return float(time)


@kernel
def _take_arrival(p: Plane) -> int:
    """Remove the next arrival and return its row; at one instant open-loop rows come first."""
    fleet = p.fleet[0]
    i = fleet.next_open
    if fleet.late > 0 and (i == fleet.open_stop or p.late[0, 0].key < p.requests[i].arrival):
        i = p.late[0, 0].value
        fleet.late = pop(p.late, 0, fleet.late)
    else:
        fleet.next_open += 1
    return int(i)


@kernel
def _catch_up(p: Plane, limit: float) -> None:
    """Advance every lane that has an event by `limit`."""
    for e in range(len(p.lanes)):
        if p.lanes[e].next_event <= limit:
            advance_lane(p, e, limit, False)


@kernel
def _advance_one(p: Plane, limit: float) -> bool:
    """Advance the lane with the earliest event, if it is due by `limit`; return whether it was.

    It may go on until just before the next event of another lane, or until a request finishes,
    whichever is first: only those can make an arrival. At one instant steps end first, in the
    order of the lanes; those that start at `limit` are for later.
    """
    earliest, other, lane, stepping = np.inf, np.inf, NONE, 0
    for e in range(len(p.lanes)):
        event = p.lanes[e].next_event
        if event < earliest or (event == earliest and p.lanes[e].stepping > stepping):
            earliest, other, lane, stepping = event, earliest, e, p.lanes[e].stepping
        elif event < other:
            other = event
    if lane == NONE or earliest > limit or (earliest == limit and stepping == 0):
        return False
    least = earliest if stepping == 1 else np.nextafter(earliest, np.inf)
    advance_lane(p, lane, min(limit, max(np.nextafter(other, -np.inf), least)), True)
    return True


@entry
def advance(p: Plane, until: float) -> None:
    """Advance the whole data plane to `until`: what ends or arrives by then has happened."""
    fleet = p.fleet[0]
    router = p.config[0].router
    by_state = router in (LEAST_OUTSTANDING, LEAST_KV, POWER_OF_TWO)
    loops = p.config[0].closed_loops > 0
    while True:
        arrival = _next_arrival(p)
        if loops and _advance_one(p, min(arrival, until)):
            continue
        if arrival > until or arrival == np.inf:
            break
        if by_state and not loops:
            _catch_up(p, arrival)
        i = _take_arrival(p)
        fleet.arrived += p.requests[i].retries == 0
        replica = choose(p, i) if p.requests[i].status != REJECTED else NONE
        if replica != NONE and not by_state and not loops:
            lanes = p.config[0].lanes_per_replica
            for e in range(replica * lanes, (replica + 1) * lanes):
                if p.lanes[e].next_event <= arrival:
                    advance_lane(p, e, arrival, False)
        accept(p, i, replica, arrival)
    if not loops:
        _catch_up(p, until)
