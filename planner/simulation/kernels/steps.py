"""A step: how long it takes once its batch is formed, and what its end brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.simulation.kernels.cache import given_back, grow_windows
from planner.simulation.kernels.compiled import kernel, step_parts
from planner.simulation.kernels.tokens import (
    count_gaps,
    count_stalled_gaps,
    end_prefill,
    find_gap_bin,
    finish_due,
)
from planner.simulation.layout import PREFILL_FIRST

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


#: More steps than any request has.
UNBOUNDED = 2**62


@kernel
def attended_window(done: int, chunk: int, window: int) -> float:
    """Return the sum over tokens ``done + 1 .. done + chunk`` of ``min(position, window)``."""
    if window == 0:
        return 0.0
    inside = min(max(window - done, 0), chunk)
    return float(inside * done + inside * (inside + 1) // 2 + (chunk - inside) * window)


@kernel
def start_step(  # noqa: PLR0917 - a kernel, called with positions
    p: Plane,
    e: int,
    tokens: int,
    sequences: int,
    samples: int,
    attended: float,
    attended_in_window: float,
    context: float,
    context_in_window: float,
    context_decode: float,
) -> None:
    """Start a step with the batch described (arguments of ``step_parts``) at ``lane.now``."""
    lane = p.lanes[e]
    compute, storage, transfer, overhead = step_parts(
        p.coefficients[0],
        float(tokens),
        float(sequences),
        float(samples),
        attended,
        attended_in_window,
        context,
        context_in_window,
        context_decode,
    )
    lane.step_compute, lane.step_storage = compute, storage
    lane.step_transfer, lane.step_overhead = transfer, overhead
    lane.step_start = lane.now
    lane.step_end = lane.now + (compute + storage + transfer + overhead)
    lane.stepping = 1


@kernel
def end_step(p: Plane, e: int) -> int:
    """End the step under way in lane `e`; return how many requests finished."""
    lane = p.lanes[e]
    _account(p, e)
    finished = 0
    if lane.decode_step == 1:
        _end_decode(p, e)
        finished = finish_due(p, e)
    if lane.prefills > 0:
        finished += _end_prefills(p, e)
        if p.config[0].scheduler == PREFILL_FIRST:
            lane.stalled = 1
    if lane.padded > 0 and lane.decoding == 0:  # the static batch is over
        lane.padded = 0
        lane.free_blocks = p.config[0].blocks
    return finished


@kernel
def _account(p: Plane, e: int) -> None:
    """Move the clock to the step's end and add its parts to the lane's totals."""
    lane = p.lanes[e]
    duration = lane.step_end - lane.step_start
    lane.now = lane.step_end
    lane.stepping = 0
    lane.steps += 1
    lane.compute += lane.step_compute
    lane.storage += lane.step_storage
    lane.transfer += lane.step_transfer
    lane.overhead += lane.step_overhead
    lane.busy += duration
    lane.block_seconds += duration * (p.config[0].blocks - lane.free_blocks)


@kernel
def _end_decode(p: Plane, e: int) -> None:
    """Every decoding sequence of lane `e` has one token more."""
    lane = p.lanes[e]
    if lane.stalled == 1:
        count_stalled_gaps(p, e)
    else:
        count_gaps(p, e, lane.now - lane.step_start)
    lane.stalled = 0
    lane.last_decode = lane.now
    lane.step += 1
    lane.unread += 1
    if lane.padded > 0:
        lane.padded_context += 1
    else:
        lane.context += lane.decoding
        if p.config[0].window > 0:
            lane.free_blocks += grow_windows(p, e)


@kernel
def _end_prefills(p: Plane, e: int) -> int:
    """Sequences whose prefill is complete have their first token, or the next if preempted."""
    lane = p.lanes[e]
    finished = 0
    for n in range(lane.prefills):
        k = p.slots[e, n].prefill
        i = p.slots[e, k].request
        total = p.requests[i].prompt + p.requests[i].generated
        cached = lane.partial_done if k == lane.partial else total
        lane.free_blocks += given_back(p, cached) - given_back(p, p.slots[e, n].done)
        if k != lane.partial:
            finished += end_prefill(p, e, k, total)
    lane.prefills = 0
    return finished


@kernel
def start_decode(p: Plane, e: int) -> None:
    """Start a step in which every decoding sequence of lane `e` gets one token, and no other."""
    lane = p.lanes[e]
    n = lane.decoding
    context = float(lane.context + n)
    in_window = float(lane.context_window + lane.growing)
    lane.decode_step = 1
    start_step(p, e, n, n, n, context, in_window, context, in_window, context)


@kernel
def decode_alone(p: Plane, e: int, limit: float, most: int) -> int:  # noqa: PLR0915 - flat, see below
    """Run up to `most` decode-only steps of lane `e` that start before `limit`.

    Returns how many requests finished. Blocks for the first step must be free. Stops when a step
    would end after `limit` (it is left under way), when a sequence finishes, when the cache has too
    few free blocks, or when blocks leave windows while a request waits for some. Most steps of a
    simulation run here, so this is flat: a kernel's call costs more than a step.
    """
    lane = p.lanes[e]
    size, blocks = p.config[0].block_size, p.config[0].blocks
    groups = p.config[0].full_groups + p.config[0].window_groups
    window, classes = p.config[0].window, p.config[0].classes
    coefficients = p.coefficients[0]
    n = lane.decoding
    batch = float(n)
    due = int(p.finishes[e, 0].key)
    now, step, context, free = lane.now, lane.step, lane.context, lane.free_blocks
    low, high = lane.gap_low, lane.gap_high
    residue = step % size
    wanted = lane.waiting > 0 and lane.running < p.config[0].max_num_seqs
    steps, freed = 0, 0
    while True:
        free -= groups * p.phase[e, 0, residue]
        attended = float(context + n)
        in_window = float(lane.context_window + lane.growing)
        compute, storage, transfer, overhead = step_parts(
            coefficients, batch, batch, batch, attended, in_window, attended, in_window, attended
        )
        end = now + (compute + storage + transfer + overhead)
        if end > limit:
            lane.step_start, lane.step_end = now, end
            lane.step_compute, lane.step_storage = compute, storage
            lane.step_transfer, lane.step_overhead = transfer, overhead
            lane.stepping = lane.decode_step = 1
            break
        gap = end - now
        now = end
        lane.compute += compute
        lane.storage += storage
        lane.transfer += transfer
        lane.overhead += overhead
        lane.busy += gap
        lane.block_seconds += gap * (blocks - free)
        steps += 1
        step += 1
        residue = residue + 1 if residue + 1 < size else 0
        context += n
        if window > 0:
            lane.step = step
            freed = grow_windows(p, e)
            free += freed
        if lane.stalled == 1:
            lane.now = now
            count_stalled_gaps(p, e)
            lane.stalled = 0
            low, high = lane.gap_low, lane.gap_high
        else:
            while now >= p.block_edges[lane.block + 1]:
                lane.block += 1
            if not low <= gap < high:
                find_gap_bin(p, e, gap)
                low, high = lane.gap_low, lane.gap_high
            for klass in range(classes):
                p.itl[lane.block, klass, lane.gap_bin] += p.decoding_of[e, klass]
        lane.last_decode = now
        if step == due or now >= limit or groups * p.phase[e, 0, residue] > free:
            break
        if steps == most or (wanted and freed > 0):
            break
    lane.now, lane.step, lane.context, lane.free_blocks = now, step, context, free
    lane.steps += steps
    lane.unread += steps
    return int(finish_due(p, e)) if step == due else 0
