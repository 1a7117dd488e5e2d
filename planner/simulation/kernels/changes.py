"""Changes to the fleet between two advances: a replica is lost, held requests find a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import WAITING
from planner.simulation.kernels.compiled import entry, kernel
from planner.simulation.kernels.heaps import push
from planner.simulation.kernels.routing import accept, choose
from planner.simulation.layout import NONE

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


@kernel
def _retry(p: Plane, i: int, at: float) -> None:
    """Forget what request `i` had got and let it arrive again at `at`."""
    request = p.requests[i]
    request.admitted = request.first = request.last_token = np.nan
    request.first_compute = request.first_storage = np.nan
    request.first_transfer = request.first_overhead = np.nan
    request.compute = request.storage = request.transfer = request.overhead = 0.0
    request.generated = 0
    request.status = WAITING
    request.slot = request.lane = NONE
    request.retries += 1
    p.fleet[0].late = push(p.late, 0, p.fleet[0].late, at, i)


@kernel
def _break_off(p: Plane, e: int, now: float) -> None:
    """Add what has passed of the step under way in lane `e` to the totals; it does not end."""
    lane = p.lanes[e]
    passed = now - lane.step_start
    if lane.stepping == 0 or not passed > 0.0:
        return
    share = passed / (lane.step_end - lane.step_start)
    lane.compute += share * lane.step_compute
    lane.storage += share * lane.step_storage
    lane.transfer += share * lane.step_transfer
    lane.overhead += share * lane.step_overhead
    lane.busy += passed
    lane.block_seconds += passed * (p.config[0].blocks - lane.free_blocks)


@kernel
def _lose_lane(p: Plane, e: int, now: float, at: float) -> None:
    """Lose the batch, the queue and the cache of lane `e`."""
    lane = p.lanes[e]
    _break_off(p, e, now)
    k = lane.oldest
    while k != NONE:
        behind = p.slots[e, k].behind
        _retry(p, p.slots[e, k].request, at)
        k = behind
    i = lane.queue_head
    for _ in range(lane.waiting):
        after = p.requests[i].after
        _retry(p, i, at)
        i = after
    for k in range(p.config[0].max_num_seqs):
        p.slots[e, k].request = NONE
        p.slots[e, k].free = p.config[0].max_num_seqs - 1 - k
    p.phase[e, :, :] = 0
    p.crossing[e, :] = 0
    p.decoding_of[e, :] = 0
    lane.running = lane.decoding = lane.waiting = lane.finishes = 0
    lane.received = lane.unread = 0
    lane.partial = lane.oldest = lane.youngest = NONE
    lane.free_slots = p.config[0].max_num_seqs
    lane.free_blocks = p.config[0].blocks
    lane.context = lane.context_window = lane.growing = 0
    lane.stepping = lane.prefills = lane.stalled = lane.padded = 0
    lane.next_event = np.inf


@entry
def lose(p: Plane, replica: int, now: float, at: float) -> None:
    """Lose all requests of `replica`, which fails now; they arrive again at `at`."""
    lanes = p.config[0].lanes_per_replica
    for e in range(replica * lanes, (replica + 1) * lanes):
        _lose_lane(p, e, now, at)
    p.replicas[replica].outstanding = 0


@entry
def release_held(p: Plane, now: float) -> None:
    """Route the requests that were held while no replica was up, oldest first."""
    fleet = p.fleet[0]
    for _ in range(fleet.held):
        i = fleet.held_head
        fleet.held_head = p.requests[i].after
        fleet.held -= 1
        accept(p, i, choose(p, i), now)
