"""Chunked prefill as in vLLM V1: running sequences first, then waiting ones, one token budget.

Every decoding sequence gets one token; what is left of ``max_num_batched_tokens`` goes to the
sequence amid its prefill, then to waiting ones while slots and blocks last. Blocks are allocated
for what a step needs, no earlier; but with ``scheduler_reserve_full_isl`` a waiting request is
admitted only if all its tokens would fit, or in windows those seen. Nothing is admitted in a step
that preempted.

Since a prefill stops only where the budget ends, at most one sequence is amid its prefill, and
it is the youngest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.simulation.kernels.cache import (
    blocks_needed,
    make_room,
    most_blocks,
    new_blocks,
    preempt,
)
from planner.simulation.kernels.compiled import kernel
from planner.simulation.kernels.queues import admit, next_waiting
from planner.simulation.kernels.steps import (
    UNBOUNDED,
    attended_window,
    decode_alone,
    start_step,
)
from planner.simulation.layout import NONE

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


@kernel
def advance_chunked(p: Plane, e: int, limit: float) -> int:
    """Start a step of lane `e`, or run several that only decode; return how many finished."""
    lane = p.lanes[e]
    needed = blocks_needed(p, e)
    preempted = False
    if needed <= lane.free_blocks:
        if lane.partial == NONE and lane.decoding > 0 and not _can_admit(p, e, needed):
            return decode_alone(p, e, limit, UNBOUNDED)
        lane.free_blocks -= needed
    else:
        preempted = make_room(p, e)
    _form_batch(p, e, preempted)
    return 0


@kernel
def _can_join(p: Plane, e: int) -> bool:
    """Return whether a request waits and a slot is free."""
    lane = p.lanes[e]
    return bool(lane.waiting > 0 and lane.running < p.config[0].max_num_seqs)


@kernel
def _can_admit(p: Plane, e: int, needed: int) -> bool:
    """Return whether the first waiting request could join the next step."""
    lane = p.lanes[e]
    config = p.config[0]
    budget = config.max_num_batched_tokens - lane.decoding
    if budget <= 0 or not _can_join(p, e):
        return False
    i = lane.queue_head
    tokens = p.requests[i].prompt + p.requests[i].generated
    first = new_blocks(p, 0, min(tokens, budget))
    blocks = most_blocks(p, tokens) if config.reserve_full == 1 else first
    return bool(blocks <= lane.free_blocks - needed)


@kernel
def _form_batch(p: Plane, e: int, preempted: bool) -> None:
    """Add prefill chunks to the decoding sequences, whose blocks are allocated, and start."""
    lane = p.lanes[e]
    config = p.config[0]
    n = lane.decoding
    budget = config.max_num_batched_tokens - n
    sequences, samples = n, n
    attended = float(lane.context + n)
    in_window = float(lane.context_window + lane.growing)
    context, context_in_window = attended, in_window
    decoding = context
    lane.prefills = 0
    while budget > 0:
        k = lane.partial
        if k != NONE and lane.prefills == 0:
            done = lane.partial_done
        elif k == NONE and not preempted and _can_join(p, e):
            done = 0
        else:
            break
        i = p.slots[e, k].request if k != NONE else lane.queue_head
        total = p.requests[i].prompt + p.requests[i].generated
        chunk = min(total - done, budget)
        if k == NONE and config.reserve_full == 1 and most_blocks(p, total) > lane.free_blocks:
            break
        blocks = new_blocks(p, done, chunk)
        if blocks > lane.free_blocks:
            if k == NONE:
                break
            preempt(p, e, k)  # it is the youngest
            preempted = True
            continue
        if k == NONE:
            k = admit(p, e, next_waiting(p, e))
        lane.free_blocks -= blocks
        lane.partial = k if done + chunk < total else NONE
        lane.partial_done = done + chunk
        p.slots[e, lane.prefills].prefill = k
        p.slots[e, lane.prefills].done = done
        lane.prefills += 1
        budget -= chunk
        sequences += 1
        samples += lane.partial == NONE
        attended += float(chunk * done) + float(chunk * (chunk + 1) // 2)
        in_window += attended_window(done, chunk, config.window)
        context += float(done + chunk)
        if config.window > 0:
            context_in_window += float(min(done, config.window - 1) + chunk)
    lane.decode_step = 1 if n > 0 else 0
    tokens = config.max_num_batched_tokens - budget
    start_step(
        p,
        e,
        tokens,
        sequences,
        samples,
        attended,
        in_window,
        context,
        context_in_window,
        decoding,
    )
