"""Which fleets stand beside the recommendation: those a buyer would choose between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.planning.describe import bought
from planner.planning.front import estimates
from planner.planning.sensitive import cheaper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from planner.planning.search import Search
    from planner.planning.verify import Verified

#: Plans shown beside the recommendation.
ALTERNATIVES = 4


def alternatives(search: Search, found: list[Verified]) -> list[Verified]:
    """Return up to :data:`ALTERNATIVES` fleets to compare with the best, ``found[0]``.

    Other plans that were found, then the likeliest that cost less and miss, then those that do on
    a stretch of the traffic, of each kind of device and weights the cheapest first. Each differs
    from the best and from the others in what is bought: devices, their number, how the model is
    divided, data types or pruning. Where there is none, those that differ in the engine's settings.
    """
    best = found[0]
    others = [*found[1:], *cheaper(search, best), *_estimated(search, best)]
    different = list(_distinct(others, {bought(best)}))
    return (different or [each for each in others if each is not best])[:ALTERNATIVES]


def _distinct(several: Iterable[Verified], known: set[object]) -> Iterator[Verified]:
    """Yield the first of each fleet that is bought alike, and none that is bought as `known`."""
    seen = set(known)
    for each in several:
        if bought(each) not in seen:
            seen.add(bought(each))
            yield each


def _estimated(search: Search, best: Verified) -> list[Verified]:
    """Return the fleets of which there is an estimate: the cheapest of each kind, then others."""
    known = sorted(
        estimates(search, best),
        key=lambda each: (search.cost(each.entry, each.replicas), each.entry.rank()),
    )
    kinds = {best.entry.kind}
    first: list[Verified] = []
    rest: list[Verified] = []
    for each in known:
        (rest if each.entry.kind in kinds else first).append(each)
        kinds.add(each.entry.kind)
    return [*first, *rest]
