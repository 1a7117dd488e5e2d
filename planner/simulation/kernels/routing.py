"""Routers: which replica takes a request; and what happens to it on the way.

Random choices hash the request's row and attempt with the seed, so that they depend on nothing
else that was drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import REJECTED
from planner.simulation.kernels.compiled import kernel
from planner.simulation.kernels.queues import wait_last
from planner.simulation.kernels.tokens import finish_request
from planner.simulation.layout import (
    LEAST_KV,
    LEAST_OUTSTANDING,
    NONE,
    POWER_OF_TWO,
    RANDOM,
    ROUND_ROBIN,
    STATIC,
)

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


@kernel
def mix(a: int, b: int, c: int) -> int:
    """Return 63 well-mixed bits of three integers.

    The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014, doi:10.1145/2660193.2660195)
    after each of them.
    """
    z = np.uint64(0)
    for value in (a, b, c):
        z = (z ^ np.uint64(value)) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return int(z >> np.uint64(1))


@kernel
def kv_in_use(p: Plane, replica: int) -> int:
    """Return the KV blocks that the lanes of `replica` use."""
    config = p.config[0]
    lanes = config.lanes_per_replica
    used = 0
    for e in range(replica * lanes, (replica + 1) * lanes):
        used += config.blocks - p.lanes[e].free_blocks
    return int(used)


@kernel
def choose(p: Plane, i: int) -> int:
    """Return the replica that takes request `i`, or NONE while no replica is up."""
    fleet = p.fleet[0]
    config = p.config[0]
    n = fleet.up
    if n <= 1:
        return int(p.replicas[0].up) if n == 1 else NONE
    router = config.router
    if router == ROUND_ROBIN:
        fleet.turn += 1
        return int(p.replicas[(fleet.turn - 1) % n].up)
    draw = mix(config.seed, i, 2 * p.requests[i].retries)
    if router == RANDOM:
        return int(p.replicas[draw % n].up)
    if router == POWER_OF_TWO:
        a = draw % n
        b = (a + 1 + mix(config.seed, i, 2 * p.requests[i].retries + 1) % (n - 1)) % n
        first, second = p.replicas[a].up, p.replicas[b].up
        fewer = p.replicas[second].outstanding < p.replicas[first].outstanding
        return int(second) if fewer else int(first)
    return _best(p, i)


@kernel
def _best(p: Plane, i: int) -> int:
    """Return the replica with the least load, or the one a session belongs to; ties: the first.

    Sessions belong to the replica whose hash with them is highest (rendezvous hashing, Thaler and
    Ravishankar 1998, doi:10.1109/90.663936), so that one that leaves moves only its own.
    """
    router = p.config[0].router
    best, best_a, best_b = NONE, 0, 0
    for n in range(p.fleet[0].up):
        r = p.replicas[n].up
        outstanding = p.replicas[r].outstanding
        if router == LEAST_OUTSTANDING:
            a, b = outstanding, 0
        elif router == LEAST_KV:
            a, b = kv_in_use(p, r), outstanding
        else:
            a, b = -mix(p.config[0].seed, p.requests[i].session, r), 0
        if best == NONE or a < best_a or (a == best_a and b < best_b):
            best, best_a, best_b = r, a, b
    return int(best)


@kernel
def lane_of(p: Plane, replica: int) -> int:
    """Return the lane of `replica` with the fewest requests; ties: the first."""
    lanes = p.config[0].lanes_per_replica
    best = replica * lanes
    for e in range(best + 1, best + lanes):
        a, b = p.lanes[e], p.lanes[best]
        if a.waiting + a.running < b.waiting + b.running:
            best = e
    return int(best)


@kernel
def hold(p: Plane, i: int) -> None:
    """Keep request `i` until a replica comes up."""
    fleet = p.fleet[0]
    p.requests[i].after = NONE
    if fleet.held == 0:
        fleet.held_head = i
    else:
        p.requests[fleet.held_tail].after = i
    fleet.held_tail = i
    fleet.held += 1


@kernel
def enqueue(p: Plane, replica: int, i: int, now: float) -> None:
    """Put request `i` into the queue of a lane of `replica`."""
    e = lane_of(p, replica)
    lane = p.lanes[e]
    p.requests[i].queued = now
    p.requests[i].lane = e
    p.replicas[replica].outstanding += 1
    wait_last(p, e, i)
    if lane.stepping == 0:
        lane.now = now
        lane.next_event = now if p.config[0].scheduler != STATIC else -np.inf


@kernel
def accept(p: Plane, i: int, replica: int, now: float) -> None:
    """Take in request `i`, which arrives now at the router, for `replica` (or NONE)."""
    if p.requests[i].status == REJECTED:
        finish_request(p, i, now)
    elif replica == NONE:
        hold(p, i)
    else:
        enqueue(p, replica, i, now)
