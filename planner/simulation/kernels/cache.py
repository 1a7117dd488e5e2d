"""KV cache of a lane: blocks and counters, so that a decode step costs O(1).

While a sequence decodes, its cached tokens grow by one per decode step: ``step - origin`` with a
constant origin. It needs a new block whenever its cached tokens divide by the block size, that is
at steps congruent to its origin; counting origins by residue gives the blocks a step needs without
touching a sequence. The same holds for the step at which a sliding window is full, and for those
at which a block leaves it.

A block belongs to one group of layers. Groups with a sliding window give back the blocks that the
next token cannot see; they are free once the step has ended. Groups of recurrent layers hold as
many blocks from a sequence's first step to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.results.records import WAITING
from planner.simulation.kernels.compiled import kernel
from planner.simulation.kernels.heaps import push, remove
from planner.simulation.kernels.queues import close_account, vacate, wait_first
from planner.simulation.layout import NONE

if TYPE_CHECKING:
    from planner.simulation.layout import Plane


@kernel
def blocks_for(p: Plane, tokens: int) -> int:
    """Return the blocks that `tokens` cached tokens occupy."""
    size = p.config[0].block_size
    return int((tokens + size - 1) // size)


@kernel
def new_blocks(p: Plane, done: int, chunk: int) -> int:
    """Return the blocks of all groups that `chunk` tokens after `done` cached ones need."""
    groups = p.config[0].full_groups + p.config[0].window_groups
    states = p.config[0].state_blocks if done == 0 and chunk > 0 else 0
    return int(groups * (blocks_for(p, done + chunk) - blocks_for(p, done)) + states)


@kernel
def given_back(p: Plane, cached: int) -> int:
    """Return the blocks of all groups that have left the window of `cached` tokens."""
    config = p.config[0]
    if config.window_groups == 0 or cached < config.window:
        return 0
    return int(config.window_groups * ((cached - config.window + 1) // config.block_size))


@kernel
def held_blocks(p: Plane, cached: int) -> int:
    """Return the blocks of all groups that a sequence of `cached` tokens holds between steps."""
    return int(new_blocks(p, 0, cached) - given_back(p, cached))


@kernel
def most_blocks(p: Plane, tokens: int) -> int:
    """Return the blocks that a sequence holds at most until `tokens` are cached."""
    config = p.config[0]
    blocks = blocks_for(p, tokens)
    in_window = min(blocks, config.window_blocks) if config.window_groups > 0 else 0
    groups = config.full_groups * blocks + config.window_groups * in_window
    return int(groups + config.state_blocks)


@kernel
def blocks_needed(p: Plane, e: int) -> int:
    """Return the new blocks that the next decode step of lane `e` needs."""
    groups = p.config[0].full_groups + p.config[0].window_groups
    return int(groups * p.phase[e, 0, p.lanes[e].step % p.config[0].block_size])


@kernel
def start_decoding(p: Plane, e: int, k: int, cached: int, steps: int) -> None:
    """Slot `k` holds `cached` tokens and decodes for `steps` >= 1 more steps."""
    lane = p.lanes[e]
    window = p.config[0].window
    i = p.slots[e, k].request
    origin = lane.step - cached
    p.slots[e, k].origin = origin
    p.slots[e, k].finish = lane.step + steps
    p.slots[e, k].last = lane.now
    lane.finishes = push(p.finishes, e, lane.finishes, float(lane.step + steps), i)
    lane.decoding += 1
    p.decoding_of[e, p.requests[i].klass] += 1
    lane.context += cached
    residue = origin % p.config[0].block_size
    p.phase[e, 0, residue] += 1
    if window > 0:
        lane.context_window += min(cached, window)
        p.phase[e, 1, residue] += cached >= window
        if cached < window:
            lane.growing += 1
            p.crossing[e, (origin + window) % (window + 1)] += 1


@kernel
def stop_decoding(p: Plane, e: int, k: int) -> None:
    """Take slot `k` out of the decoding sequences and free its blocks."""
    lane = p.lanes[e]
    window = p.config[0].window
    origin = p.slots[e, k].origin
    cached = lane.step - origin
    lane.decoding -= 1
    p.decoding_of[e, p.requests[p.slots[e, k].request].klass] -= 1
    lane.context -= cached
    residue = origin % p.config[0].block_size
    p.phase[e, 0, residue] -= 1
    lane.free_blocks += held_blocks(p, cached)
    if window > 0:
        lane.context_window -= min(cached, window)
        p.phase[e, 1, residue] -= cached >= window
        if cached < window:
            lane.growing -= 1
            p.crossing[e, (origin + window) % (window + 1)] -= 1


@kernel
def grow_windows(p: Plane, e: int) -> int:
    """Update the windowed context after a decode step; ``lane.step`` is already the new one.

    Returns the blocks that have left the windows.
    """
    lane = p.lanes[e]
    window = p.config[0].window
    lane.context_window += lane.growing
    at = lane.step % (window + 1)
    size = p.config[0].block_size
    filled = p.crossing[e, at]  # their origin is window steps ago
    lane.growing -= filled
    p.phase[e, 1, (lane.step - window) % size] += filled
    p.crossing[e, at] = 0
    return int(p.config[0].window_groups * p.phase[e, 1, (lane.step - window + 1) % size])


@kernel
def preempt(p: Plane, e: int, k: int) -> None:
    """Take slot `k` off the batch between two steps: its cache is lost, it waits as the first."""
    lane = p.lanes[e]
    i = p.slots[e, k].request
    if k == lane.partial:
        lane.free_blocks += held_blocks(p, lane.partial_done)
        lane.partial = NONE
    else:
        lane.finishes = remove(p.finishes, e, lane.finishes, i)
        p.requests[i].generated = p.requests[i].output - (p.slots[e, k].finish - lane.step)
        p.requests[i].last_token = max(p.slots[e, k].last, lane.last_decode)
        stop_decoding(p, e, k)
    close_account(p, e, k)
    vacate(p, e, k)
    p.requests[i].preemptions += 1
    p.requests[i].status = WAITING
    wait_first(p, e, i)


@kernel
def make_room(p: Plane, e: int) -> bool:
    """Give every decoding sequence of lane `e` the blocks it needs, oldest first.

    While one needs blocks and too few are free, the youngest sequence is preempted, if need be the
    one in question. Returns whether any was.
    """
    lane = p.lanes[e]
    size = p.config[0].block_size
    groups = p.config[0].full_groups + p.config[0].window_groups
    preempted = False
    k = lane.oldest
    while k != NONE:
        if k != lane.partial and (lane.step - p.slots[e, k].origin) % size == 0:
            while lane.free_blocks < groups:
                victim = lane.youngest
                preempt(p, e, victim)
                preempted = True
                if victim == k:
                    return True
            lane.free_blocks -= groups
        k = p.slots[e, k].behind
    return preempted
