"""Whose turn it is to be simulated on all of the traffic: fleets by cost, numbers by bracket."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from planner.planning.bracket import Bracket
from planner.planning.sizing import CLEAR

if TYPE_CHECKING:
    from collections.abc import Callable

    from planner.planning.entries import Entry
    from planner.planning.sizing import Sized
    from planner.planning.verify import Verified

#: What sorts equals in cost, :meth:`Entry.rank`.
Rank = tuple[float, int]
#: Costs that differ by less are the same [$/h].
PENNY = 1e-6


@dataclass
class Turns:
    """Fleets that are to be verified, the cheapest first.

    Parameters
    ----------
    cost : callable
        Of a number of replicas of a candidate, spares included. [$/h]
    """

    cost: Callable[[Entry, int], float]
    _queue: list[tuple[tuple[object, ...], int, Entry]] = field(default_factory=list)
    _tried: dict[int, Bracket] = field(default_factory=dict)
    _margins: dict[int, float] = field(default_factory=dict)

    def raced(self, raced: Sized, margin: float) -> None:
        """Add what the race found: one replica below it where that was close.

        Parameters
        ----------
        raced : Sized
            What it found.
        margin : float
            The tightest with so many replicas, as a share of the bound.
        """
        if raced.replicas is None:
            return
        close = raced.fewer > CLEAR
        bad = raced.entry.low - 1 if close else raced.replicas - 1
        self._tried[raced.entry.index] = Bracket(raced.entry.high, bad)
        self._margins[raced.entry.index] = margin
        self._put(raced.entry, raced.replicas - close, raced.fewer if close else raced.chance)

    def after(self, found: Verified, *, enough: bool) -> None:
        """Add the number of replicas to try after `found`, if any is left to try."""
        bracket = self._tried[found.entry.index]
        self._put(found.entry, bracket.following(found, enough=enough), 0.0)

    def take(
        self, best: float, rank: Rank | None, kinds: set[tuple[str, str]], keep: int
    ) -> tuple[Entry, int] | None:
        """Return whose turn it is, None if it is nobody's; what is not worth it is passed over.

        Parameters
        ----------
        best : float
            Cost of the cheapest plan found; what costs as much is looked at only if less of it is
            unknown, or while there are fewer than `keep` kinds of plans to compare, and if it is
            of another kind. [$/h]
        rank : tuple of float and int, or None
            Of that plan, :meth:`Entry.rank`.
        kinds : set
            Of the plans found.
        keep : int
            Kinds that are looked for.
        """
        while self._queue:
            merit, replicas, entry = heapq.heappop(self._queue)
            cost = self.cost(entry, replicas)
            tie = cost < best + PENNY and rank is not None and entry.rank() < rank
            if cost >= best - PENNY and not tie:
                if len(kinds) >= keep:
                    heapq.heappush(self._queue, (merit, replicas, entry))
                    return None
                if entry.kind in kinds:
                    continue
            return entry, replicas
        return None

    def _put(self, entry: Entry, replicas: int | None, chance: float) -> None:
        if replicas is not None:
            cost = round(self.cost(entry, replicas), 9)
            margin = self._margins[entry.index]
            merit = (cost, entry.rank(), -round(chance, 2), -margin, entry.index)
            heapq.heappush(self._queue, (merit, replicas, entry))
