"""Where nothing meets all constraints: which one binds, and what could be had instead."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planner.planning.describe import option
from planner.planning.entries import BEYOND, SLOW
from planner.planning.limits import Infeasible, Nearest
from planner.planning.nearest import distance, nearest_target
from planner.scenario.objectives import LatencyObjective
from planner.scenario.plan import ALL_DEVICES
from planner.units import POWER, PRICE

if TYPE_CHECKING:
    from planner.planning.nearest import Again
    from planner.planning.option import Option
    from planner.planning.search import Search
    from planner.planning.verify import Verified

_FLAGS = {
    "devices": "--max-devices",
    "power": "--max-power",
    "quality": "--max-quality-loss",
    "replicas": "plan.max_replicas",
}
_NAMES = {
    "cost": "the cost",
    "devices": "the number of devices",
    "power": "the power",
    "quality": "the quality",
    "measured_only": "--measured-only",
    "replicas": "plan.max_replicas",
}
#: Constraints on the number of replicas, rather than on their settings.
_LIMITS = ("cost", "devices", "power", "replicas")


def explain(search: Search, again: Again) -> Infeasible:
    """Return why `search` found nothing, and the nearest plans that can be had.

    Each constraint is left out by itself; those without which there is a plan bind, the one that
    costs least first. Then the target is loosened until the fleet that comes nearest to it meets
    it within all constraints. Where there is none and no constraint binds by itself, those that
    bind together are left out; where that is not enough either, so is the target, named with them.

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
    looser = nearest_target(search, again)
    if looser is None and not relaxed:
        several = _several(search, again)
        if several is not None:
            return several
        looser = _all_lifted(search, again)
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
    return f"{_NAMES[name]} binds: without it {_can_be_met(nearest.option)}"


def _can_be_met(plan: Option) -> str:
    cost = PRICE.text(round(plan.usd_per_hour or 0.0, 2))
    devices = "1 device" if plan.devices == 1 else f"{plan.devices} devices"
    return f"the target can be met for {cost} with {devices}"


def _why_target(search: Search) -> str:
    """Return one sentence about a target that no device meets."""
    workload = search.runner.setup.workload
    for k, (_, objective) in enumerate(workload.objectives):
        missed = [each for each in search.entries if len(each.missed) > k]
        if missed and all(each.missed[k] is not None for each in missed):
            best = min(missed, key=lambda each: distance(objective, each.missed[k]))
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


def _nearest(name: str, search: Search, found: Verified) -> Nearest:
    """Return the plan without one constraint, and what that constraint would have to be."""
    plan = option(search, found)
    return Nearest(_change(name, plan), plan)


def _change(name: str, plan: Option) -> str:
    """Return what the constraint `name` would have to be for `plan`, as written."""
    if name == "cost":
        cents = math.ceil(100 * (plan.usd_per_hour or 0.0) - 1e-6) / 100
        return f"--max-cost '{PRICE.text(cents)}'"
    if name == "measured_only":
        return "without --measured-only"
    if name == "quality" and plan.quality.loss is None:
        return "without --max-quality-loss"
    value = {
        "devices": str(plan.devices),
        "power": f"'{POWER.text(plan.watts or 0.0)}'",
        "quality": f"{100 * (plan.quality.loss or 0.0):.2g}%",
        "replicas": str(plan.replicas),
    }[name]
    return f"{_FLAGS[name]} {value}"


def _several(search: Search, again: Again) -> Infeasible | None:
    """Return the constraints that bind together, none of them by itself; None if they do not.

    The limits on replicas first, then those on settings too.
    """
    active = search.constraints.active()
    for names in (_LIMITS, active):
        wide = search.constraints
        for name in set(names) & set(active):
            wide = wide.without(name)
        wider = again(constraints=wide)
        for each in wider.run()[:1]:
            plan = option(wider, each)
            broken = [name for name in active if _breaks(search, name, plan)]
            if len(broken) > 1:
                *others, last = [_NAMES[name] for name in broken]
                why = f"{', '.join(others)} and {last} bind together: without them "
                change = " ".join(_change(name, plan) for name in broken)
                return Infeasible(broken[0], why + _can_be_met(plan), (Nearest(change, plan),))
    return None


def _all_lifted(search: Search, again: Again) -> Nearest | None:
    """Return the nearest target where no constraint binds, with those that it breaks."""
    wide = search.constraints
    for name in wide.active():
        wide = wide.without(name)

    def wider(**changed: Any) -> Search:  # noqa: ANN401 - fields of a search
        return again(**{"constraints": wide, **changed})

    lifted = wider()
    lifted.run()
    looser = nearest_target(lifted, wider)
    if looser is None:
        return None
    broken = [name for name in search.constraints.active() if _breaks(search, name, looser.option)]
    changes = [looser.change, *(_change(name, looser.option) for name in broken)]
    return Nearest(" ".join(changes), looser.option)


def _breaks(search: Search, name: str, plan: Option) -> bool:
    """Return whether a plan breaks the constraint `name` of a search."""
    own = search.constraints
    per_type = {ALL_DEVICES, plan.candidate.device_name}
    return {
        "cost": (plan.usd_per_hour or 0.0) > own.max_cost + 1e-9,
        "devices": any(plan.devices > most for k, most in own.max_devices.items() if k in per_type),
        "power": (plan.watts or 0.0) > own.max_power + 1e-9,
        "quality": replace(own, measured_only=False).refuses(plan.quality, ()) is not None,
        "measured_only": own.measured_only and bool(plan.unmeasured),
        "replicas": plan.replicas > own.max_replicas,
    }[name]
