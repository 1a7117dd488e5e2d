"""Static batches: a fixed number of requests, or fewer after a time-out, run to the end together.

Prompts are padded to the longest, and every step carries the whole batch until its longest output
is done: a finished sequence keeps its place. Tokens stream: a request ends with its own last
token. The batch holds cache for its padded size from the start; one that would not fit is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.simulation.kernels.cache import new_blocks
from planner.simulation.kernels.compiled import kernel
from planner.simulation.kernels.queues import admit, next_waiting
from planner.simulation.kernels.steps import attended_window, start_step

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


@kernel
def static_ready(p: Plane, e: int) -> float:
    """Return when lane `e`, at rest, can start its next step if nothing more arrives."""
    lane = p.lanes[e]
    config = p.config[0]
    if lane.padded > 0 or lane.waiting >= config.batch_size:
        return float(lane.now)
    if lane.waiting == 0:
        return np.inf
    return float(max(lane.now, p.requests[lane.queue_head].queued + config.timeout))


@kernel
def advance_static(p: Plane, e: int) -> int:
    """Start the next step of lane `e`: a new batch, or one token for the batch it has."""
    lane = p.lanes[e]
    if lane.padded == 0:
        _form_batch(p, e)
        return 0
    n = lane.padded
    position = lane.padded_context + 1
    context = float(n * position)
    window = p.config[0].window
    in_window = float(n * min(position, window))
    lane.decode_step = 1
    start_step(p, e, n, n, n, context, in_window, context, in_window, context)
    return 0


@kernel
def _form_batch(p: Plane, e: int) -> None:
    """Admit a batch and start its prefill."""
    lane = p.lanes[e]
    config = p.config[0]
    longest_prompt, longest_output = 0, 0
    lane.prefills = 0
    while lane.waiting > 0 and lane.prefills < config.batch_size:
        i = lane.queue_head
        prompt = max(longest_prompt, p.requests[i].prompt)
        output = max(longest_output, p.requests[i].output)
        blocks = (lane.prefills + 1) * new_blocks(p, 0, prompt + output)
        if lane.prefills > 0 and blocks > config.blocks:
            break
        longest_prompt, longest_output = prompt, output
        p.slots[e, lane.prefills].prefill = admit(p, e, next_waiting(p, e))
        lane.prefills += 1
        lane.free_blocks = max(config.blocks - blocks, 0)
    n = lane.prefills
    lane.padded = n
    lane.padded_context = longest_prompt
    lane.decode_step = 0
    tokens = n * longest_prompt
    attended = n * (longest_prompt * (longest_prompt + 1) // 2)
    in_window = n * attended_window(0, longest_prompt, config.window)
    context_in_window = float(tokens) if config.window > 0 else 0.0
    context = float(tokens)
    start_step(p, e, tokens, n, n, float(attended), in_window, context, context_in_window, 0.0)
