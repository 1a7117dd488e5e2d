"""What requests ask of a lane at least, and the rate that no replica exceeds.

A request needs at least so many steps of a lane, since a step holds at most ``max_num_seqs``
sequences, ``max_num_batched_tokens`` tokens and the KV pool's tokens. With the arithmetic, bytes,
transfer and overhead that a request brings along whatever it is batched with, that gives the least
time of a lane per request, and so the least number of replicas. Compute and storage overlap by a
q-norm, and the norm of a sum is at most the sum of the norms (Minkowski), so that taking all steps
together is a bound from below.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from planner.latency.step import STEP_FIELDS, step_parts
from planner.latency.step_time import step_batch

if TYPE_CHECKING:
    from planner.simulation.system import System
    from planner.traffic.requests import Requests


class Work(NamedTuple):
    """What some steps of a lane do together, at least.

    Parameters
    ----------
    tokens, samples : float
        Processed and sampled.
    steps, sequences : float
        Steps, and sequences summed over them.
    attended, attended_window : float
        Tokens attended to, summed over tokens, in full and in windowed layers.
    context, context_window : float
        KV cache read, in full and in windowed layers. [tokens]
    context_decode : float
        Of `context`, what decoding sequences read. [tokens]
    experts : float
        Shares of the routed experts that are hit, summed over steps.
    """

    tokens: float
    samples: float
    steps: float
    sequences: float
    attended: float
    attended_window: float
    context: float
    context_window: float
    context_decode: float
    experts: float


class Means(NamedTuple):
    """What a request brings along on average.

    Parameters
    ----------
    prompt, output : float
        Lengths. [tokens]
    attended, attended_window : float
        Tokens attended to, summed over its tokens, in full and in windowed layers.
    context, context_window : float
        KV cache that its steps read, at least. [tokens]
    held, held_window : float
        KV cache that it holds while it decodes, summed over its steps; the least of a window.
        [tokens]
    """

    prompt: float
    output: float
    attended: float
    attended_window: float
    context: float
    context_window: float
    held: float
    held_window: float


def means(requests: Requests, window: float) -> Means:
    """Return the means over `requests` for a model with sliding windows of `window` tokens."""
    p = requests.prompt_tokens.astype(np.float64)
    o = requests.output_tokens.astype(np.float64)
    decoded = o - 1
    held = decoded * p + decoded * o / 2
    inside = np.minimum(p, window)
    prefill_window = inside * (inside + 1) / 2 + (p - inside) * window
    return Means(
        prompt=float(p.mean()),
        output=float(o.mean()),
        attended=float((p * (p + 1) / 2 + held).mean()),
        attended_window=float((prefill_window + decoded * inside).mean()) if window else 0.0,
        context=float((p + held).mean()),
        context_window=float((inside + decoded * inside).mean()) if window else 0.0,
        held=float(held.mean()),
        held_window=float((decoded * inside).mean()) if window else 0.0,
    )


class Step:
    """The step time with plain numbers, several times as fast to call as with records.

    Parameters
    ----------
    system : System
        One replica.
    """

    def __init__(self, system: System) -> None:
        row = system.step.coefficients[0]
        self.c: Any = SimpleNamespace(**{name: float(row[name]) for name in STEP_FIELDS})
        config = system.config(seed=0)[0]
        self.lanes = int(config.lanes_per_replica)
        self.sequences = int(config.max_num_seqs)
        self.budget = int(config.max_num_batched_tokens)
        self.tokens = int(config.blocks) * int(config.block_size)  # of one group of layers
        self.full_groups, self.window_groups = int(config.full_groups), int(config.window_groups)
        self.state = int(config.state_blocks) * int(config.block_size)  # in such tokens
        self.chunked = system.service.engine.scheduler.kind == "chunked"
        self.network = system.service.network

    def held(self, mean: Means) -> float:
        """Return the KV cache that a request holds, summed over groups and its steps [tokens]."""
        states = self.state * (mean.output - 1)
        return self.full_groups * mean.held + self.window_groups * mean.held_window + states

    def seconds(
        self, prefill: tuple[tuple[int, int], ...] = (), decode: tuple[int, ...] = ()
    ) -> float:
        """Return the duration of one step of these chunks and decoding sequences [s]."""
        return float(sum(step_parts(self.c, *step_batch(prefill, decode, self.c.window))))

    def first_token(self, prompt: int) -> float:
        """Return a time that no request of `prompt` tokens gets its first token before [s].

        It has as many chunks as when it is alone, of whatever sizes: together they do the
        arithmetic of the whole prompt, read at least its cache once, and hit at least the experts
        that all its tokens in one step would.
        """
        chunks = -(-prompt // self.budget) if self.chunked else 1
        inside = min(prompt, self.c.window)
        whole = Work(
            tokens=prompt,
            samples=1,
            steps=chunks,
            sequences=chunks,
            attended=prompt * (prompt + 1) / 2,
            attended_window=inside * (inside + 1) / 2 + (prompt - inside) * self.c.window,
            context=prompt,
            context_window=inside,
            context_decode=0,
            experts=self.least_hit(prompt),
        )
        return self.least(whole) + self.network

    def least_hit(self, tokens: float) -> float:
        """Return the least share of the experts that steps of so many tokens in all hit [-].

        That of one step with all of them; but steps of a token each touch nothing of what only
        more than one token touch.
        """
        if self.c.storage_experts == 0 or self.c.experts_free > 0:
            return 0.0
        return -math.expm1(tokens * self.c.experts_log_miss)

    def least(self, work: Work) -> float:
        """Return the least time in which steps can do some work, however they divide it [s].

        All of it in one q-norm of compute and storage: the norm of a sum is at most the sum of
        the norms.
        """
        c = self.c
        compute = (
            c.compute_per_token * work.tokens
            + c.compute_per_sample * work.samples
            + c.compute_per_context * work.attended
            + c.compute_per_context_window * work.attended_window
            + c.compute_per_context_decode * work.context_decode
        )
        storage = (
            c.storage_fixed * work.steps
            + c.storage_experts * work.experts
            + c.storage_per_token * work.tokens
            + c.storage_per_sequence * work.sequences
            + c.storage_per_context * work.context
            + c.storage_per_context_window * work.context_window
        )
        larger, smaller = max(compute, storage), min(compute, storage)
        if larger > 0 and c.overlap < 1e3:
            larger *= (1 + (smaller / larger) ** c.overlap) ** (1 / c.overlap)
        transfer = c.transfer_fixed * work.steps + c.transfer_per_token * work.tokens
        overhead = c.overhead_fixed * work.steps + c.overhead_per_sequence * work.sequences
        return float(larger + transfer + overhead)


def capacity(step: Step, mean: Means) -> float:
    """Return a rate that one replica cannot exceed, whatever it batches [1/s]."""
    tokens = mean.prompt + mean.output - 1
    budget = step.budget if step.chunked else math.inf
    steps = max(
        mean.output / step.sequences, tokens / budget, step.held(mean) / max(step.tokens, 1)
    )
    # experts hit: concave in a step's tokens, so full steps hit the fewest per token
    full = step.least_hit(budget)
    seconds = step.least(
        Work(
            tokens=tokens,
            samples=mean.output,
            steps=steps,
            sequences=mean.output,
            attended=mean.attended,
            attended_window=mean.attended_window,
            context=mean.context,
            context_window=mean.context_window,
            context_decode=mean.held,
            experts=full * tokens / budget,
        )
    )
    return step.lanes / seconds if seconds > 0 else math.inf
