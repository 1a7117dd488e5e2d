"""The plan: what to buy, what it does, what comes next, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.planning.limits import Bind, Infeasible
    from planner.planning.loads import LoadPoint
    from planner.planning.option import Option, Outage
    from planner.results.result import Result

#: Version of the JSON layout.
SCHEMA_VERSION = 1
#: Most that headroom is looked for, as a share: so much means at least so much.
MOST_HEADROOM = 4.0


@dataclass(frozen=True)
class Recommendation:
    """The cheapest fleet that meets every objective with the probability asked for, and why.

    Parameters
    ----------
    option : Option
        The fleet.
    metrics : mapping of str to mapping of str to mapping of str to float or None
        By metric (``ttft_s``) and statistic: ``value``, ``low``, ``high``. [s]
    binds : tuple of Bind
        What keeps it from being cheaper, the first thing first: constraints without which there
        is a cheaper plan, then what the tightest objective is made of most; last, the limit that
        allows no replica more.
    headroom : float or None
        Share by which the traffic may grow before an objective is missed, at most
        :data:`MOST_HEADROOM`; None where clients set the rate.
    because : str
        One sentence.
    outage : Outage or None
        Where there are spares.
    """

    option: Option
    metrics: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    binds: tuple[Bind, ...]
    headroom: float | None
    because: str
    outage: Outage | None = None

    @property
    def binding(self) -> str:
        """The first thing that binds."""
        return self.binds[0].name

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, keys in a fixed order."""
        found = self.option.to_json()
        del found["trade"]
        return {
            **found,
            "metrics": {name: dict(each) for name, each in self.metrics.items()},
            "binding": self.binding,
            "binds": [each.to_json() for each in self.binds],
            "headroom": self.headroom,
            "because": self.because,
            "outage": self.outage.to_json() if self.outage else None,
        }


@dataclass(frozen=True)
class Counts:
    """What became of the candidates.

    Parameters
    ----------
    total : int
        In the search space.
    excluded : mapping of str to int
        Never simulated, by reason.
    simulated : int
        The others.
    """

    total: int
    excluded: Mapping[str, int]
    simulated: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "total": self.total,
            "excluded": dict(self.excluded),
            "simulated": self.simulated,
        }


@dataclass(frozen=True)
class Influence:
    """What an uncertain input does to the plan, changed by itself.

    Parameters
    ----------
    name : str
        The input, as ``rate`` or ``storage_efficiency``.
    low, high : float
        Factors that it was multiplied by.
    enough : bool
        Whether the plan still meets its objectives at the worse end.
    fewer : bool
        Whether one replica fewer would do at the better end.
    cheaper : str
        Another fleet that is cheaper and would do at the better end, and its cost; or empty.
    """

    name: str
    low: float
    high: float
    enough: bool
    fewer: bool
    cheaper: str = ""

    @property
    def changes_plan(self) -> bool:
        """Whether the plan would be another at one of the ends."""
        return self.fewer or not self.enough or bool(self.cheaper)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "input": self.name,
            "low": self.low,
            "high": self.high,
            "still_enough": self.enough,
            "fewer_would_do": self.fewer,
            "cheaper_would_do": self.cheaper or None,
            "changes_plan": self.changes_plan,
        }


@dataclass(frozen=True)
class Difference:
    """One line of what changes against the fleet of the scenario.

    Parameters
    ----------
    sign : {"+", "-", "~"}
        Added, removed, changed.
    name : str
        Key, as ``replicas`` or ``kv_cache``.
    before, after : str
        Its values; empty where there is none.
    """

    sign: str
    name: str
    before: str
    after: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"sign": self.sign, "key": self.name, "before": self.before, "after": self.after}


@dataclass(frozen=True)
class PlanContext:
    """What was asked.

    Parameters
    ----------
    command : str
        Command line, or empty.
    tool_version : str
        Version of this program.
    scenario : mapping
        As resolved, JSON values.
    title : str
        Name of the scenario.
    seed : int
        Of all random streams.
    target : tuple of str
        Objectives.
    constraints : mapping of str to str
        Others that were given, as written on screen.
    confidence : float
        Probability asked for.
    profile : str
        One line on the profile.
    offered_per_s : float or None
        Mean rate of arrivals; None where clients set it. [1/s]
    """

    command: str
    tool_version: str
    scenario: Mapping[str, Any]
    title: str
    seed: int
    target: tuple[str, ...]
    constraints: Mapping[str, str]
    confidence: float
    profile: str
    offered_per_s: float | None


@dataclass(frozen=True)
class Plan:
    """The answer of a search.

    Parameters
    ----------
    context : PlanContext
        What was asked.
    recommendation : Recommendation or None
        None where nothing meets the constraints.
    alternatives : tuple of Option
        Next-cheaper and next-best, with what they trade.
    pareto : tuple of Option
        Of those that meet the objectives on what was simulated of them: none is cheaper, of
        better quality and of more margin at once. ``traffic_share`` says how much that was.
    counts : Counts
        Candidates by what became of them.
    infeasible : Infeasible or None
        Why there is no recommendation.
    today : Option or None
        The scenario's own fleet, simulated.
    difference : tuple of Difference
        From it to the recommendation.
    sensitivity : tuple of Influence
        Uncertain inputs, those that change the plan first.
    method : mapping of str to str or float or int
        How it was found: windows, replications, draws of the coefficients, evaluations.
    notices : tuple of str
        What was left out or assumed.
    simulation : Result or None
        Of the recommended fleet, spares included, on all of the traffic.
    loads : tuple of LoadPoint
        The same fleet at several rates.
    """

    context: PlanContext
    recommendation: Recommendation | None
    alternatives: tuple[Option, ...]
    pareto: tuple[Option, ...]
    counts: Counts
    infeasible: Infeasible | None
    today: Option | None = None
    difference: tuple[Difference, ...] = ()
    sensitivity: tuple[Influence, ...] = ()
    method: Mapping[str, str | float | int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    simulation: Result | None = None
    loads: tuple[LoadPoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values, keys in a fixed order, null where undefined."""
        context = self.context
        return {
            "schema_version": SCHEMA_VERSION,
            "tool_version": context.tool_version,
            "command": context.command,
            "scenario": dict(context.scenario),
            "seed": context.seed,
            "target": list(context.target),
            "constraints": dict(context.constraints),
            "confidence": context.confidence,
            "recommendation": self.recommendation.to_json() if self.recommendation else None,
            "alternatives": [each.to_json() for each in self.alternatives],
            "pareto": [each.to_json() for each in self.pareto],
            "candidates": self.counts.to_json(),
            "infeasible": self.infeasible.to_json() if self.infeasible else None,
            "today": self.today.to_json() if self.today else None,
            "difference": [each.to_json() for each in self.difference],
            "sensitivity": [each.to_json() for each in self.sensitivity],
            "method": dict(self.method),
            "notices": list(self.notices),
            "simulation": self.simulation.to_json() if self.simulation else None,
            "loads": [each.to_json() for each in self.loads],
        }
