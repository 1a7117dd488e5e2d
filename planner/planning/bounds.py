"""Closed forms: what a candidate cannot do, without simulating it.

Two bounds, each of which no schedule can beat:

- **Capacity.** A request needs at least so many steps of a lane, since a step holds at most
  ``max_num_seqs`` sequences, ``max_num_batched_tokens`` tokens and the KV pool's tokens. With the
  arithmetic, bytes, transfer and overhead that a request brings along whatever it is batched with,
  that gives the least time of a lane per request, and so the least number of replicas. Compute and
  storage overlap by a q-norm, and the norm of a sum is at most the sum of the norms (Minkowski),
  so that taking all steps together is a bound from below.
- **Unloaded latency.** A request that has a replica to itself: others in its steps can only make
  them longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from planner.latency.model_step import step_batch
from planner.latency.step import STEP_FIELDS, step_parts
from planner.scenario.objectives import LatencyObjective
from planner.streams import stream

if TYPE_CHECKING:
    from planner.errors import InputError
    from planner.planning.workload import Workload
    from planner.results.records import FloatArray
    from planner.scenario.objectives import Objective
    from planner.simulation.system import System
    from planner.traffic.requests import Requests

#: Requests whose unloaded latency is computed, per class.
SAMPLED = 200
#: Standard errors by which a share of that sample may be off.
SURE = 3.0


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
        self.chunked = system.service.engine.scheduler.kind == "chunked"
        self.network = system.service.network

    def held(self, mean: Means) -> float:
        """Return the KV cache that a request holds, summed over groups and its steps [tokens]."""
        return self.full_groups * mean.held + self.window_groups * mean.held_window

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
            experts=-math.expm1(prompt * self.c.experts_log_miss),
        )
        return self.least(whole) + self.network

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
        )
        storage = (
            c.storage_fixed * work.steps
            + c.storage_experts * work.experts
            + c.storage_per_token * work.tokens
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
    full = 0.0 if step.c.storage_experts == 0 else -math.expm1(budget * step.c.experts_log_miss)
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
            experts=full * tokens / budget,
        )
    )
    return step.lanes / seconds if seconds > 0 else math.inf


@dataclass(frozen=True)
class Unloaded:
    """Latencies of some requests, each alone on a replica; every array has shape ``(n,)`` [s].

    Parameters
    ----------
    ttft, tpot, e2e : array
        NaN where there is no ``tpot``.
    """

    ttft: FloatArray
    tpot: FloatArray
    e2e: FloatArray

    def misses(self, objective: Objective) -> float | None:
        """Return the value that `objective` cannot get below, where that misses it; else None.

        For goodput the share that cannot be exceeded. A sample of the requests stands for all;
        its chance is allowed for.
        """
        if not isinstance(objective, LatencyObjective):
            good = np.ones(len(self.ttft), bool)
            for bound in objective.bounds:
                values = self.of(bound.metric)
                good &= (values <= bound.seconds) | np.isnan(values)
            share = float(good.mean())
            most = min(1.0, share + SURE * _spread(share, len(good)) + 1 / len(good))
            return None if most >= objective.share else most
        values = self.of(objective.metric)
        values = values[~np.isnan(values)]
        if not len(values):
            return None
        quantile = objective.quantile
        if quantile is None:
            error = float(values.std()) / math.sqrt(len(values))
            least = float(values.mean()) - SURE * error
        else:
            off = SURE * _spread(quantile, len(values)) + 1 / len(values)
            least = float(np.quantile(values, max(0.0, quantile - off)))
        return None if objective.met(least) else least

    def of(self, metric: str) -> FloatArray:
        """Return `metric`; a request alone does not wait, and its gaps are at least its first."""
        if metric == "wait":
            return np.zeros(len(self.ttft))
        found: FloatArray = {"ttft": self.ttft, "tpot": self.tpot, "e2e": self.e2e}.get(
            metric, np.full(len(self.tpot), np.nanmin(self.tpot, initial=np.inf))
        )
        return found


def _spread(share: float, n: int) -> float:
    return math.sqrt(share * (1 - share) / n)


def unloaded(step: Step, requests: Requests, class_id: int | None) -> Unloaded:
    """Return the unloaded latencies of a sample of the requests of a class, or of all."""
    rows = np.arange(len(requests))
    if class_id is not None:
        rows = rows[requests.class_id == class_id]
    if len(rows) > SAMPLED:
        rows = stream(0, 0, "unloaded").choice(rows, SAMPLED, replace=False)
    prompts, outputs = requests.prompt_tokens[rows], requests.output_tokens[rows]
    ttft = np.array([step.first_token(int(prompt)) for prompt in prompts])
    gap = np.array([step.seconds((), (int(prompt),)) for prompt in prompts])
    return Unloaded(
        ttft=ttft,
        tpot=np.where(outputs > 1, gap, np.nan),
        e2e=ttft + (outputs - 1) * gap,
    )


def first_guess(step: Step, mean: Means, rate: float, tpot: float | None, low: int) -> int:
    """Return a number of replicas to begin a search with: a fluid approximation.

    A lane that is offered ``rate / n / lanes`` requests a second runs steps of duration s that hold
    what arrives in one of them: prompts, and ``rate output s`` sequences that decode. The fixed
    point of s has to leave a fifth of a bound on ``tpot``, and of the batch.

    Parameters
    ----------
    step : Step
        Of the candidate.
    mean : Means
        Of the traffic.
    rate : float
        Arrivals per second. [1/s]
    tpot : float or None
        Smallest bound on the time between tokens. [s]
    low : int
        No fewer.
    """
    n = max(1, low)
    for _ in range(60):
        batch, seconds = _fixed_point(step, mean, rate / n / step.lanes)
        fits = batch <= 0.8 * min(
            step.sequences, step.tokens / max(step.held(mean) / mean.output, 1)
        )
        if fits and (tpot is None or seconds <= 0.8 * tpot):
            break
        n = max(n + 1, math.ceil(1.15 * n))
    return n


def _fixed_point(step: Step, mean: Means, rate: float) -> tuple[float, float]:
    """Return sequences and duration of a step of a lane that is offered `rate`; inf beyond it."""
    seconds, batch = 1e-3, 0.0
    for _ in range(200):
        batch = rate * mean.output * seconds
        if batch > step.sequences:
            return math.inf, math.inf
        share = rate * seconds
        parts = step_parts(
            step.c,
            share * (mean.prompt + mean.output),
            batch,
            batch,
            share * mean.attended,
            share * mean.attended_window,
            share * mean.context,
            share * mean.context_window,
        )
        following = float(sum(parts))
        if abs(following - seconds) < 1e-4 * seconds:
            return batch, following
        seconds = following
    return math.inf, math.inf


def reason(error: InputError) -> str:
    """Return in a word or two why a candidate cannot be had."""
    problem = error.problems[0]
    names = {
        "fleet.tensor_parallel": "cannot be divided so",
        "fleet.pipeline_parallel": "cannot be divided so",
        "service.engine.max_model_len": "context does not fit into memory",
        "fleet.price": "no price",
    }
    if problem.path in names:
        return names[problem.path]
    if problem.path == "service.settings":
        return "data type not on the device" if "peak" in problem.message else "profile"
    if "must have memory" in problem.message:
        return "does not fit into memory"
    if "link" in problem.message:
        return "cannot be divided so"
    return "memory not known" if "memory is known" in problem.message else "not possible"


def fits(workload: Workload, system: System) -> str | None:
    """Return why the engine refuses too many of the requests, or None."""
    longest = system.pool.max_model_len
    refused = float((workload.draw(0).prompt_tokens >= longest).mean())
    allowed = min(
        (
            1 - each.share
            if not isinstance(each, LatencyObjective)
            else 0.01
            if each.quantile is None
            else 1 - each.quantile
        )
        for _, each in workload.objectives
    )
    return "prompts do not fit into the context" if refused > allowed else None
