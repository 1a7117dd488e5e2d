"""Candidates: one choice of device, division, settings, engine limits and router."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from planner.catalog.devices import Device
from planner.scenario.service import LlmService

if TYPE_CHECKING:
    from planner.latency.settings import Settings
    from planner.scenario.engine import Engine
    from planner.scenario.fleet import PriceChoice, Router
    from planner.scenario.model import Scenario


@dataclass(frozen=True)
class Candidate:
    """What one replica is and how requests reach it; how many there are is found by the search.

    Parameters
    ----------
    device : str or Device
        As a scenario's ``fleet.device``.
    tensor_parallel, pipeline_parallel : int
        Devices of one replica.
    settings : Settings
        Data types and pruning.
    engine : Engine
        Limits and scheduler.
    router : Router
        Which replica a request goes to.
    price : str or float, optional
        As a scenario's ``fleet.price``.
    """

    device: str | Device
    tensor_parallel: int
    pipeline_parallel: int
    settings: Settings
    engine: Engine
    router: Router
    price: PriceChoice | None = None

    @property
    def device_name(self) -> str:
        """Name of the device."""
        return self.device.name if isinstance(self.device, Device) else self.device

    @property
    def devices_per_replica(self) -> int:
        """Devices of one replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @cached_property
    def key(self) -> str:
        """Canonical text: the same candidate always has the same, two candidates never."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    def to_json(self) -> dict[str, Any]:
        """Return everything that makes the candidate, as JSON values."""
        device = self.device
        return {
            "device": device if isinstance(device, str) else device.model_dump(mode="json"),
            "tensor_parallel": self.tensor_parallel,
            "pipeline_parallel": self.pipeline_parallel,
            "settings": self.settings.model_dump(mode="json"),
            "engine": self.engine.model_dump(mode="json"),
            "router": self.router.model_dump(mode="json"),
            "price": self.price,
        }

    def scenario(self, base: Scenario, replicas: int) -> Scenario:
        """Return `base` on a fleet of `replicas` of this candidate.

        The fleet is fixed: events, failures and autoscaler of `base` are left out, since a plan
        says how many replicas there are.

        Raises
        ------
        ValueError
            If `base` is no LLM on a fleet.
        """
        service, fleet = base.service, base.fleet
        if not isinstance(service, LlmService) or fleet is None:
            raise ValueError("must be an LLM on a fleet")
        changed = {
            "service": service.model_copy(
                update={"settings": self.settings, "engine": self.engine}
            ),
            "fleet": fleet.model_copy(
                update={
                    "device": self.device,
                    "replicas": replicas,
                    "tensor_parallel": self.tensor_parallel,
                    "pipeline_parallel": self.pipeline_parallel,
                    "price": self.price,
                    "router": self.router,
                    "events": (),
                    "failures": None,
                    "autoscaler": None,
                }
            ),
        }
        return base.model_copy(update=changed)


def candidate_of(scenario: Scenario) -> Candidate:
    """Return the candidate that `scenario` runs today.

    Raises
    ------
    ValueError
        If it is no LLM on a fleet.
    """
    service, fleet = scenario.service, scenario.fleet
    if not isinstance(service, LlmService) or fleet is None:
        raise ValueError("must be an LLM on a fleet")
    return Candidate(
        device=fleet.device,
        tensor_parallel=fleet.tensor_parallel,
        pipeline_parallel=fleet.pipeline_parallel,
        settings=service.settings,
        engine=service.engine,
        router=fleet.router,
        price=fleet.price,
    )
