"""The nearest target that can be met, where the one asked for cannot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from planner.planning.describe import option
from planner.planning.entries import SLOW
from planner.planning.limits import Nearest
from planner.planning.looser import looser_than, stretched
from planner.scenario.objectives import GoodputObjective, LatencyObjective

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from planner.planning.candidate import Candidate
    from planner.planning.entries import Entry
    from planner.planning.evaluation import Evaluator
    from planner.planning.found import Found
    from planner.planning.search import Search
    from planner.planning.workload import Level
    from planner.scenario.objectives import Objective

    #: Makes the same search with other objectives, candidates, constraints or plans to keep.
    Again = Callable[..., Search]

#: Candidates of which the nearest to the target is looked for.
NEAREST = 8
#: Replicas beyond which more hardly help latency, for the nearest target.
MOST_TRIED = 64
#: By how much an objective is loosened beyond what was simulated, and again where not enough.
ROOM, MORE_ROOM, TRIES = 0.03, 0.1, 6
#: Share of the requests asked for below which a goodput's bounds are loosened rather than it.
HOPE = 0.5
#: By how much those may be longer, and how often the factor is halved.
LONGEST, HALVINGS = 1e6, 3


def distance(objective: Objective, value: float | None) -> float:
    """Return how far a value is from the bound: above 1 misses it."""
    if value is None:
        return math.inf
    if isinstance(objective, LatencyObjective):
        return value / objective.seconds
    return objective.share / value if value > 0 else math.inf


def nearest_target(search: Search, again: Again) -> Nearest | None:
    """Return the plan for the nearest target that can be met within all constraints."""
    possible = [
        each for each in search.entries if each.excluded in {None, SLOW} and each.high >= each.low
    ]
    if not possible:
        return None
    workload = search.runner.setup.workload

    def floor(entry: Entry) -> float:
        pairs = zip(workload.objectives, entry.missed, strict=True)
        return max((distance(o, v) for (_, o), v in pairs if v is not None), default=0.0)

    possible.sort(key=lambda e: (floor(e), -_seen(search, e), e.price, e.index))
    rows: list[tuple[Candidate | None, tuple[object, ...]]]
    rows = [(e.candidate, _most_tried(e, search.levels[1])) for e in possible[:NEAREST]]
    tried = list(search.runner.map(at_most, rows))
    own = [each for _, each in workload.objectives]
    far = [
        tuple(
            sorted((distance(o, v) for o, v in zip(own, found.values, strict=True)), reverse=True)
        )
        for found in tried
    ]
    factors: dict[str, float] = {}  # by device: the rest hardly changes how long it takes
    for entry, found in zip(possible, tried, strict=False):
        if entry.candidate.device_name not in factors:
            factor = _stretch(again, entry, _beyond(own, found))
            factors[entry.candidate.device_name] = factor
    names = [each.candidate.device_name for each in possible]
    best = min(range(len(tried)), key=lambda k: (factors[names[k]], far[k]))
    factor = factors[names[best]]
    if math.isinf(factor):
        return None
    return _loosened(again, possible[best], tried[best], factor, search.constraints.confidence)


def _seen(search: Search, entry: Entry) -> float:
    found = search.scouted.get(entry.index)
    return found.chance if found else 0.0


def at_most(evaluator: Evaluator, candidate: Candidate, low: int, high: int, level: Level) -> Found:
    """Return what the most replicas of a candidate do that are worth trying."""
    return evaluator.evaluate(candidate, max(low, high), level)


def _loosened(
    again: Again, entry: Entry, found: Found, factor: float, confidence: float
) -> Nearest | None:
    """Return the plan of one candidate for the target that it can meet."""
    room = ROOM
    objectives = again().runner.setup.workload.objectives
    beyond = _beyond([each for _, each in objectives], found)
    for _ in range(TRIES):
        wanted = []
        for k, ((klass, each), chance) in enumerate(
            zip(objectives, found.probabilities(), strict=True)
        ):
            looser = each if chance >= confidence else looser_than(each, found.values[k], room)
            if k in beyond and isinstance(each, GoodputObjective):
                looser = stretched(each, factor * (1 + room))
            if looser is None:
                return None
            wanted.append((klass, looser))
        trial = again(objectives=tuple(wanted), candidates=[entry.candidate])
        plans = trial.run()
        if plans:
            text = "; ".join(each.text for _, each in wanted)
            return Nearest(f"--target '{text}'", option(trial, plans[0]))
        room += MORE_ROOM
    return None


def _beyond(objectives: Sequence[Objective], found: Found) -> list[int]:
    """Return the places of goodputs of which the bounds, rather than the share, cannot be met."""
    return [
        k
        for k, (each, value) in enumerate(zip(objectives, found.values, strict=True))
        if isinstance(each, GoodputObjective) and (value or 0.0) < HOPE * each.share
    ]


def _stretch(again: Again, entry: Entry, beyond: list[int]) -> float:
    """Return by how much the bounds of the objectives `beyond` have to be longer.

    Doubled until the most replicas that are worth trying do, then halved between, on the
    logarithm; 1 without any, infinite beyond what is sensible.
    """
    if not beyond:
        return 1.0

    def holds(factor: float) -> bool:
        objectives = [
            (
                klass,
                stretched(each, factor)
                if k in beyond and isinstance(each, GoodputObjective)
                else each,
            )
            for k, (klass, each) in enumerate(again().runner.setup.workload.objectives)
        ]
        trial = again(objectives=tuple(objectives), candidates=[entry.candidate])
        work = [(entry.candidate, _most_tried(entry, trial.levels[0]))]
        tallies = next(iter(trial.runner.map(at_most, work))).tallies
        return all(tallies[k].ratio <= tallies[k].allowed for k in beyond)

    high = 2.0
    while not holds(high):
        high *= 2
        if high > LONGEST:
            return math.inf
    low = high / 2
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _most_tried(entry: Entry, level: Level) -> tuple[object, ...]:
    """Return the arguments of :func:`at_most` for a candidate."""
    return entry.candidate, entry.low, min(entry.high, max(MOST_TRIED, entry.low)), level
