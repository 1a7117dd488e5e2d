"""Fitted profiles that could stand in place of the assumed one, device by device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.simulation.provenance import fitted_profile
from planner.simulation.system import build_system

if TYPE_CHECKING:
    from planner.planning.answer import Parts
    from planner.planning.search import Search
    from planner.scenario.model import Scenario


def devices_of(search: Search) -> set[str]:
    """Return the types of devices that the search chooses from."""
    return {each.device_name for each in search.candidates}


def fitted_notices(scenario: Scenario, search: Search, parts: Parts) -> list[str]:
    """Return the fitted profile of each type of device in the plan and the alternatives.

    Where the search has one type alone, the line on the profile says it.
    """
    best = parts.recommendation
    if best is None or len(devices_of(search)) == 1:
        return []
    named = {}
    for each in (best.option, *parts.alternatives):
        candidate = each.candidate
        if candidate.device_name not in named:
            system = build_system(candidate.scenario(scenario, 1), search.runner.setup.profile)
            named[candidate.device_name] = fitted_profile(system)
    known = [f"{name} for {device}" for device, name in named.items() if name]
    if not known:
        return []
    said = f"profiles fitted to measurements: {', '.join(known)}"
    return [f"{said}; each plans for its own device: service.profile with --device"]
