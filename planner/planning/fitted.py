"""Profiles fitted to measurements in a search: each device by its own, or told of as advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.catalog.fitted import FITTED
from planner.scenario.service import LlmService
from planner.simulation.provenance import fitted_profile
from planner.simulation.system import build_system, scenario_profile

if TYPE_CHECKING:
    from planner.catalog.profile import Profile
    from planner.planning.answer import Parts
    from planner.planning.search import Search
    from planner.scenario.model import Scenario


def common_profile(scenario: Scenario) -> Profile | None:
    """Return the profile of all candidates; None where each device has the one fitted to it."""
    service = scenario.service
    if isinstance(service, LlmService) and service.profile == FITTED:
        return None
    return scenario_profile(scenario)


def devices_of(search: Search) -> set[str]:
    """Return the types of devices that the search chooses from."""
    return {each.device_name for each in search.candidates}


def fitted_notices(scenario: Scenario, search: Search, parts: Parts) -> list[str]:
    """Return the profile of each type of device in the plan and the alternatives.

    With the assumed profile that is the fitted one that could stand in its place. Where the search
    has one type alone, the line on the profile says it.
    """
    best, common = parts.recommendation, search.runner.setup.profile
    if best is None or len(devices_of(search)) == 1:
        return []
    named: dict[str, dict[str, None]] = {}
    for each in (best.option, *parts.alternatives):
        system = build_system(each.candidate.scenario(scenario, 1), common)
        name = fitted_profile(system) if common else system.profile.name
        if name:
            named.setdefault(name, {})[system.device.name] = None
    if not named:
        return []
    listed = ", ".join(f"{name} for {' and '.join(devices)}" for name, devices in named.items())
    if common:
        advice = f"service.profile: {FITTED} plans each device by its own"
        return [f"profiles fitted to measurements: {listed}; {advice}"]
    beside = "; speeds that are assumed stand beside measured ones" if "assumed" in named else ""
    return [f"profiles: {listed}{beside}"]
