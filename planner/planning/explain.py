"""Why a plan is what it is: options, what binds, headroom, sensitivity, an outage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from planner.catalog.profile import COEFFICIENTS
from planner.planning.describe import outcomes
from planner.planning.evaluation import PLAIN, Variation
from planner.planning.found import combined
from planner.planning.option import Outage
from planner.planning.result import MOST_HEADROOM, Influence
from planner.planning.sizing import smallest
from planner.planning.uncertainty import errors
from planner.planning.verify import Verified, replicate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.planning.candidate import Candidate
    from planner.planning.evaluation import Evaluator
    from planner.planning.search import Search
    from planner.planning.workload import Level

#: Change of an input whose error nobody stated, and standard errors of one that has some.
CHANGE, STANDARD_ERRORS = 0.1, 2.0


def headroom(search: Search, best: Verified) -> float | None:
    """Return by how much the traffic may grow before an objective is likely to be missed."""
    rate = search.runner.setup.workload.offered_per_s
    if rate is None:
        return None
    row = (best.entry.candidate, best.replicas)
    found: float = next(iter(search.runner.map(_headroom, [(row[0], (*row, search.levels[1]))])))
    return found


def _headroom(evaluator: Evaluator, candidate: Candidate, replicas: int, level: Level) -> float:
    rate = evaluator.workload.offered_per_s or 0.0
    steady = evaluator.saturation(candidate) * replicas

    def breaks(per_cent: int) -> bool:
        factor = 1 + per_cent / 100
        if rate * factor > steady:
            return True
        varied = Variation(rate=factor)
        return not evaluator.evaluate(candidate, replicas, level, varied).holds

    first = smallest(breaks, 10, 1, round(100 * MOST_HEADROOM))
    return MOST_HEADROOM if first is None else (first - 1) / 100


def sensitivity(search: Search, best: Verified) -> list[Influence]:
    """Return what each uncertain input, changed by itself, does to the plan.

    One at a time, by two standard errors where the profile has one and by a tenth elsewhere, on
    the window of the race.
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
    influences = [
        Influence(
            name=name,
            low=low,
            high=high,
            enough=all(found[name, at, replicas] for at in (0, 1)),
            fewer=any(found.get((name, at, replicas - 1), False) for at in (0, 1)),
        )
        for name, (low, high) in ends.items()
    ]
    return sorted(influences, key=lambda each: not each.changes_plan)


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
    known = errors(evaluator.profile, system.device)
    used = [each.name for each in system.step.provenance if each.value]
    return [name for name in COEFFICIENTS if name in used], known


def _varied(name: str, factor: float) -> Variation:
    if name in {"rate", "prompt", "output"}:
        return replace(PLAIN, **{name: factor})  # type: ignore[arg-type]
    return Variation(coefficients=((name, factor),))


def _holds(
    evaluator: Evaluator, candidate: Candidate, replicas: int, level: Level, varied: Variation
) -> bool:
    rate = (evaluator.workload.offered_per_s or 0.0) * varied.rate
    plain = varied == PLAIN or not varied.coefficients
    if plain and replicas * evaluator.saturation(candidate) < rate:
        return False
    return evaluator.evaluate(candidate, replicas, level, varied).holds


def outage(search: Search, best: Verified) -> Outage | None:
    """Return what happens when as many replicas as there are spares fail in mid-traffic."""
    spares = search.constraints.spares_for(best.replicas)
    offered = search.runner.setup.workload.offered_per_s
    if not spares or offered is None:
        return None
    candidate, level = best.entry.candidate, search.levels[2]
    varied = Variation(lost=spares)
    total = best.replicas + spares
    rows: list[tuple[Candidate | None, tuple[object, ...]]]
    rows = [(candidate, (candidate, total, level, k, varied)) for k in range(level.replications)]
    spread = list(search.runner.map(replicate, rows))
    found = combined(spread)
    return Outage(spares, outcomes(search, found, found.probabilities(), spread))
