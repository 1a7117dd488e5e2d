"""What keeps a plan from being cheaper, and from being more.

A constraint binds where there is a cheaper plan without it; that is searched for, among what the
constraint keeps out and for less than the plan costs. What the tightest objective is made of most
binds always: with less of it fewer replicas would do. A limit that allows no replica more, as the
most that may be spent, ends how far the plan can grow.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from planner.planning.constraints import RELAXED
from planner.planning.describe import named, outcomes, price
from planner.planning.entries import BEYOND
from planner.planning.limits import Bind
from planner.scenario.objectives import LatencyObjective

if TYPE_CHECKING:
    from planner.planning.entries import Entry
    from planner.planning.nearest import Again
    from planner.planning.search import Search
    from planner.planning.verify import Verified
    from planner.results.result import ClassResult, Result

#: Share of the KV blocks in use from which on waiting is for them.
KV_FULL = 0.9
#: A plan that saves less is no cheaper one [$/h].
CENT = 0.01
#: How a constraint is given, as it is said.
GIVEN = {
    "quality": "--max-quality-loss",
    "measured_only": "--measured-only",
    "devices": "--max-devices",
    "power": "--max-power",
    "cost": "--max-cost",
    "replicas": "plan.max_replicas",
}
#: Why candidates are left out by the constraints that have nothing to do with their number.
_OUT = {"quality": ("quality not known", "quality lost"), "measured_only": ("not measured",)}


def binds(search: Search, best: Verified, again: Again, *, at: int, part: str) -> tuple[Bind, ...]:
    """Return what binds a plan, the first thing first.

    Parameters
    ----------
    search : Search
        That found the plan.
    best : Verified
        The plan.
    again : callable
        Makes the same search with other constraints and candidates.
    at, part : int, str
        As :func:`binding` returns them.
    """
    objective = search.runner.setup.workload.objectives[at][1]
    what = "waiting for KV blocks" if part == "kv" else part
    return (
        *_dearer(search, best, again),
        Bind(part, f"{objective.text} is made of {what} most"),
        *_ends(search, best),
    )


def _dearer(search: Search, best: Verified, again: Again) -> list[Bind]:
    """Return the constraints without which there is a cheaper plan, with that plan."""
    cost = search.cost(best.entry, best.replicas)
    found = []
    for name in RELAXED[1:]:  # more money makes no plan cheaper
        out = [e.candidate for e in search.entries if _kept_out(search, e, name, cost)]
        if not out:
            continue
        lax = search.constraints.without(name)
        less = replace(lax, max_cost=min(lax.max_cost, cost - CENT))
        wider = again(constraints=less, candidates=out, keep=1)
        for each in wider.run()[:1]:
            said = f"{named(each)}, {price(wider.cost(each.entry, each.replicas))}"
            found.append(Bind(name, f"without {GIVEN[name]} {said}, would do"))
    return found


def _kept_out(search: Search, entry: Entry, name: str, cost: float) -> bool:
    """Return whether the constraint keeps a candidate, or more of it, from costing less."""
    if name in _OUT:
        return entry.excluded in _OUT[name]
    limited = entry.excluded in {None, f"{BEYOND}{name}"} and entry.limit == name
    return limited and search.cost(entry, entry.high + 1) < cost - CENT


def _ends(search: Search, best: Verified) -> list[Bind]:
    """Return the limit that allows no replica more, if one does."""
    entry, more = best.entry, best.replicas + 1
    if more <= entry.high:
        return []
    cost = price(search.cost(entry, more))
    return [Bind(entry.limit, f"{GIVEN[entry.limit]} allows no replica more, which makes {cost}")]


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
