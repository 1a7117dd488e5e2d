"""Which number of replicas to verify next: up from too few, down from enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.planning.verify import Verified


@dataclass
class Bracket:
    """Numbers of replicas of one candidate between which the fewest that do lie.

    Parameters
    ----------
    high : int
        Most that are allowed.
    bad : int
        Most that are known to be too few.
    good : int or None
        Fewest that do, of those tried.
    ratios : tuple of float
        Of the tallies with `bad`, where it was tried.
    failures, successes : int
        How often it was too few, and how often enough.
    """

    high: int
    bad: int
    good: int | None = None
    ratios: tuple[float, ...] = ()
    failures: int = 0
    successes: int = 0

    def following(self, found: Verified, *, enough: bool) -> int | None:
        """Return how many replicas to try next, None if that is settled.

        One more at first, then twice as many more each time, or one fewer and twice as many
        fewer, until the fewest lie between two numbers that were tried; then by halves. Nothing
        further where more replicas changed nothing.
        """
        n, ratios = found.replicas, tuple(each.ratio for each in found.found.tallies)
        if enough:
            self.good, self.successes = n, self.successes + 1
        else:
            if ratios == self.ratios and self.good is None:
                return None
            self.bad, self.ratios, self.failures = n, ratios, self.failures + 1
        if self.good is None:
            following = min(self.high, n + (1 << max(0, self.failures - 2)))
            return following if following > n else None
        if self.good - self.bad <= 1:
            return None
        if not self.failures:
            return max(self.bad + 1, self.good - (1 << (self.successes - 1)))
        return (self.good + self.bad) // 2
