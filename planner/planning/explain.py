"""How much a plan can take: more traffic, the loss of replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.planning.describe import outcomes
from planner.planning.evaluation import Variation
from planner.planning.found import combined
from planner.planning.option import Outage
from planner.planning.result import MOST_HEADROOM
from planner.planning.sizing import smallest
from planner.planning.verify import replicate

if TYPE_CHECKING:
    from planner.planning.candidate import Candidate
    from planner.planning.evaluation import Evaluator
    from planner.planning.search import Search
    from planner.planning.verify import Verified
    from planner.planning.workload import Level


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
