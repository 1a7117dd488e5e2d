"""Sensitivity: which uncertain input, changed by itself, would make the plan another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from planner.catalog.coefficients import COEFFICIENTS
from planner.planning.describe import bought, named, price
from planner.planning.evaluation import PLAIN, Variation
from planner.planning.probability import joint
from planner.planning.result import Influence
from planner.planning.uncertainty import errors
from planner.planning.verify import moved, replicate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.planning.candidate import Candidate
    from planner.planning.evaluation import Evaluator
    from planner.planning.search import Search
    from planner.planning.verify import Verified
    from planner.planning.workload import Level

#: Change of an input whose error nobody stated, and standard errors of one that has some.
CHANGE, STANDARD_ERRORS = 0.1, 2.0
#: Cheaper fleets that are looked at.
CHEAPER = 2


def cheaper(search: Search, best: Verified) -> list[Verified]:
    """Return the likeliest fleets that cost less than the best and miss its objectives.

    Of those that are bought alike the likeliest: the others differ in the engine's settings only.
    """
    cost = search.cost(best.entry, best.replicas)
    below = [each for each in search.missed if search.cost(each.entry, each.replicas) < cost]
    below.sort(key=lambda each: (-each.probability, -search.cost(each.entry, each.replicas)))
    different: dict[object, Verified] = {}
    for each in below:
        different.setdefault(bought(each), each)
    return list(different.values())[:CHEAPER]


def sensitivity(search: Search, best: Verified) -> list[Influence]:
    """Return what each uncertain input, changed by itself, does to the plan.

    One at a time, by two standard errors where the profile has one and by a tenth elsewhere, on
    the window of the race. The plan is another where its fleet is not enough, where one replica
    fewer would do, or where a fleet that is cheaper and was simulated on all of the traffic would.
    """
    runner, candidate, replicas = search.runner, best.entry.candidate, best.replicas
    ends = dict(_inputs(search, candidate))
    level = search.levels[1]._replace(replications=1)
    rows = [(name, at, n) for name in ends for at in (0, 1) for n in {replicas, replicas - 1} if n]
    work: list[tuple[Candidate | None, tuple[object, ...]]]
    work = [
        (candidate, (candidate, n, level, _varied(name, ends[name][at]))) for name, at, n in rows
    ]
    found = dict(zip(rows, runner.map(_holds, work), strict=True))
    instead = _instead(search, best, ends)
    influences = [
        Influence(
            name=name,
            low=low,
            high=high,
            enough=all(found[name, at, replicas] for at in (0, 1)),
            fewer=any(found.get((name, at, replicas - 1), False) for at in (0, 1)),
            cheaper=instead.get(name, ""),
        )
        for name, (low, high) in ends.items()
    ]
    return sorted(influences, key=lambda each: not each.changes_plan)


def _instead(
    search: Search, best: Verified, ends: Mapping[str, tuple[float, float]]
) -> dict[str, str]:
    """Return, by input, the cheaper fleet that would do at one of its ends, and its cost.

    As likely as is asked for: its requests that missed on all of the traffic, and what the change
    takes away of them on the window of the race.
    """
    level = search.levels[1]._replace(replications=1)
    found: dict[str, str] = {}
    for each in cheaper(search, best):
        if each.entry == best.entry:
            continue  # of the same candidate one replica fewer is looked at for itself
        changes = [(name, factor) for name in ends for factor in ends[name]]
        variations = [PLAIN, *(_varied(*change) for change in changes)]
        work: list[tuple[Candidate | None, tuple[object, ...]]]
        one = each.entry.candidate
        work = [(one, (one, each.replicas, level, 0, varied)) for varied in variations]
        plain, *varied = search.runner.map(replicate, work)
        work = [(one, (one, each.replicas, change)) for change in variations[1:]]
        steady = search.runner.map(_sustains, work)
        for (name, _), done, sustained in zip(changes, varied, steady, strict=True):
            likely = joint(
                [
                    tally.probability((shift,))
                    for tally, shift in zip(each.found.tallies, moved(done, plain), strict=True)
                ]
            )
            if sustained and likely >= search.constraints.confidence:
                cost = price(search.cost(each.entry, each.replicas))
                found.setdefault(name, f"{named(each)}, {cost}")
    return found


def _inputs(search: Search, candidate: Candidate) -> Mapping[str, tuple[float, float]]:
    """Return the factors that each uncertain input is multiplied by."""
    tenth = (1 - CHANGE, 1 + CHANGE)
    found = dict.fromkeys(("rate", "prompt", "output"), tenth)
    if search.runner.setup.workload.offered_per_s is None:
        del found["rate"]
    work = [(candidate, (candidate,))]
    names, known = next(iter(search.runner.map(_coefficients, work)))
    for name in names:
        found[name] = tenth
        if name in known:
            value, error = known[name]
            off = STANDARD_ERRORS * error / value
            found[name] = (max(0.05, 1 - off), 1 + off)
    return found


def _coefficients(
    evaluator: Evaluator, candidate: Candidate
) -> tuple[list[str], dict[str, tuple[float, float]]]:
    system = evaluator.system(candidate)
    known = errors(system.profile, system.device)
    used = [each.name for each in system.step.provenance if each.value]
    return [name for name in COEFFICIENTS if name in used], known


def _varied(name: str, factor: float) -> Variation:
    if name in {"rate", "prompt", "output"}:
        return replace(PLAIN, **{name: factor})  # type: ignore[arg-type]
    return Variation(coefficients=((name, factor),))


def _holds(
    evaluator: Evaluator, candidate: Candidate, replicas: int, level: Level, varied: Variation
) -> bool:
    steady = _sustains(evaluator, candidate, replicas, varied)
    return steady and evaluator.evaluate(candidate, replicas, level, varied).holds


def _sustains(evaluator: Evaluator, candidate: Candidate, replicas: int, varied: Variation) -> bool:
    """Return whether the load is sustained; with other coefficients the window alone tells."""
    rate = (evaluator.workload.offered_per_s or 0.0) * varied.rate
    return bool(varied.coefficients) or replicas * evaluator.saturation(candidate) >= rate
