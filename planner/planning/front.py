"""The front: fleets that no other beats in cost, quality and margin at once.

Beside those that were simulated on all of the traffic it holds those of which there is an estimate
from a stretch of it. Each says how much of the traffic it has seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.planning.describe import tightest
from planner.planning.verify import Verified

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from planner.planning.search import Search
    from planner.planning.workload import Level, Workload


def pareto(search: Search, options: Sequence[Verified]) -> list[Verified]:
    """Return those that no other beats in cost, quality and margin at once."""

    def worth(one: Verified) -> tuple[float, float, float]:
        loss = one.entry.quality.loss
        margin = tightest(search, one)
        return (
            search.cost(one.entry, one.replicas),
            float("inf") if loss is None else loss,
            -(margin if margin is not None else float("-inf")),
        )

    rows = [(one, worth(one)) for one in options]
    return [
        one
        for one, mine in rows
        if not any(
            all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine
            for _, other in rows
        )
    ]


def estimates(search: Search, best: Verified) -> Iterator[Verified]:
    """Yield the fleets that do on a stretch of the traffic, and were simulated on no more of it.

    From the longer window where there are both. What would cost less than the plan and was not
    refuted on all of the traffic cannot be: the search looked at it.
    """
    levels = search.levels
    least = search.cost(best.entry, best.replicas)
    whole = {each.entry.index for each in (*search.verified, *search.missed)}
    longer = {**search.scouted, **search.raced}
    for index, each in longer.items():
        if each.found is None or each.replicas is None or index in whole:
            continue
        level = levels[1] if index in search.raced else levels[0]
        likely = each.found.probability()
        if likely < search.constraints.confidence or search.cost(each.entry, each.replicas) < least:
            continue
        share = share_of(level, search.runner.setup.workload)
        yield Verified(
            each.entry, each.replicas, each.found, likely, each.found.probabilities(), (), share
        )


def share_of(level: Level, workload: Workload) -> float:
    """Return which share of the traffic, all replications together, a level simulates."""
    share = level.replications / workload.levels[2].replications
    if level.window is not None:
        share *= (level.window.end_s - level.window.start_s) / workload.draw(0).end_s
    return min(1.0, share)
