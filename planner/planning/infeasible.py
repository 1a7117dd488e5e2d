"""Where nothing meets all constraints: which one binds, and what could be had instead."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from planner.planning.describe import option
from planner.planning.limits import Infeasible, Nearest
from planner.planning.sizing import BEYOND, SLOW
from planner.scenario.objectives import GoodputObjective, LatencyObjective
from planner.units import DURATION, POWER, PRICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from planner.planning.candidate import Candidate
    from planner.planning.evaluation import Evaluator
    from planner.planning.found import Found
    from planner.planning.search import Search
    from planner.planning.sizing import Entry
    from planner.planning.verify import Verified
    from planner.planning.workload import Level
    from planner.scenario.objectives import Objective

    #: Makes the same search with other objectives, candidates, constraints or plans to keep.
    Again = Callable[..., Search]

#: Candidates of which the nearest to the target is looked for.
NEAREST = 8
#: Replicas beyond which more hardly help latency, for the nearest target.
MOST_TRIED = 64
#: By how much an objective is loosened beyond what was simulated, and again where not enough.
ROOM, MORE_ROOM, TRIES = 0.03, 0.1, 6
_FLAGS = {
    "devices": "--max-devices",
    "power": "--max-power",
    "quality": "--max-quality-loss",
    "replicas": "plan.max_replicas",
}


def explain(search: Search, again: Again) -> Infeasible:
    """Return why `search` found nothing, and the nearest plans that can be had.

    Each constraint is left out by itself; those without which there is a plan bind, the one that
    costs least first. Then the target is loosened until the fleet that comes nearest to it meets
    it within all constraints.

    Parameters
    ----------
    search : Search
        That found nothing.
    again : callable
        Makes the same search with ``constraints``, ``objectives`` or ``candidates`` replaced.
    """
    relaxed: list[tuple[str, Search, Verified]] = []
    for name in _worth_relaxing(search):
        wider = again(constraints=search.constraints.without(name))
        found = wider.run()
        if found:
            relaxed.append((name, wider, found[0]))
    relaxed.sort(key=lambda each: each[1].cost(each[2].entry, each[2].replicas))
    nearest = [_nearest(name, wider, found) for name, wider, found in relaxed]
    looser = _nearest_target(search, again)
    if looser is not None:
        nearest.insert(0, looser)
    if relaxed:
        name = relaxed[0][0]
        why = _why(name, nearest[-len(relaxed)])
        return Infeasible(name, why, tuple(nearest))
    if _all_out(search):
        return Infeasible(_all_out(search) or "target", _why_out(search), tuple(nearest))
    return Infeasible(_target_or_space(search), _why_target(search), tuple(nearest))


def _worth_relaxing(search: Search) -> list[str]:
    """Return the constraints that keep any candidate, or any number of replicas, out."""
    reasons = Counter(each.excluded for each in search.entries)
    limits = {
        each.limit for each in search.entries if each.excluded is None or "limit" in each.excluded
    }
    out = {
        "quality": reasons["quality not known"] + reasons["quality lost"],
        "measured_only": reasons["not measured"],
    }
    return [name for name in search.constraints.active() if out.get(name, name in limits)]


def _all_out(search: Search) -> str | None:
    """Return the constraint that leaves no candidate at all, None if some were possible."""
    reasons = {each.excluded for each in search.entries}
    if reasons <= {"quality not known", "quality lost"}:
        return "quality"
    return "measured_only" if reasons == {"not measured"} else None


def _target_or_space(search: Search) -> str:
    """Return ``space`` where no candidate could be built, whatever the target, else ``target``."""
    reasons = [each.excluded for each in search.entries]
    possible = any(each in {None, SLOW} or each.startswith(BEYOND) for each in reasons)
    return "target" if possible else "space"


def _why_out(search: Search) -> str:
    reasons = Counter(str(each.excluded) for each in search.entries)
    said = ", ".join(f"{name} {count:,}" for name, count in reasons.most_common())
    return f"no candidate is left ({said})"


def _why(name: str, nearest: Nearest) -> str:
    """Return one sentence about the constraint `name`."""
    cost = PRICE.text(round(nearest.option.usd_per_hour or 0.0, 2))
    rest = f"without it the target can be met for {cost} with {nearest.option.devices} devices"
    names = {
        "cost": "the cost binds",
        "devices": "the number of devices binds",
        "power": "the power binds",
        "quality": "the quality binds",
        "measured_only": "--measured-only binds",
        "replicas": "plan.max_replicas binds",
    }
    return f"{names[name]}: {rest}"


def _why_target(search: Search) -> str:
    """Return one sentence about a target that no device meets."""
    workload = search.runner.setup.workload
    for k, (_, objective) in enumerate(workload.objectives):
        missed = [each for each in search.entries if len(each.missed) > k]
        if missed and all(each.missed[k] is not None for each in missed):
            best = min(missed, key=lambda each: _distance(objective, each.missed[k]))
            value = best.missed[k]
            if isinstance(objective, LatencyObjective) and value is not None:
                said = f"{1000 * value:.3g} ms on {best.candidate.device_name}"
            else:
                said = f"{100 * (value or 0.0):.1f} % on {best.candidate.device_name}"
            return f"no device meets {objective.text} even with an empty replica: best {said}"
    reasons = Counter(each.excluded for each in search.entries if each.excluded)
    if len(reasons) and sum(reasons.values()) == len(search.entries):
        return _why_out(search)
    return "no fleet in the search space meets the target, however many replicas it has"


def _distance(objective: Objective, value: float | None) -> float:
    """Return how far a value is from the bound: above 1 misses it."""
    if value is None:
        return math.inf
    if isinstance(objective, LatencyObjective):
        return value / objective.seconds
    return objective.share / value if value > 0 else math.inf


def _nearest(name: str, search: Search, found: Verified) -> Nearest:
    """Return the plan without one constraint, and what that constraint would have to be."""
    plan = option(search, found)
    if name == "cost":
        cents = math.ceil(100 * (plan.usd_per_hour or 0.0) - 1e-6) / 100
        return Nearest(f"--max-cost '{PRICE.text(cents)}'", plan)
    if name == "measured_only":
        return Nearest("without --measured-only", plan)
    if name == "quality" and plan.quality.loss is None:
        return Nearest("without --max-quality-loss", plan)
    value = {
        "devices": str(plan.devices),
        "power": f"'{POWER.text(plan.watts or 0.0)}'",
        "quality": f"{100 * (plan.quality.loss or 0.0):.2g}%",
        "replicas": str(plan.replicas),
    }[name]
    return Nearest(f"{_FLAGS[name]} {value}", plan)


def _nearest_target(search: Search, again: Again) -> Nearest | None:
    """Return the plan for the nearest target that can be met within all constraints."""
    possible = [
        each for each in search.entries if each.excluded in {None, SLOW} and each.high >= each.low
    ]
    if not possible:
        return None
    workload = search.runner.setup.workload

    def floor(entry: Entry) -> float:
        pairs = zip(workload.objectives, entry.missed, strict=True)
        return max((_distance(o, v) for (_, o), v in pairs if v is not None), default=0.0)

    possible.sort(key=lambda e: (floor(e), -_seen(search, e), e.price, e.index))
    rows: list[tuple[Candidate | None, tuple[object, ...]]]
    rows = [
        (e.candidate, (e.candidate, e.low, min(e.high, max(MOST_TRIED, e.low)), search.levels[1]))
        for e in possible[:NEAREST]
    ]
    tried = list(search.runner.map(at_most, rows))
    best = min(
        range(len(tried)),
        key=lambda k: max(
            _distance(o, v) for (_, o), v in zip(workload.objectives, tried[k].values, strict=True)
        ),
    )
    return _loosened(again, possible[best], tried[best], search.constraints.confidence)


def _seen(search: Search, entry: Entry) -> float:
    found = search.scouted.get(entry.index)
    return found.chance if found else 0.0


def at_most(evaluator: Evaluator, candidate: Candidate, low: int, high: int, level: Level) -> Found:
    """Return what the most replicas of a candidate do that are worth trying."""
    return evaluator.evaluate(candidate, max(low, high), level)


def _loosened(again: Again, entry: Entry, found: Found, confidence: float) -> Nearest | None:
    """Return the plan of one candidate for the target that it can meet."""
    room = ROOM
    search = again()
    objectives = search.runner.setup.workload.objectives
    for _ in range(TRIES):
        looser = [
            (klass, each if chance >= confidence else looser_than(each, value, room))
            for (klass, each), value, chance in zip(
                objectives, found.values, found.probabilities(), strict=True
            )
        ]
        wanted = [each for each in looser if each[1] is not None]
        if len(wanted) < len(looser):
            return None
        trial = again(objectives=tuple(wanted), candidates=[entry.candidate])
        plans = trial.run()
        if plans:
            text = "; ".join(each.text for _, each in wanted if each is not None)
            return Nearest(f"--target '{text}'", option(trial, plans[0]))
        room += MORE_ROOM
    return None


def looser_than(objective: Objective, value: float | None, room: float) -> Objective | None:
    """Return `objective` with a bound that `value` meets with some room; None if it has none."""
    if value is None:
        return None
    if isinstance(objective, GoodputObjective):
        share = math.floor(1000 * max(0.0, 1 - (1 - value) * (1 + room) - 0.001)) / 1000
        if not 0 < share <= 1:
            return None
        head = objective.text.partition(">=")[0]
        return replace(objective, text=f"{head}>={share:g}", share=share)
    least = max(value * (1 + room), objective.seconds)
    digits = 10 ** (math.floor(math.log10(least)) - 1)
    seconds = float(f"{math.ceil(least / digits - 1e-9) * digits:.6g}")
    if least == objective.seconds:
        seconds = objective.seconds
    sign = "<" if objective.strict else "<="
    bound = DURATION.text(seconds).replace(" ", "")
    text = f"{objective.metric}:{objective.statistic}{sign}{bound}"
    return replace(objective, text=text, seconds=seconds)
