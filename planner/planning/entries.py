"""Candidates and what closed forms say about them: what they need at least, and why not.

The bounds that the traffic gives are worked out once; under other constraints they stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import InputError
from planner.planning.bounds import first_guess, fits, reason
from planner.planning.demand import Step, capacity, means
from planner.planning.option import Quality
from planner.planning.quality import quality, unmeasured
from planner.planning.unloaded import unloaded
from planner.scenario.objectives import LatencyObjective
from planner.simulation.run import admissible

if TYPE_CHECKING:
    from planner.planning.candidate import Candidate
    from planner.planning.constraints import Constraints
    from planner.planning.evaluation import Evaluator
    from planner.planning.workload import Workload
    from planner.simulation.system import System
    from planner.traffic.requests import Requests

#: Before it was looked up.
UNKNOWN = Quality(None, "not looked up")
#: Share by which the arrivals of other replications may fall short of the first one's.
SPREAD = 0.05
#: Why candidates are excluded by constraints on their settings, before their traffic is looked at.
REFUSED = frozenset({"not measured", "quality not known", "quality lost"})
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
    fluid : int
        How many a fluid approximation takes, whatever is allowed.
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
    fluid: int = 1
    missed: tuple[float | None, ...] = ()
    limit: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """Device and weights: candidates of one kind are variations of each other."""
        return self.candidate.device_name, self.candidate.settings.weights

    @property
    def guess(self) -> int:
        """Number of replicas to begin with."""
        return min(max(self.fluid, self.low), self.high)

    def rank(self) -> tuple[float, int]:
        """Return what sorts equals in cost: less quality lost, fewer numbers assumed."""
        loss = math.inf if self.quality.loss is None else self.quality.loss
        return loss, len(self.unmeasured)


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
    return _limited(_by_load(evaluator.workload, entry, system), constraints)


def _by_load(workload: Workload, entry: Entry, system: System) -> Entry:
    """Return `entry` with the bounds that the traffic gives."""
    drawn = workload.draw(0)
    step, requests = Step(system), taken(drawn, system)
    classes = {klass for klass, _ in workload.objectives}
    alone = {klass: unloaded(step, requests, klass) for klass in classes}
    missed = tuple(alone[klass].misses(each) for klass, each in workload.objectives)
    mean = means(requests, step.c.window)
    rate = workload.offered_per_s
    low, guess = 1, 1
    if rate is not None:
        rate *= len(requests) / len(drawn)
        low = max(1, math.ceil((1 - SPREAD) * rate / capacity(step, mean)))
        guess = first_guess(step, mean, rate, _tightest(workload), low)
    return replace(entry, low=low, fluid=guess, missed=missed)


def taken(requests: Requests, system: System) -> Requests:
    """Return the lengths of `requests` that a replica serves, as it serves them.

    Answers end where the context does, and prompts that leave no room for one are refused: what is
    not done needs no time, and a bound that counts it is none.
    """
    served, rejected, _ = admissible(requests, system)
    if not rejected.any():
        return served
    rows = np.flatnonzero(~rejected)
    columns = ("arrival_s", "prompt_tokens", "output_tokens", "class_id", "session_id", "think_s")
    return replace(served, closed=(), **{name: getattr(served, name)[rows] for name in columns})


def _limited(entry: Entry, constraints: Constraints) -> Entry:
    """Return `entry`, bounded by the traffic, with as many replicas as constraints allow."""
    most, binding = constraints.most(entry.candidate, entry.price, entry.watts)
    slow = any(value is not None for value in entry.missed)
    excluded = SLOW if slow else f"{BEYOND}{binding}" if most < entry.low else None
    return replace(entry, high=most, limit=binding, excluded=excluded)


def under(entry: Entry, constraints: Constraints) -> Entry | None:
    """Return `entry` under other constraints; None where its bounds have to be computed first."""
    if not math.isfinite(entry.price):
        return entry
    refused = constraints.refuses(entry.quality, entry.unmeasured)
    if refused:
        return replace(entry, excluded=refused)
    if entry.missed:
        return _limited(entry, constraints)
    return None if entry.excluded in REFUSED else entry


def _tightest(workload: Workload) -> float | None:
    """Return the smallest bound on the time between tokens [s]."""
    bounds = [
        each.seconds
        for _, each in workload.objectives
        if isinstance(each, LatencyObjective) and each.metric == "tpot"
    ]
    return min(bounds, default=None)
