"""How many replicas a candidate needs: a bisection of simulations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from planner.planning.candidate import Candidate
    from planner.planning.entries import Entry
    from planner.planning.evaluation import Evaluator
    from planner.planning.found import Found
    from planner.planning.workload import Level

#: Below this a probability is clear: more traffic would not turn it.
CLEAR = 1e-3


@dataclass(frozen=True)
class Sized:
    """How many replicas a candidate needs on a level.

    Parameters
    ----------
    entry : Entry
        The candidate.
    replicas : int or None
        Fewest that are likely enough; one more than are allowed where those are not clearly too
        few; None if no allowed number is.
    chance : float
        That all objectives are met with that many (or the most that were tried), at most.
    fewer : float
        The same with one replica fewer; 0 where that is known to be too few.
    found : Found or None
        What so many do; None where none is enough.
    """

    entry: Entry
    replicas: int | None
    chance: float
    fewer: float
    found: Found | None = None


def least_steady(evaluator: Evaluator, candidate: Candidate) -> int:
    """Return the fewest replicas that sustain the load: fewer have no steady state."""
    rate = evaluator.workload.offered_per_s
    return 1 if rate is None else max(1, math.ceil(rate / evaluator.saturation(candidate)))


def sized(evaluator: Evaluator, entry: Entry, level: Level, guess: int, high: int) -> Sized:
    """Return how many replicas `entry` needs on `level`, of at most `high`."""
    candidate = entry.candidate
    low = max(entry.low, least_steady(evaluator, candidate))
    tried: dict[int, Found] = {}

    def passes(replicas: int) -> bool:
        tried[replicas] = evaluator.evaluate(candidate, replicas, level)
        return tried[replicas].holds

    found = smallest(passes, guess, low, high) if low <= high else None
    if found is None:
        last = tried[high].chance if high in tried else 0.0
        if last > CLEAR:  # more of the traffic may show that they are enough
            return Sized(entry, high + 1, 1.0, last)
        return Sized(entry, None, max((each.chance for each in tried.values()), default=0.0), 0.0)
    fewer = tried[found - 1].chance if found - 1 in tried else 0.0
    return Sized(entry, found, tried[found].chance, fewer, tried[found])


def smallest(passes: Callable[[int], bool], guess: int, low: int, high: int) -> int | None:
    """Return the smallest number from `low` to `high` that passes, None if `high` does not.

    Begins at `guess`, doubles its stride until the answer is between two numbers tried, and
    bisects. Numbers above one that passes are taken to pass.
    """
    at = min(max(guess, low), high)
    if passes(at):
        bad, good = _down(passes, at, low)
    else:
        bad, most = _up(passes, at, high)
        if most is None:
            return None
        good = most
    while good - bad > 1:
        middle = (good + bad) // 2
        if passes(middle):
            good = middle
        else:
            bad = middle
    return good


def _down(passes: Callable[[int], bool], good: int, low: int) -> tuple[int, int]:
    """Return a number that does not pass (or ``low - 1``) and one that does."""
    stride = 1
    while good > low:
        trial = max(low, good - stride)
        if not passes(trial):
            return trial, good
        good, stride = trial, 2 * stride
    return low - 1, good


def _up(passes: Callable[[int], bool], bad: int, high: int) -> tuple[int, int | None]:
    """Return a number that does not pass and one that does, None if `high` does not."""
    stride = max(1, bad // 8)
    while bad < high:
        trial = min(high, bad + stride)
        if passes(trial):
            return bad, trial
        bad, stride = trial, 2 * stride
    return bad, None
