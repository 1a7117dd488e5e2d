"""Before anything is simulated: where to begin, and why a candidate cannot be had."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from planner.latency.step import step_parts
from planner.scenario.objectives import LatencyObjective

if TYPE_CHECKING:
    from planner.errors import InputError
    from planner.planning.demand import Means, Step
    from planner.planning.workload import Workload
    from planner.simulation.system import System


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
            share * mean.held,
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
