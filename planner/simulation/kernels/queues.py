"""Waiting requests of a lane (first in, first out) and its running list (oldest first)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.results.records import RUNNING
from planner.simulation.kernels.compiled import kernel
from planner.simulation.layout import NONE

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


@kernel
def wait_last(p: Plane, e: int, i: int) -> None:
    """Put request `i` at the end of the queue of lane `e`."""
    lane = p.lanes[e]
    p.requests[i].after = NONE
    if lane.waiting == 0:
        lane.queue_head = i
    else:
        p.requests[lane.queue_tail].after = i
    lane.queue_tail = i
    lane.waiting += 1


@kernel
def wait_first(p: Plane, e: int, i: int) -> None:
    """Put request `i`, just preempted, at the head of the queue of lane `e`."""
    lane = p.lanes[e]
    if lane.waiting == 0:
        lane.queue_tail = i
    p.requests[i].after = lane.queue_head if lane.waiting > 0 else NONE
    lane.queue_head = i
    lane.waiting += 1
    lane.received += 1  # the scheduler knows it


@kernel
def next_waiting(p: Plane, e: int) -> int:
    """Take the head of the queue of lane `e`, which must not be empty."""
    lane = p.lanes[e]
    i = lane.queue_head
    lane.queue_head = p.requests[i].after
    lane.waiting -= 1
    lane.received -= 1
    return int(i)


@kernel
def receive(p: Plane, e: int) -> None:
    """Let the scheduler of lane `e` know what waits, if it looks before the step that starts now.

    It looks where nothing runs, after a step that prefilled, and after every ``recv_interval``
    steps that only decoded.
    """
    lane = p.lanes[e]
    lane.unread %= p.config[0].recv_interval
    if lane.unread == 0 or lane.running == 0:
        lane.unread = 0
        lane.received = lane.waiting


@kernel
def admit(p: Plane, e: int, i: int) -> int:
    """Give request `i` a slot, the youngest, and start its account of parts; return the slot."""
    lane = p.lanes[e]
    lane.free_slots -= 1
    k = p.slots[e, lane.free_slots].free
    p.slots[e, k].request = i
    p.requests[i].slot = k
    p.requests[i].status = RUNNING
    p.slots[e, k].before = lane.youngest
    p.slots[e, k].behind = NONE
    if lane.youngest == NONE:
        lane.oldest = k
    else:
        p.slots[e, lane.youngest].behind = k
    lane.youngest = k
    lane.running += 1
    if not p.requests[i].admitted >= 0.0:
        p.requests[i].admitted = lane.now
    slot = p.slots[e, k]
    slot.compute = lane.compute
    slot.storage = lane.storage
    slot.transfer = lane.transfer
    slot.overhead = lane.overhead
    return int(k)


@kernel
def close_account(p: Plane, e: int, k: int) -> None:
    """Add to the request in slot `k` the parts of the time since its admission."""
    lane = p.lanes[e]
    slot = p.slots[e, k]
    request = p.requests[slot.request]
    request.compute += lane.compute - slot.compute
    request.storage += lane.storage - slot.storage
    request.transfer += lane.transfer - slot.transfer
    request.overhead += lane.overhead - slot.overhead


@kernel
def vacate(p: Plane, e: int, k: int) -> None:
    """Free slot `k` and take it out of the running list; the KV cache is the caller's."""
    lane = p.lanes[e]
    before, behind = p.slots[e, k].before, p.slots[e, k].behind
    if before == NONE:
        lane.oldest = behind
    else:
        p.slots[e, before].behind = behind
    if behind == NONE:
        lane.youngest = before
    else:
        p.slots[e, behind].before = before
    p.requests[p.slots[e, k].request].slot = NONE
    p.slots[e, k].request = NONE
    p.slots[e, lane.free_slots].free = k
    lane.free_slots += 1
    lane.running -= 1
