"""Fleets that were simulated, as they are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.planning.option import Option, Outcome, margin_of
from planner.results.intervals import student_t
from planner.scenario.objectives import GoodputObjective, LatencyObjective

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.planning.found import Found
    from planner.planning.search import Search
    from planner.planning.verify import Verified
    from planner.planning.workload import Workload
    from planner.scenario.objectives import Objective


def outcomes(
    search: Search, found: Found, each: Sequence[float], spread: Sequence[Found] = ()
) -> tuple[Outcome, ...]:
    """Return each objective with its value, its interval over replications, its probability."""
    workload = search.runner.setup.workload
    names = [one.name for one in workload.scenario.traffic.request_classes]
    rows = []
    for k, (klass, objective) in enumerate(workload.objectives):
        values = [one.values[k] for one in spread]
        known = [value for value in values if value is not None]
        ends = student_t(known, 0.95) if len(known) == len(values) and len(known) > 1 else None
        rows.append(
            Outcome(
                objective=objective.text,
                class_name=None if klass is None else names[klass],
                value=found.values[k],
                low=ends.low if ends else None,
                high=ends.high if ends else None,
                bound=bound_of(objective),
                probability=each[k],
            )
        )
    return tuple(rows)


def named(one: Verified) -> str:
    """Return a fleet in few words: how many of what, weights and KV cache."""
    candidate = one.entry.candidate
    degrees = (("TP", candidate.tensor_parallel), ("PP", candidate.pipeline_parallel))
    shape = "".join(f" {name}{degree}" for name, degree in degrees if degree > 1)
    settings = candidate.settings
    types = f"{settings.weights}/{settings.kv_cache}"
    return f"{one.replicas} x {candidate.device_name}{shape} {types}"


def bought(one: Verified) -> tuple[object, ...]:
    """Return what of a fleet a buyer decides on: all but the settings of engine and router."""
    candidate, settings = one.entry.candidate, one.entry.candidate.settings
    return (
        candidate.device_name,
        one.replicas,
        candidate.tensor_parallel,
        candidate.pipeline_parallel,
        settings.weights,
        settings.kv_cache,
        settings.activations,
        settings.pruning,
    )


def price(cost: float) -> str:
    """Return a cost as it is written, of $ per hour."""
    return f"${cost:,.2f}/h"


def option(
    search: Search, verified: Verified, trade: str = "", *, spares: int | None = None
) -> Option:
    """Return a verified fleet as it is reported, with as many spares as are asked for.

    Parameters
    ----------
    search : Search
        That verified it.
    verified : Verified
        Without spares.
    trade : str
        Against the recommendation.
    spares : int, optional
        In place of those that the constraints ask for.
    """
    entry, replicas = verified.entry, verified.replicas
    if spares is None:
        spares = search.constraints.spares_for(replicas)
    cost = entry.price * (replicas + spares)
    watts = None if entry.watts is None else entry.watts * (replicas + spares)
    millions = verified.found.output_tokens_per_s * 3600 / 1e6
    return Option(
        candidate=entry.candidate,
        replicas=replicas,
        spares=spares,
        usd_per_hour=cost,
        usd_per_million_output_tokens=cost / millions if millions else None,
        watts=watts,
        kwh_per_million_output_tokens=watts / 1e3 / millions if watts and millions else None,
        quality=entry.quality,
        probability=verified.probability,
        outcomes=outcomes(search, verified.found, verified.outcomes, verified.spread),
        unmeasured=entry.unmeasured,
        traffic_share=verified.traffic_share,
        trade=trade,
    )


def trade(search: Search, one: Verified, best: Verified) -> str:
    """Return what `one` gains and gives up against `best`, in one line."""
    cost, base = (search.cost(v.entry, v.replicas) for v in (one, best))
    words = [f"{'+' if cost >= base else '-'}${abs(cost - base):,.2f}/h"]
    if one.probability < search.constraints.confidence:
        worst = min(range(len(one.outcomes)), key=lambda k: one.outcomes[k])
        objective = search.runner.setup.workload.objectives[worst][1]
        words.append(f"misses {objective.text} (P {one.probability:.2f})")
    mine, theirs = one.entry.quality.loss, best.entry.quality.loss
    if mine is None:
        words.append("quality not known")
    elif theirs is None:
        words.append(f"quality known: {100 * mine:.1f} % lost")
    elif mine != theirs:
        words.append(f"{100 * (mine - theirs):+.1f} points of quality lost")
    here, there = tightest(search, one), tightest(search, best)
    if one.probability >= search.constraints.confidence and here is not None and there is not None:
        words.append(f"tightest margin {100 * here:.0f} % for {100 * there:.0f} %")
    return ", ".join(words)


def tightest(search: Search, one: Verified) -> float | None:
    """Return the least margin of a fleet; None where an objective has no value."""
    return least_margin(search.runner.setup.workload, one.found)


def least_margin(workload: Workload, found: Found) -> float | None:
    """Return what is left to the tightest bound, as a share of it; None without a value."""
    least: float | None = None
    for value, (_, objective) in zip(found.values, workload.objectives, strict=True):
        left = margin_of(value, bound_of(objective), share=isinstance(objective, GoodputObjective))
        if left is None:
            return None
        least = left if least is None else min(least, left)
    return least


def bound_of(objective: Objective) -> float:
    """Return what an objective asks for: seconds, or a share of requests."""
    return objective.seconds if isinstance(objective, LatencyObjective) else objective.share
