"""The search finds the cheapest fleet although shorter windows mislead it, and works no more.

In a small world made for it: of each candidate it is known how many replicas it needs on each
window of the traffic, and so many requests miss with one fewer.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from planner.catalog.profile import load_profile
from planner.planning.constraints import Constraints
from planner.planning.entries import Entry, bounded
from planner.planning.found import Found
from planner.planning.option import Quality
from planner.planning.probability import Tally
from planner.planning.search import WAVE, Search
from planner.planning.sizing import sized
from planner.planning.workload import Level, Window
from planner.scenario.objectives import parse_objectives

LEVELS = (
    Level("scout", Window(0.0, 10.0, 1.0), 1),
    Level("race", Window(0.0, 50.0, 1.0), 2),
    Level("full", None, 5),
)
ANY = Constraints(
    max_cost=1e9, max_devices={}, max_power=1e9, max_quality_loss=None, measured_only=False,
    max_replicas=20, spares=0, availability=None, up=1.0, confidence=0.95,
)  # fmt: skip
ALLOWED, REQUESTS = 0.05, 1000.0


@dataclass(frozen=True)
class Thing:
    """A candidate of the small world.

    Parameters
    ----------
    key, device_name : str
        Names.
    price : float
        Of one replica [$/h].
    needs : tuple of int
        Replicas on the scout's window, on the race's, and on all of the traffic.
    short : float
        Share of requests that miss with one replica fewer, and so on.
    latency : float
        Of the only objective, which bounds it by 0.2 [s].
    loss : float or None
        Of quality.
    """

    key: str
    device_name: str
    price: float
    needs: tuple[int, int, int]
    short: float = 0.5
    latency: float = 0.1
    loss: float | None = 0.0

    @property
    def settings(self):
        """All have the same weights, so that devices are the kinds."""
        return SimpleNamespace(weights="bf16")


class World:
    """An evaluator, and a runner that sends everything to it; `log` has what was simulated."""

    def __init__(self):
        workload = SimpleNamespace(
            levels=LEVELS,
            objectives=((None, parse_objectives("ttft:p95<200ms")[0]),),
            offered_per_s=None,
            scenario=SimpleNamespace(simulation=SimpleNamespace(seed=1)),
        )
        self.workload = workload
        self.setup = SimpleNamespace(workload=workload)
        self.log = []

    def system(self, _candidate):
        return SimpleNamespace(device=SimpleNamespace(name="any"), profile=load_profile("assumed"))

    def evaluate(self, candidate, replicas, level):
        return self.replicate(candidate, replicas, level, 0)

    def replicate(self, candidate, replicas, level, replication):
        """Return no miss where there are enough replicas, else more with each that is missing."""
        self.log.append((candidate.key, replicas, level.name, replication))
        missing = max(0, candidate.needs[LEVELS.index(level)] - replicas)
        bad = REQUESTS * (1 - (1 - candidate.short) ** missing)
        tally = Tally((bad / 10,) * 10, (REQUESTS / 10,) * 10, ALLOWED)
        return Found((tally,), (candidate.latency,), 1.0, 0.1, 0.0)

    def map(self, function, rows):
        for _candidate, args in rows:
            if function is bounded:
                yield [self.entry(index, one, args[1]) for index, one in args[0]]
            else:
                yield function(self, *args)

    def entry(self, index, thing, constraints):
        low = min(thing.needs)
        return Entry(
            index, thing, None, thing.price, None, Quality(thing.loss, ""),
            low=low, high=constraints.max_replicas, fluid=thing.needs[0],
        )  # fmt: skip


def search(*things, constraints=ANY):
    world = World()
    made = Search(world, list(things), constraints, lambda _share: None)
    return made, world.log


def crowd(kind, price, needs):
    """Return candidates that fill half of the first wave."""
    return [Thing(f"{kind}{k}", kind, price, needs) for k in range(WAVE // 2)]


def test_where_the_cheapest_turns_out_dearer_what_lies_between_is_looked_at_again():
    """Two kinds look as if one replica would do and need five; a third was too dear to be raced."""
    passed_over = Thing("c", "C", 2.0, (1, 1, 1))
    made, log = search(*crowd("A", 1.0, (1, 1, 5)), *crowd("B", 1.0, (1, 1, 6)), passed_over)
    best = made.run()[0]
    assert (best.entry.candidate, best.replicas) == (passed_over, 1)
    first = next(k for k, each in enumerate(log) if each[0] == "c")
    full = next(k for k, each in enumerate(log) if each[2] == "full")
    assert first > full  # not before the others had been verified, and found dearer


def test_what_cannot_be_cheaper_is_never_simulated():
    made, log = search(
        *crowd("A", 1.0, (2, 2, 2)), *crowd("B", 1.0, (2, 2, 2)), Thing("c", "C", 2.4, (1, 1, 1))
    )
    assert made.run()[0].replicas == 2
    assert "c" not in {each[0] for each in log}
    assert made.counts() == {"dearer than the plan": 1}


def test_a_fleet_that_just_misses_on_a_stretch_is_tried_on_all_of_the_traffic():
    """Of `c` no more replicas may be had than three: too few by little in the race, and enough."""
    just = Thing("c", "C", 0.9, (4, 4, 3), short=0.052)
    made, log = search(*crowd("A", 1.0, (3, 3, 3)), *crowd("B", 1.0, (3, 3, 3)), just)
    best = made.run()[0]
    assert ("c", 4, "race", 0) not in log
    assert ("c", 3, "race", 0) in log
    assert (best.entry.candidate, best.replicas) == (just, 3)


def test_a_fleet_that_clearly_misses_on_a_stretch_is_not():
    clear = Thing("c", "C", 0.9, (4, 4, 3), short=0.5)
    made, log = search(*crowd("A", 1.0, (3, 3, 3)), *crowd("B", 1.0, (3, 3, 3)), clear)
    assert made.run()[0].replicas == 3
    assert ("c", 3, "full", 0) not in log


@pytest.mark.parametrize(("short", "replicas", "fewer"), [(0.052, 4, True), (0.5, None, False)])
def test_one_more_than_may_be_had_stands_for_not_clearly_too_few(short, replicas, fewer):
    world = World()
    entry = world.entry(0, Thing("a", "A", 1.0, (4, 4, 3), short), ANY)
    found = sized(world, entry, LEVELS[1], 4, 3)
    assert (found.replicas, found.found) == (replicas, None)
    assert (found.fewer > 0.001) is fewer


@pytest.mark.parametrize(("short", "runs"), [(0.9, 2), (0.0, 5), (0.05, 80)])
def test_more_replications_are_spent_where_the_decision_is_close(short, runs):
    made, log = search(Thing("a", "A", 1.0, (1, 1, 2), short))
    made.verify(World().entry(0, made.candidates[0], ANY), 1)
    assert sorted(each[3] for each in log) == list(range(runs))


def test_of_equal_cost_the_known_quality_wins_over_the_larger_margin():
    """Also where it took more steps to find how many of it are enough."""
    unknown = Thing("a", "A", 1.0, (5, 5, 5), latency=0.01, loss=None)
    known = Thing("b", "B", 1.0, (2, 2, 5), latency=0.15)
    made, log = search(unknown, known)
    best = made.run()[0]
    assert (best.entry.candidate, best.replicas) == (known, 5)
    assert ("a", 5, "full", 0) in log


def test_of_equal_cost_and_quality_the_larger_margin_wins():
    less, more = (
        Thing(key, "A", 1.0, (2, 2, 2), latency=s) for key, s in (("a", 0.15), ("b", 0.1))
    )
    made, _ = search(less, more)
    assert made.run()[0].entry.candidate == more
