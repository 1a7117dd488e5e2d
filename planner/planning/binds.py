"""What keeps a plan from being cheaper or better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.planning.describe import outcomes
from planner.scenario.objectives import LatencyObjective

if TYPE_CHECKING:
    from planner.planning.search import Search
    from planner.planning.verify import Verified
    from planner.results.summary import ClassResult, Result

#: Share of the KV blocks in use from which on waiting is for them.
KV_FULL = 0.9


def binding(search: Search, best: Verified, result: Result) -> tuple[int, str]:
    """Return which objective breaks first, and the part of the latency that does it.

    The objective that one replica fewer would miss, where that was simulated; else the one with
    the least margin. Its largest part at the percentile it speaks of, or ``kv`` where requests
    wait for KV blocks.
    """
    fewer = next(
        (
            each
            for each in search.missed
            if each.entry == best.entry and each.replicas == best.replicas - 1
        ),
        None,
    )
    if fewer is not None and any(fewer.outcomes):
        at = min(range(len(fewer.outcomes)), key=lambda k: fewer.outcomes[k])
    else:
        margins = [each.margin for each in outcomes(search, best.found, best.outcomes)]
        at = min(range(len(margins)), key=lambda k: -1.0 if margins[k] is None else margins[k])  # type: ignore[return-value, arg-type]
    part = _part(search, at, result)
    seen = fewer or best
    if part == "wait" and (seen.found.kv_cache > KV_FULL or seen.found.preemptions):
        return at, "kv"
    return at, part


def _part(search: Search, at: int, result: Result) -> str:
    """Return the largest part of the latency that an objective bounds."""
    workload = search.runner.setup.workload
    klass, objective = workload.objectives[at]
    whole: ClassResult = result.whole
    if klass is not None and result.classes:
        names = [each.name for each in workload.scenario.traffic.request_classes]
        whole = result.classes[names[klass]]
    parts = whole.metrics.parts
    if isinstance(objective, LatencyObjective):
        metric, statistic = objective.metric, objective.statistic
    else:
        metric, statistic = objective.bounds[0].metric, "p95"
    if metric == "wait":
        return "wait"
    if metric in parts:
        found = dict(parts[metric].get(statistic) or parts[metric]["p95"])
    else:  # between tokens: what comes after the first one
        first, last = parts["ttft"]["mean"], parts["e2e"]["mean"]
        found = {name: (last[name] or 0.0) - (first[name] or 0.0) for name in last}
    known = {name: value for name, value in found.items() if value is not None}
    return max(known, key=lambda name: known[name]) if known else "wait"
