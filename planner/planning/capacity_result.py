"""The capacity of a scenario: its interval, what ends it, and its JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from planner import __version__
from planner.planning.cells import cell_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.planning.loads import LoadPoint
    from planner.results.objectives import Outcome
    from planner.results.result import Result

#: Version of the JSON layout.
SCHEMA_VERSION = 1

#: The capacity is known to within this share.
PRECISION = 0.01

#: A run shorter than so many mean answers ends before a queue has built up.
LEAST_ANSWERS = 20

#: A client that sends fewer requests has hardly been round its loop.
LEAST_EACH = 5


class Bound(NamedTuple):
    """An objective at some rate.

    Parameters
    ----------
    class_name : str or None
        Class of requests that it is of; None for all.
    outcome : Outcome
        What came of it.
    """

    class_name: str | None
    outcome: Outcome


class Interval(NamedTuple):
    """The interval of a capacity.

    Parameters
    ----------
    low, high : float or None
        Its ends; None where the sample cannot bound it.
    confidence : float or None
        None where there is no interval.
    """

    low: float | None
    high: float | None
    confidence: float | None


@dataclass(frozen=True)
class Capacity:
    """The capacity of a scenario.

    Parameters
    ----------
    title : str
        Name of the scenario.
    unit : str
        ``req/s`` or ``clients``.
    value : float or None
        Highest value tried at which every objective is met; None if there is none.
    low, high : float or None
        Up to where every objective is surely met, from where one is surely missed; None where the
        sample cannot tell.
    confidence : float
        Of the scenario's intervals; :attr:`interval` has it where the ends are one.
    own : float
        Where the scenario has it.
    replicas : int or None
        Over which the capacity is divided: those of the fleet, or the most that its autoscaler
        may order; None without a fleet.
    binds : tuple of Bound
        Objectives missed just above the capacity; without a capacity those missed without load.
        Empty where it is the saturation rate that ends it, or nothing does.
    ends_at : {"objectives", "saturation", "most", "unloaded"}
        What ends it; ``most`` where the scenario has no more clients or requests to offer,
        ``unloaded`` where an objective is missed even without load.
    above : float or None
        Lowest value tried at which they do not all hold.
    saturation_per_s : float or None
        Highest rate that the fleet sustains. [1/s]
    result : Result
        Of the simulation at the capacity; without one, of that without load or at the lowest
        value tried.
    runs : int
        How many simulations it took.
    loads : tuple of LoadPoint
        Every value that was simulated with what came of it, by increasing value.
    command : str
        Command line, or empty.
    """

    title: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    confidence: float
    own: float
    replicas: int | None
    binds: tuple[Bound, ...]
    ends_at: str
    above: float | None
    saturation_per_s: float | None
    result: Result
    runs: int
    loads: tuple[LoadPoint, ...] = ()
    command: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether the ends are an interval of the confidence, as those of the objectives there are.

        Too few time blocks leave a run without: then the ends only say where rates on either side,
        whose runs have them, decide.
        """
        ends = [
            end for each in bounds(self.result) for end in (each.outcome.low, each.outcome.high)
        ]
        return any(end is not None for end in ends)

    @property
    def interval(self) -> Interval:
        """The ends and the confidence that they are of; all None where they are no interval."""
        if not self.has_interval:
            return Interval(None, None, None)
        return Interval(self.low, self.high, self.confidence)

    @property
    def headroom(self) -> float | None:
        """How much more traffic than its own the scenario stands, as a share; negative if less."""
        return None if self.value is None else self.value / self.own - 1

    @property
    def per_replica(self) -> float | None:
        """Capacity over replicas."""
        if self.value is None or self.replicas is None:
            return None
        return self.value / self.replicas

    def parts(self) -> dict[str, float] | None:
        """Return what the binding latency is made of at the capacity; None where not recorded."""
        for each in self.binds:
            metric, _, rest = each.outcome.objective.partition(":")
            statistic = rest.partition("<")[0]
            group = self.result.classes[each.class_name] if each.class_name else self.result.whole
            parts = group.metrics.parts.get(metric, {}).get(statistic, {})
            known = {name: part for name, part in parts.items() if part is not None}
            if known:
                return known
        return None

    def notices(self) -> list[str]:
        """Return what limits the capacity beyond its interval."""
        metrics, offered = self.result.whole.metrics, self.result.context.offered_per_s
        answer = metrics.latency["e2e"]["mean"].value
        if self.value is None:
            return []
        if self.unit == "clients":
            each = metrics.requests["arrived"] / self.result.replications / self.value
            what = f"each client sends only {each:.2g} requests"
            return [f"{what}; give the traffic more"] * (each < LEAST_EACH)
        window = metrics.measured / self.result.replications / offered if offered else math.inf
        if not answer or window >= LEAST_ANSWERS * answer:
            return []
        what = f"a run lasts {window:.2g} s and a mean answer {answer:.2g} s"
        return [f"{what}: a queue hardly has time to build up; give the traffic more requests"]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; ``planner schema capacity`` describes them."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tool_version": __version__,
            "command": self.command,
            "scenario": self.title,
            "unit": self.unit,
            "capacity": self.value,
            **self.interval._asdict(),
            "per_replica": self.per_replica,
            "replicas": self.replicas,
            "own": self.own,
            "headroom": self.headroom,
            "saturation_requests_per_s": self.saturation_per_s,
            "ends_at": self.ends_at,
            "above": self.above,
            "binds": [
                {
                    "class": each.class_name,
                    "objective": each.outcome.objective,
                    "value": each.outcome.value,
                    "bound": each.outcome.bound,
                }
                for each in self.binds
            ],
            "parts": self.parts(),
            "at": cell_of(self.result),
            "method": {
                "statement": self.result.intervals.statement,
                "precision": PRECISION,
                "simulations": self.runs,
            },
            "notices": self.notices(),
            "simulation": self.result.to_json(),
            "loads": [each.to_json() for each in self.loads],
        }


def bounds(result: Result) -> Iterator[Bound]:
    """Yield every objective of a result with the class that it is of."""
    for each in result.whole.objectives:
        yield Bound(None, each)
    for name, group in result.classes.items():
        for each in group.objectives:
            yield Bound(name, each)
