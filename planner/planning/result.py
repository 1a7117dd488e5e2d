"""The plan: what to buy, what it does, what comes next, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.planning.candidate import Candidate

#: Version of the JSON layout.
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Quality:
    """What the settings of a plan cost in quality.

    Parameters
    ----------
    loss : float or None
        Rise in perplexity over the model as its makers store it, as a share, never below 0; None
        where nobody has measured it.
    source : str
        Where the number comes from, or what would supply it.
    """

    loss: float | None
    source: str


@dataclass(frozen=True)
class Outcome:
    """An objective and what a plan does about it.

    Parameters
    ----------
    objective : str
        As written.
    class_name : str or None
        Class of requests it speaks of; None for all.
    value, low, high : float or None
        What was simulated, with its interval: seconds, or a share for goodput.
    bound : float
        What is asked for, in the unit of `value`.
    probability : float
        That it is met in the long run.
    """

    objective: str
    class_name: str | None
    value: float | None
    low: float | None
    high: float | None
    bound: float
    probability: float

    @property
    def is_share(self) -> bool:
        """Whether `value` is a share of requests rather than seconds."""
        return self.objective.startswith("goodput")

    @property
    def margin(self) -> float | None:
        """What is left to the bound, as a share of it; below 0 where the objective is missed."""
        if self.value is None:
            return None
        left = (self.bound - self.value) / self.bound
        return -left if self.is_share else left

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "objective": self.objective,
            "class": self.class_name,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "bound": self.bound,
            "margin": self.margin,
            "probability": self.probability,
        }


@dataclass(frozen=True)
class Option:
    """A fleet that was simulated: a candidate, how many replicas, and what it does.

    Parameters
    ----------
    candidate : Candidate
        One replica.
    replicas : int
        Replicas that serve, spares left out.
    spares : int
        Replicas beside them for failures; they serve too.
    usd_per_hour : float or None
        Price of all devices, spares included. [$/h]
    usd_per_million_output_tokens : float or None
        That price over the output tokens finished. [$]
    watts : float or None
        Design power of all devices: the most they may draw. [W]
    quality : Quality
        What the settings cost in quality.
    probability : float
        That all objectives are met in the long run; no less than this.
    outcomes : tuple of Outcome
        Each objective.
    unmeasured : tuple of str
        Speeds and qualities behind it that were assumed rather than measured.
    trade : str
        Against the recommendation: what one gains and gives up.
    """

    candidate: Candidate
    replicas: int
    spares: int
    usd_per_hour: float | None
    usd_per_million_output_tokens: float | None
    watts: float | None
    quality: Quality
    probability: float
    outcomes: tuple[Outcome, ...]
    unmeasured: tuple[str, ...] = ()
    trade: str = ""

    @property
    def devices(self) -> int:
        """Devices of all replicas, spares included."""
        return (self.replicas + self.spares) * self.candidate.devices_per_replica

    @property
    def pools(self) -> list[dict[str, Any]]:
        """The fleet as JSON values: one pool of identical replicas."""
        one = self.candidate
        return [
            {
                "device": one.device_name,
                "replicas": self.replicas + self.spares,
                "spares": self.spares,
                "tensor_parallel": one.tensor_parallel,
                "pipeline_parallel": one.pipeline_parallel,
                "settings": one.settings.model_dump(mode="json"),
                "engine": one.engine.model_dump(mode="json"),
                "router": one.router.model_dump(mode="json"),
            }
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, keys in a fixed order."""
        return {
            "pools": self.pools,
            "devices": self.devices,
            "usd_per_hour": self.usd_per_hour,
            "usd_per_million_output_tokens": self.usd_per_million_output_tokens,
            "watts_at_design_power": self.watts,
            "quality_loss": self.quality.loss,
            "quality_source": self.quality.source,
            "probability": self.probability,
            "objectives": [each.to_json() for each in self.outcomes],
            "unmeasured": list(self.unmeasured),
            "trade": self.trade,
        }


@dataclass(frozen=True)
class Outage:
    """What happens when spares' worth of replicas is lost in the middle of the traffic.

    Parameters
    ----------
    lost : int
        Replicas that fail at once and do not come back.
    outcomes : tuple of Outcome
        Objectives over the requests that arrive from the failure on.
    """

    lost: int
    outcomes: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"lost": self.lost, "objectives": [each.to_json() for each in self.outcomes]}


@dataclass(frozen=True)
class Recommendation:
    """The cheapest fleet that meets every objective with the probability asked for, and why.

    Parameters
    ----------
    option : Option
        The fleet.
    metrics : mapping of str to mapping of str to mapping of str to float or None
        By metric (``ttft_s``) and statistic: ``value``, ``low``, ``high``. [s]
    binding : str
        What the tightest objective is made of most: ``wait, compute, storage, transfer,
        overhead, kv``.
    headroom : float or None
        Share by which the traffic may grow before an objective is missed; None where clients
        set the rate.
    because : str
        One sentence.
    outage : Outage or None
        Where there are spares.
    """

    option: Option
    metrics: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    binding: str
    headroom: float | None
    because: str
    outage: Outage | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, keys in a fixed order."""
        found = self.option.to_json()
        del found["trade"]
        return {
            **found,
            "metrics": {name: dict(each) for name, each in self.metrics.items()},
            "binding": self.binding,
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
class Nearest:
    """The nearest plan that can be had where the one asked for cannot.

    Parameters
    ----------
    change : str
        The constraint as it would have to be, as ``--max-cost '$212/h'``.
    option : Option
        What it buys.
    """

    change: str
    option: Option

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"change": self.change, **self.option.to_json()}


@dataclass(frozen=True)
class Infeasible:
    """Why there is no plan.

    Parameters
    ----------
    binding : str
        Constraint that binds: ``target, cost, devices, power, quality, measured_only, replicas``.
    why : str
        One sentence.
    nearest : tuple of Nearest
        What could be had, each by changing one constraint; a looser target first.
    """

    binding: str
    why: str
    nearest: tuple[Nearest, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; ``nearest`` is a list."""
        return {
            "binding": self.binding,
            "why": self.why,
            "nearest": [each.to_json() for each in self.nearest],
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
    """

    name: str
    low: float
    high: float
    enough: bool
    fewer: bool

    @property
    def changes_plan(self) -> bool:
        """Whether the plan would be another at one of the ends."""
        return self.fewer or not self.enough

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "input": self.name,
            "low": self.low,
            "high": self.high,
            "still_enough": self.enough,
            "fewer_would_do": self.fewer,
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
        Of those simulated that meet the objectives: none is cheaper, of better quality and of
        more margin at once.
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
        }
