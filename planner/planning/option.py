"""Fleets that were simulated: what they are, what they cost, what they do about the objectives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.planning.candidate import Candidate


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


def margin_of(value: float | None, bound: float, *, share: bool) -> float | None:
    """Return what is left to a bound, as a share of it; below 0 where it is missed.

    Parameters
    ----------
    value, bound : float or None, float
        Seconds, or shares of requests.
    share : bool
        Whether they are shares, of which more is better.
    """
    if value is None:
        return None
    left = (bound - value) / bound
    return -left if share else left


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
        return margin_of(self.value, self.bound, share=self.is_share)

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
    kwh_per_million_output_tokens : float or None
        Energy of all devices at their design power: the most that the tokens may take. [kWh]
    quality : Quality
        What the settings cost in quality.
    probability : float
        That all objectives are met in the long run; no less than this.
    outcomes : tuple of Outcome
        Each objective.
    unmeasured : tuple of str
        Speeds and qualities behind it that were assumed rather than measured.
    traffic_share : float
        Share of the traffic that it was simulated on, replications included; 1 for all of it.
    trade : str
        Against the recommendation: what one gains and gives up.
    """

    candidate: Candidate
    replicas: int
    spares: int
    usd_per_hour: float | None
    usd_per_million_output_tokens: float | None
    watts: float | None
    kwh_per_million_output_tokens: float | None
    quality: Quality
    probability: float
    outcomes: tuple[Outcome, ...]
    unmeasured: tuple[str, ...] = ()
    traffic_share: float = 1.0
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
            "kwh_per_million_output_tokens_at_design_power": self.kwh_per_million_output_tokens,
            "quality_loss": self.quality.loss,
            "quality_source": self.quality.source,
            "probability": self.probability,
            "objectives": [each.to_json() for each in self.outcomes],
            "unmeasured": list(self.unmeasured),
            "traffic_share": self.traffic_share,
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
