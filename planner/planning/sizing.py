"""How many replicas: closed forms first, then a bisection of simulations."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.planning.bounds import first_guess, fits, reason
from planner.planning.demand import Step, capacity, means
from planner.planning.option import Quality
from planner.planning.quality import quality, unmeasured
from planner.planning.unloaded import unloaded
from planner.scenario.objectives import LatencyObjective

if TYPE_CHECKING:
    from collections.abc import Callable

    from planner.planning.candidate import Candidate
    from planner.planning.constraints import Constraints
    from planner.planning.evaluation import Evaluator
    from planner.planning.found import Found
    from planner.planning.workload import Level, Workload
    from planner.simulation.system import System

#: Below this a probability is clear: more traffic would not turn it.
CLEAR = 1e-3
#: Before it was looked up.
UNKNOWN = Quality(None, "not looked up")
#: Share by which the arrivals of other replications may fall short of the first one's.
SPREAD = 0.05


#: Why candidates are excluded whose traffic, and not whose settings, is what cannot be.
SLOW, BEYOND = "too slow even unloaded", "beyond the limit: "


@dataclass(frozen=True)
class Entry:
    """A candidate and what closed forms say about it.

    Parameters
    ----------
    index : int
        Its place in the search space.
    candidate : Candidate
        One replica.
    excluded : str or None
        Why it cannot be the plan, or None.
    price, watts : float
        Of one replica. [$/h], [W]
    quality : Quality
        Of its settings.
    unmeasured : tuple of str
        Numbers behind it that nobody measured.
    low, high : int
        Fewest replicas that could do, and most that are allowed.
    guess : int
        Where to begin.
    missed : tuple of float or None
        For each objective the value that an empty replica already misses it with.
    limit : str
        What allows no more than `high`: ``cost, devices, power, replicas``.
    """

    index: int
    candidate: Candidate
    excluded: str | None
    price: float = math.inf
    watts: float | None = None
    quality: Quality = UNKNOWN
    unmeasured: tuple[str, ...] = ()
    low: int = 1
    high: int = 1
    guess: int = 1
    missed: tuple[float | None, ...] = ()
    limit: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """Device and weights: candidates of one kind are variations of each other."""
        return self.candidate.device_name, self.candidate.settings.weights

    def rank(self) -> tuple[float, int]:
        """Return what sorts equals in cost: less quality lost, fewer numbers assumed."""
        loss = math.inf if self.quality.loss is None else self.quality.loss
        return loss, len(self.unmeasured)


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


def bounded(
    evaluator: Evaluator, rows: list[tuple[int, Candidate]], constraints: Constraints
) -> list[Entry]:
    """Return what closed forms say about some candidates, given by place and candidate."""
    return [_bounded(evaluator, index, each, constraints) for index, each in rows]


def _bounded(
    evaluator: Evaluator, index: int, candidate: Candidate, constraints: Constraints
) -> Entry:
    try:
        system = evaluator.system(candidate)
    except InputError as error:
        return Entry(index, candidate, reason(error))
    lost = quality(system)
    assumed = unmeasured(system, lost)
    price = system.price
    entry = Entry(index, candidate, None, quality=lost, unmeasured=assumed, watts=price.watts)
    if price.usd_per_hour is None:
        return replace(entry, excluded="no price")
    entry = replace(entry, price=price.usd_per_hour)
    refused = constraints.refuses(lost, assumed) or fits(evaluator.workload, system)
    if refused:
        return replace(entry, excluded=refused)
    return _by_load(evaluator.workload, entry, system, constraints)


def _by_load(workload: Workload, entry: Entry, system: System, constraints: Constraints) -> Entry:
    """Return `entry` with the bounds that the traffic gives."""
    step, requests = Step(system), workload.draw(0)
    classes = {klass for klass, _ in workload.objectives}
    alone = {klass: unloaded(step, requests, klass) for klass in classes}
    missed = tuple(alone[klass].misses(each) for klass, each in workload.objectives)
    mean = means(requests, step.c.window)
    rate = workload.offered_per_s
    low, guess = 1, 1
    if rate is not None:
        low = max(1, math.ceil((1 - SPREAD) * rate / capacity(step, mean)))
        guess = first_guess(step, mean, rate, _tightest(workload), low)
    most, binding = constraints.most(entry.candidate, system.price)
    entry = replace(entry, low=low, high=most, missed=missed, limit=binding)
    if any(value is not None for value in missed):
        return replace(entry, excluded=SLOW)
    if most < low:
        return replace(entry, excluded=f"{BEYOND}{binding}")
    return replace(entry, guess=min(max(guess, low), most))


def _tightest(workload: Workload) -> float | None:
    """Return the smallest bound on the time between tokens [s]."""
    bounds = [
        each.seconds
        for _, each in workload.objectives
        if isinstance(each, LatencyObjective) and each.metric == "tpot"
    ]
    return min(bounds, default=None)


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
