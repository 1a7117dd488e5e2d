"""What a plan has to keep to beside its objectives: cost, devices, power, quality, availability."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from planner.errors import InputError, Problem
from planner.planning.space import device_limits
from planner.scenario.plan import ALL_DEVICES
from planner.units import POWER, PRICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.planning.candidate import Candidate
    from planner.planning.option import Quality
    from planner.scenario.model import Scenario
    from planner.scenario.plan import PlanSpec

#: Names of the constraints that can be relaxed, in the order in which they are tried.
RELAXED = ("cost", "devices", "power", "quality", "measured_only", "replicas")
#: Most spares that availability may ask for.
MOST_SPARES = 1000


@dataclass(frozen=True)
class Constraints:
    """Constraints of a search.

    Parameters
    ----------
    max_cost : float
        Of all devices. [$/h]
    max_devices : mapping of str to int
        By name, and ``all``.
    max_power : float
        Design power of all devices. [W]
    max_quality_loss : float or None
        None: any, known or not.
    measured_only : bool
        Whether assumed speeds and unknown qualities are left out.
    max_replicas : int
        Spares left out.
    spares : int
        Beside the replicas that the objectives need.
    availability : float or None
        Share of time in which enough replicas are to be up.
    up : float
        Share of time in which one replica is up.
    confidence : float
        Probability that all objectives are met.
    """

    max_cost: float
    max_devices: Mapping[str, int]
    max_power: float
    max_quality_loss: float | None
    measured_only: bool
    max_replicas: int
    spares: int
    availability: float | None
    up: float
    confidence: float

    def spares_for(self, replicas: int) -> int:
        """Return how many spares go with `replicas`.

        The fewest with which, each replica being up independently, at least `replicas` are up for
        the share of time that is asked for.
        """
        if self.availability is None:
            return self.spares
        for spares in range(MOST_SPARES):
            if _at_least(replicas, replicas + spares, self.up) >= self.availability:
                return spares
        return MOST_SPARES

    def most(self, candidate: Candidate, price: float, watts: float | None) -> tuple[int, str]:
        """Return the most replicas, spares left out, that all limits allow, and which binds.

        Parameters
        ----------
        candidate : Candidate
            One replica.
        price, watts : float, float or None
            Of one replica. [$/h], [W]
        """
        limits = {"cost": math.inf, "power": math.inf, "replicas": math.inf}
        if price:
            limits["cost"] = (self.max_cost + 1e-9) / price
        if watts:
            limits["power"] = (self.max_power + 1e-9) / watts
        per_type = [
            most
            for name, most in self.max_devices.items()
            if name in {ALL_DEVICES, candidate.device_name}
        ]
        devices = min(per_type, default=math.inf) / candidate.devices_per_replica
        limits["devices"] = devices
        binding = min(limits, key=lambda name: limits[name])
        total = limits[binding]
        most = self.max_replicas if total == math.inf else self._serving(math.floor(total))
        if most >= self.max_replicas:
            return self.max_replicas, "replicas"
        return most, binding

    def _serving(self, total: int) -> int:
        """Return how many of `total` replicas are no spares."""
        if self.availability is None:
            return total - self.spares
        serving = total
        while serving > 0 and serving + self.spares_for(serving) > total:
            serving -= 1
        return serving

    def refuses(self, quality: Quality, unmeasured: tuple[str, ...]) -> str | None:
        """Return why settings are left out whatever they do for latency, or None."""
        if self.measured_only and unmeasured:
            return "not measured"
        if self.max_quality_loss is None:
            return None
        if quality.loss is None:
            return "quality not known"
        return "quality lost" if quality.loss > self.max_quality_loss else None

    def without(self, name: str) -> Constraints:
        """Return the constraints but the one called `name`, of :data:`RELAXED`."""
        if name == "cost":
            return replace(self, max_cost=math.inf)
        if name == "devices":
            return replace(self, max_devices={})
        if name == "power":
            return replace(self, max_power=math.inf)
        if name == "quality":
            return replace(self, max_quality_loss=None)
        if name == "measured_only":
            return replace(self, measured_only=False)
        return replace(self, max_replicas=4 * self.max_replicas)

    def active(self) -> list[str]:
        """Return the names of those that were given."""
        given = {
            "cost": math.isfinite(self.max_cost),
            "devices": bool(self.max_devices),
            "power": math.isfinite(self.max_power),
            "quality": self.max_quality_loss is not None,
            "measured_only": self.measured_only,
            "replicas": True,
        }
        return [name for name in RELAXED if given[name]]

    def text(self) -> dict[str, str]:
        """Return those that were given, as written on screen."""
        found = {}
        if math.isfinite(self.max_cost):
            found["max_cost"] = PRICE.text(self.max_cost)
        if self.max_devices:
            found["max_devices"] = ", ".join(f"{k}={v}" for k, v in self.max_devices.items())
        if math.isfinite(self.max_power):
            found["max_power"] = POWER.text(self.max_power)
        if self.max_quality_loss is not None:
            found["max_quality_loss"] = f"{100 * self.max_quality_loss:g} %"
        if self.measured_only:
            found["measured_only"] = "yes"
        if self.spares:
            found["spares"] = str(self.spares)
        if self.availability is not None:
            found["availability"] = f"{100 * self.availability:g} %"
        return found


def constraints_of(scenario: Scenario, spec: PlanSpec) -> Constraints:
    """Return the constraints of a scenario's ``plan``.

    Raises
    ------
    InputError
        If one contradicts another or allows nothing; says what to do.
    """
    limits = device_limits(spec)
    problems = []
    if spec.max_cost == 0:
        message = "must be above $0/h, got $0/h, which buys no device; raise it or leave it out"
        problems.append(Problem(message, "plan.max_cost"))
    for name, most in limits.items():
        if most == 0 and name == ALL_DEVICES:
            message = "must be above 0, got 0, which is no device; raise it or leave it out"
            problems.append(Problem(message, f"plan.max_devices.{name}"))
        elif ALL_DEVICES in limits and most > limits[ALL_DEVICES]:
            rule = f"at most the {limits[ALL_DEVICES]} of all types together"
            message = f"must be {rule}, got {most}; lower it or raise 'all'"
            problems.append(Problem(message, f"plan.max_devices.{name}"))
    failures = scenario.fleet.failures if scenario.fleet else None
    if spec.availability is not None and failures is None:
        message = (
            "must come with fleet.failures, which says how often a replica fails, got none; add "
            "fleet.failures: {mtbf: 30 d, mttr: 10 min}, or say how many spares: plan.spares"
        )
        problems.append(Problem(message, "plan.availability"))
    up = failures.availability() if failures else 1.0
    if spec.availability is not None and failures is not None and up == 0:
        message = "must be above 0 for availability to be reached, got 0: replicas that always fail"
        problems.append(Problem(message, "fleet.failures.mtbf"))
    if problems:
        raise InputError(problems)
    return Constraints(
        max_cost=math.inf if spec.max_cost is None else spec.max_cost,
        max_devices=limits,
        max_power=math.inf if spec.max_power is None else spec.max_power,
        max_quality_loss=spec.max_quality_loss,
        measured_only=spec.measured_only,
        max_replicas=spec.max_replicas,
        spares=spec.spares,
        availability=spec.availability,
        up=up,
        confidence=spec.confidence,
    )


def _at_least(wanted: int, total: int, up: float) -> float:
    """Return the probability that at least `wanted` of `total` replicas are up."""
    return sum(
        math.comb(total, down) * (1 - up) ** down * up ** (total - down)
        for down in range(total - wanted + 1)
    )
