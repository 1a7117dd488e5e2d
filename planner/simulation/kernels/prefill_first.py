"""Prefill first, as in vLLM V0 and Orca: whole prompts before any decoding.

While a waiting prompt fits, a step prefills as many waiting prompts as the token budget, the
slots and the cache allow, and decoding stands still; a prompt longer than the budget goes alone.
While it decodes it may look for new requests every so many steps only (SGLang's
``scheduler_recv_interval``). A hundredth of the blocks is kept free at admission (vLLM V0's
watermark), unless nothing runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.simulation.kernels.cache import blocks_needed, make_room, new_blocks
from planner.simulation.kernels.compiled import kernel
from planner.simulation.kernels.queues import admit, next_waiting, receive
from planner.simulation.kernels.steps import (
    UNBOUNDED,
    attended_window,
    decode_alone,
    start_decode,
    start_step,
)

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


@kernel
def advance_prefill_first(p: Plane, e: int, limit: float) -> int:
    """Start a step of lane `e`, or run several that only decode; return how many finished."""
    lane = p.lanes[e]
    receive(p, e)
    if _fits(p, e, 0):
        _prefill(p, e)
        return 0
    if blocks_needed(p, e) <= lane.free_blocks:
        return decode_alone(p, e, limit, _unread_steps(p, e))
    make_room(p, e)
    start_decode(p, e)
    return 0


@kernel
def _unread_steps(p: Plane, e: int) -> int:
    """Return after how many decode steps the scheduler looks; as many as it likes if none waits."""
    lane = p.lanes[e]
    if lane.waiting == lane.received:
        return UNBOUNDED
    return int(p.config[0].recv_interval - lane.unread)


@kernel
def _fits(p: Plane, e: int, tokens: int) -> bool:
    """Return whether the first waiting prompt can join a step with `tokens` prompt tokens."""
    lane = p.lanes[e]
    config = p.config[0]
    if lane.received <= 0 or lane.running == config.max_num_seqs:
        return False
    i = lane.queue_head
    total = p.requests[i].prompt + p.requests[i].generated
    if tokens > 0 and tokens + total > config.max_num_batched_tokens:
        return False
    spare = 0 if lane.running == 0 else config.watermark
    return bool(new_blocks(p, 0, total) + spare <= lane.free_blocks)


@kernel
def _prefill(p: Plane, e: int) -> None:
    """Start a step that prefills waiting prompts whole."""
    lane = p.lanes[e]
    window = p.config[0].window
    tokens = 0
    attended, in_window, context, context_in_window = 0.0, 0.0, 0.0, 0.0
    lane.prefills = 0
    while _fits(p, e, tokens):
        i = next_waiting(p, e)
        total = p.requests[i].prompt + p.requests[i].generated
        p.slots[e, lane.prefills].prefill = admit(p, e, i)
        p.slots[e, lane.prefills].done = 0
        lane.prefills += 1
        lane.free_blocks -= new_blocks(p, 0, total)
        tokens += total
        attended += float(total * (total + 1) // 2)
        in_window += attended_window(0, total, window)
        context += float(total)
        if window > 0:
            context_in_window += float(total)
    lane.decode_step = 0
    lane.unread = 0
    n = lane.prefills
    start_step(p, e, tokens, n, n, attended, in_window, context, context_in_window, 0.0)
