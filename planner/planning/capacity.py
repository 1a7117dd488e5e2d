"""``planner capacity``: the highest rate, or number of clients, at which all objectives hold.

The scenario is simulated at one rate after the other, by bisection of the logarithm, always with
the same seed (common random numbers). Three thresholds are looked for among the same runs:

- the capacity: below it every objective is met by the value measured;
- the low end of its interval: below it every objective is met by the whole of its interval;
- the high end: above it some objective is missed by the whole of its interval.

A rate lies between the ends as long as the objectives' intervals there do not decide, so that the
ends cover the true capacity as often as the interval of the binding objective covers the true
value at that rate: a test inverted to an interval [1]_. Beyond the saturation rate there is no
steady state and no objective holds.

References
----------
.. [1] G. Casella, R. L. Berger, "Statistical Inference," 2nd ed., Duxbury 2002, section 9.2.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from planner.errors import InputError, Problem
from planner.evaluate import simulate
from planner.planning.capacity_result import PRECISION, Bound, Capacity, bounds
from planner.planning.cells import cell_of
from planner.planning.knobs import knob_of
from planner.planning.loads import LoadPoint
from planner.traffic.traces import read_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from planner.planning.knobs import Knob
    from planner.results.result import Result
    from planner.scenario.model import Scenario

#: Halvings below the scenario's own rate, and doublings above it, before the search gives up.
MOST_STEPS = 12

#: Simulations of a usual search, for its progress.
USUAL_RUNS = 20


def capacity(
    scenario: Scenario,
    *,
    command: str = "",
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Capacity:
    """Return the highest rate at which all objectives of a scenario hold.

    Where clients wait for their answers it is the highest number of clients instead, open-loop
    classes beside them left as they are.

    Parameters
    ----------
    scenario : Scenario
        With at least one objective.
    command : str
        Command line, for the result.
    progress : callable
        Called now and then with an estimate of the share that is done.

    Raises
    ------
    InputError
        If it has no objectives, or cannot be simulated.
    """
    if not scenario.objectives and not scenario.class_objectives():
        message = (
            "must be given, since capacity is the highest rate at which they hold; write for "
            "instance objectives: 'ttft:p95<500ms; tpot:p95<50ms'"
        )
        raise InputError(Problem(message, "objectives"))
    with read_once():
        found = _Search(scenario, knob_of(scenario), progress, command).found()
    progress(1.0)
    return found


@dataclass
class _Search:
    """The search: what was simulated so far, by value of the knob."""

    scenario: Scenario
    knob: Knob
    progress: Callable[[float], None]
    command: str
    runs: dict[float, Result] = field(default_factory=dict)
    unloaded: Result | None = None
    #: From here on there is no steady state.
    wall: float = math.inf

    def found(self) -> Capacity:
        """Return the capacity."""
        own = self.knob.own
        if self.knob.unit == "req/s":
            saturation = self.run(own).context.saturation_per_s
            self.wall = math.inf if saturation is None else saturation
        _value, calm = self.knob.unloaded(self.wall)
        self.unloaded = simulate(calm).result
        if surely_missed(self.unloaded):
            return self._capacity(None, self.unloaded, "unloaded", _missed(self.unloaded))
        holds = self._from(own, met)
        if holds is None:
            lowest = self.runs[min(self.runs)]
            return self._capacity(None, lowest, "objectives", _missed(lowest))
        fails = self._first_failing(holds, met)
        if fails is None:
            value = self.knob.most
            low = self._low(value)
            return self._capacity(value, self.run(value), "most", (), low=low)
        value, above = self._bisect(holds, fails, met)
        missed = (
            () if above >= self.wall or not self.run(above).steady else _missed(self.run(above))
        )
        ends_at = "objectives" if missed else "saturation"
        low, high = self._low(value), self._high(value)
        return self._capacity(
            value, self.run(value), ends_at, missed, low=low, high=high, above=above
        )

    def run(self, value: float) -> Result:
        """Return the result at `value`, simulated once."""
        if value not in self.runs:
            self.runs[value] = simulate(self.knob.at(value)).result
            self.progress(min(0.95, len(self.runs) / USUAL_RUNS))
        return self.runs[value]

    def test(self, value: float, holds: Callable[[Result], bool]) -> bool:
        """Return whether `holds` is true at `value`; beyond the wall nothing is."""
        return value < self.wall and holds(self.run(value))

    def _from(self, start: float, holds: Callable[[Result], bool]) -> float | None:
        """Return a value at which `holds` is true: `start`, or the first of its halves."""
        value = start if start < self.wall else self.wall / 2
        for _ in range(MOST_STEPS):
            value = self._rounded(value)
            if self.test(value, holds):
                return value
            if value / 2 < self.knob.least:
                return None
            value /= 2
        return None

    def _first_failing(self, value: float, holds: Callable[[Result], bool]) -> float | None:
        """Return a value above `value` at which `holds` is false; None if it is true to the end."""
        if math.isfinite(self.wall):
            return self.wall
        for _ in range(MOST_STEPS):
            if value >= self.knob.most:
                return None
            value = min(2 * value, self.knob.most)
            if not self.test(value, holds):
                return value
        raise InputError(
            Problem(
                f"must fail at some load for there to be a capacity, got objectives that hold at "
                f"{value:g} {self.knob.unit}; tighten them",
                "objectives",
            )
        )

    def _bisect(
        self, low: float, high: float, holds: Callable[[Result], bool]
    ) -> tuple[float, float]:
        """Return the last value tried at which `holds` is true and the first at which it is not.

        It is true at `low` and false at `high`; they end within :data:`PRECISION` of each other.
        """
        while high > low * (1 + PRECISION) and not (self.knob.whole and high - low <= 1):
            middle = self._rounded(math.sqrt(low * high))
            middle = min(max(middle, low + 1), high - 1) if self.knob.whole else middle
            if self.test(middle, holds):
                low = middle
            else:
                high = middle
        return low, high

    def _low(self, value: float) -> float | None:
        """Return the low end: the last value at which every objective is surely met."""
        start = self._from(value, surely_met)
        if start is None or start == value:
            return start
        above = min(each for each in [*self.runs, value] if each > start and not self._sure(each))
        return self._bisect(start, above, surely_met)[0]

    def _sure(self, value: float) -> bool:
        return self.test(value, surely_met)

    def _high(self, value: float) -> float | None:
        """Return the high end: the first value at which some objective is surely missed."""
        missed = [each for each in self.runs if each > value and surely_missed(self.runs[each])]
        above = min([*missed, self.wall])
        if not math.isfinite(above):
            return None
        below = max(
            each
            for each in self.runs
            if value <= each < above and not surely_missed(self.runs[each])
        )
        return self._bisect(below, above, lambda result: not surely_missed(result))[1]

    def _rounded(self, value: float) -> float:
        return max(1, round(value)) if self.knob.whole else value

    def _capacity(
        self,
        value: float | None,
        result: Result,
        ends_at: str,
        binds: tuple[Bound, ...],
        *,
        low: float | None = None,
        high: float | None = None,
        above: float | None = None,
    ) -> Capacity:
        saturation = result.context.saturation_per_s
        finite = saturation is not None and math.isfinite(saturation)
        return Capacity(
            title=self.scenario.name,
            unit=self.knob.unit,
            value=value,
            low=low,
            high=high,
            confidence=self.scenario.simulation.confidence,
            own=self.knob.own,
            replicas=_replicas(self.scenario),
            binds=binds,
            ends_at=ends_at,
            above=above,
            saturation_per_s=saturation if finite else None,
            result=result,
            runs=len(self.runs) + (self.unloaded is not None),
            loads=tuple(LoadPoint(each, cell_of(self.runs[each])) for each in sorted(self.runs)),
            command=self.command,
        )


def met(result: Result) -> bool:
    """Return whether every objective is met by the value measured."""
    return result.met


def surely_met(result: Result) -> bool:
    """Return whether every objective is met by the whole of its interval."""
    return all(each.outcome.met and each.outcome.sure for each in bounds(result))


def surely_missed(result: Result) -> bool:
    """Return whether some objective is missed by the whole of its interval."""
    return any(not each.outcome.met and each.outcome.sure for each in bounds(result))


def _missed(result: Result) -> tuple[Bound, ...]:
    return tuple(each for each in bounds(result) if not each.outcome.met)


def _replicas(scenario: Scenario) -> int | None:
    fleet = scenario.fleet
    if fleet is None:
        return None
    return fleet.replicas if fleet.autoscaler is None else fleet.autoscaler.max_replicas
