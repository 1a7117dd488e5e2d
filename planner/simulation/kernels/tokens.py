"""Tokens coming out of a step: gaps between them, first tokens, last tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from planner.results.records import FINISHED, ITL_BINS, ITL_MIN, ITL_RATIO, REJECTED
from planner.simulation.kernels.cache import held_blocks, start_decoding, stop_decoding
from planner.simulation.kernels.compiled import kernel
from planner.simulation.kernels.heaps import pop, push
from planner.simulation.kernels.queues import close_account, vacate
from planner.simulation.layout import DRAINING, NONE, STATIC

if TYPE_CHECKING:
    from planner.simulation.layout import Plane

_LOG_RATIO = math.log(ITL_RATIO)


@kernel
def find_gap_bin(p: Plane, e: int, gap: float) -> int:
    """Return the histogram bin of `gap` and remember its bounds in the lane."""
    lane = p.lanes[e]
    k = 0
    if gap > ITL_MIN:
        k = min(int(math.log(gap / ITL_MIN) / _LOG_RATIO), ITL_BINS - 1)
    lane.gap_bin = k
    lane.gap_low = ITL_MIN * ITL_RATIO**k
    lane.gap_high = lane.gap_low * ITL_RATIO
    return k


@kernel
def count_gap(p: Plane, e: int, gap: float, klass: int) -> None:
    """Count one gap between two tokens that ends now."""
    lane = p.lanes[e]
    while lane.now >= p.block_edges[lane.block + 1]:
        lane.block += 1
    k = lane.gap_bin if lane.gap_low <= gap < lane.gap_high else find_gap_bin(p, e, gap)
    p.itl[lane.block, klass, k] += 1


@kernel
def count_gaps(p: Plane, e: int, gap: float) -> None:
    """Count one gap for every decoding sequence of lane `e`, by class."""
    lane = p.lanes[e]
    while lane.now >= p.block_edges[lane.block + 1]:
        lane.block += 1
    k = lane.gap_bin if lane.gap_low <= gap < lane.gap_high else find_gap_bin(p, e, gap)
    for klass in range(p.config[0].classes):
        p.itl[lane.block, klass, k] += p.decoding_of[e, klass]


@kernel
def count_stalled_gaps(p: Plane, e: int) -> None:
    """Count the gaps after prefill-only steps, which differ by sequence."""
    lane = p.lanes[e]
    k = lane.oldest
    while k != NONE:
        gap = lane.now - max(p.slots[e, k].last, lane.last_decode)
        count_gap(p, e, gap, p.requests[p.slots[e, k].request].klass)
        k = p.slots[e, k].behind


@kernel
def finish(p: Plane, e: int, k: int) -> None:
    """Slot `k`, whose cache is already free, has its last token: close its record."""
    i = p.slots[e, k].request
    close_account(p, e, k)
    vacate(p, e, k)
    finish_request(p, i, p.lanes[e].now)
    replica = p.replicas[p.lanes[e].replica]
    replica.outstanding -= 1
    if replica.state == DRAINING and replica.outstanding == 0:
        replica.drained_at = p.lanes[e].now


@kernel
def finish_request(p: Plane, i: int, now: float) -> None:
    """Close the record of request `i`; its client, if it has one, thinks about the next."""
    fleet = p.fleet[0]
    if p.requests[i].status == REJECTED:
        fleet.rejected += 1
    else:
        p.requests[i].status = FINISHED
        p.requests[i].finished = now
        fleet.finished += 1
    loop = p.requests[i].loop
    if loop == NONE or p.loops[loop].next == p.loops[loop].stop:
        return
    j = p.loops[loop].next
    arrival = now + p.requests[j].think
    if arrival < p.config[0].issue_before:
        p.loops[loop].next += 1
        p.requests[j].arrival = arrival
        p.requests[j].session = p.requests[i].session
        fleet.late = push(p.late, 0, fleet.late, p.requests[j].arrival, j)


@kernel
def finish_due(p: Plane, e: int) -> int:
    """Finish the sequences whose last token came with the decode step just ended; count them."""
    lane = p.lanes[e]
    count = 0
    while lane.finishes > 0 and p.finishes[e, 0].key <= lane.step:
        i = p.finishes[e, 0].value
        lane.finishes = pop(p.finishes, e, lane.finishes)
        k = p.requests[i].slot
        if p.config[0].scheduler == STATIC:
            lane.decoding -= 1
            p.decoding_of[e, p.requests[i].klass] -= 1
        else:
            stop_decoding(p, e, k)
        finish(p, e, k)
        count += 1
    return count


@kernel
def first_token(p: Plane, e: int, k: int) -> bool:
    """Account for the token that the prefill of slot `k` ended with; return whether it is the last.

    A sequence that was preempted goes on where it was: the token follows those it had.
    """
    lane = p.lanes[e]
    i = p.slots[e, k].request
    if p.requests[i].generated == 0:
        p.requests[i].first = lane.now
        slot = p.slots[e, k]
        request = p.requests[i]
        request.first_compute = request.compute + (lane.compute - slot.compute)
        request.first_storage = request.storage + (lane.storage - slot.storage)
        request.first_transfer = request.transfer + (lane.transfer - slot.transfer)
        request.first_overhead = request.overhead + (lane.overhead - slot.overhead)
    else:
        count_gap(p, e, lane.now - p.requests[i].last_token, p.requests[i].klass)
    return bool(p.requests[i].output - p.requests[i].generated == 1)


@kernel
def end_prefill(p: Plane, e: int, k: int, cached: int) -> int:
    """End the prefill of slot `k` with `cached` tokens cached; return how many finished (0, 1).

    In a static batch the cache belongs to the batch, not to the sequence.
    """
    lane = p.lanes[e]
    i = p.slots[e, k].request
    steps = p.requests[i].output - p.requests[i].generated - 1
    last = first_token(p, e, k)
    static = p.config[0].scheduler == STATIC
    if last:
        if not static:
            lane.free_blocks += held_blocks(p, cached)
        finish(p, e, k)
        return 1
    if static:
        lane.finishes = push(p.finishes, e, lane.finishes, float(lane.step + steps), i)
        lane.decoding += 1
        p.decoding_of[e, p.requests[i].klass] += 1
    else:
        start_decoding(p, e, k, cached, steps)
    return 0
