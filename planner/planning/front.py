"""The front: fleets that no other beats in cost, quality and margin at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.planning.describe import tightest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.planning.search import Search
    from planner.planning.verify import Verified


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
