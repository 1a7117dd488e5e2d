"""What is said about a search: the recommendation, what stands beside it, how it was found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planner import __version__, evaluate
from planner.errors import InputError
from planner.planning.alternatives import alternatives
from planner.planning.binds import binding, binds
from planner.planning.candidate import candidate_of
from planner.planning.describe import named, option, trade
from planner.planning.difference import difference
from planner.planning.explain import headroom, outage
from planner.planning.fitted import devices_of
from planner.planning.front import estimates, pareto
from planner.planning.loads import load_points
from planner.planning.result import PlanContext, Recommendation
from planner.planning.sensitive import cheaper, sensitivity
from planner.scenario.dump import scenario_json
from planner.simulation.provenance import profile_line
from planner.simulation.system import build_system

if TYPE_CHECKING:
    from planner.catalog.profile import Profile
    from planner.planning.nearest import Again
    from planner.planning.option import Option
    from planner.planning.search import Search
    from planner.planning.store import Store
    from planner.planning.verify import Verified
    from planner.results.objectives import Outcome as Measured
    from planner.results.result import Result
    from planner.scenario.model import Scenario
    from planner.scenario.objectives import Objective

#: Independent misses that an objective allows below which its probability is found too high: on
#: a single-server queue 0.96 for 0.90 with four, 0.97 for 0.95 with six (docs/planning.md).
FEW = 5


class Parts:
    """What is said about the plans that were found."""

    recommendation: Recommendation | None = None
    alternatives: tuple[Any, ...] = ()
    pareto: tuple[Any, ...] = ()
    sensitivity: tuple[Any, ...] = ()
    simulation: Result | None = None
    loads: tuple[Any, ...] = ()


def explained(search: Search, found: list[Verified], again: Again) -> Parts:
    """Return the recommendation and what stands beside it."""
    best, parts = found[0], Parts()
    result = _simulated(search, best)
    chosen = _with_intervals(option(search, best), result)
    at, part = binding(search, best, result)
    parts.recommendation = Recommendation(
        option=chosen,
        metrics=_metrics(result),
        binds=binds(search, best, again, at=at, part=part),
        headroom=headroom(search, best),
        because=_because(search, best, at, part),
        outage=outage(search, best),
    )
    parts.alternatives = tuple(
        option(search, each, trade(search, each, best)) for each in alternatives(search, found)
    )
    parts.pareto = tuple(
        chosen if each is best else option(search, each)
        for each in pareto(search, [*found, *estimates(search, best)])
    )
    parts.sensitivity = tuple(sensitivity(search, best))
    parts.simulation = result
    parts.loads = load_points(search, best, result)
    return parts


def _with_intervals(chosen: Option, result: Result) -> Option:
    """Return the recommended fleet with the intervals of its full simulation.

    Not where there are spares: the objectives are predicted without them.
    """
    if chosen.spares:
        return chosen
    ends: dict[tuple[str | None, str], Measured] = {
        (None, each.objective): each for each in result.whole.objectives
    }
    ends |= {
        (name, each.objective): each
        for name, klass in result.classes.items()
        for each in klass.objectives
    }
    outcomes = tuple(
        replace(each, low=ends[key].low, high=ends[key].high) if key in ends else each
        for each in chosen.outcomes
        for key in [(each.class_name, each.objective)]
    )
    return replace(chosen, outcomes=outcomes)


def _simulated(search: Search, best: Verified) -> Result:
    """Return the full result of the recommended fleet, spares included."""
    total = best.replicas + search.constraints.spares_for(best.replicas)
    scenario = best.entry.candidate.scenario(search.runner.setup.workload.scenario, total)
    return evaluate.simulate(scenario).result


def _metrics(result: Result) -> dict[str, dict[str, dict[str, float | None]]]:
    found: dict[str, dict[str, dict[str, float | None]]] = result.whole.to_json()["metrics"]
    return found


def _because(search: Search, best: Verified, at: int, part: str) -> str:
    """Return one sentence on why the recommended fleet and not a smaller one."""
    objective = search.runner.setup.workload.objectives[at][1]
    fewer = [e for e in search.missed if e.entry == best.entry and e.replicas < best.replicas]
    if fewer:
        nearest = max(fewer, key=lambda each: each.replicas)
        value = nearest.found.values[at]
        said = "" if value is None else f" ({_value(objective, value)})"
        return (
            f"{nearest.replicas} of them would miss {objective.text}{said}, which is made of "
            f"{part} most; nothing cheaper meets it"
        )
    less = (
        "one replica is the least there can be"
        if best.replicas == 1
        else "one fewer is clearly too few"
    )
    below = cheaper(search, best)
    rest = "nothing cheaper is likely to do"
    if below:
        one = below[0]
        rest = (
            f"the nearest that is cheaper, {named(one)}, does with probability "
            f"{one.probability:.2f}"
        )
    return f"{less}; {objective.text} is the tightest, made of {part} most; {rest}"


def _value(objective: Objective, value: float) -> str:
    goodput = objective.text.startswith("goodput")
    return f"{100 * value:.1f} %" if goodput else f"{1000 * value:,.3g} ms"


def difference_of(scenario: Scenario, found: Recommendation | None) -> tuple[Any, ...]:
    """Return what changes from the scenario's fleet to the recommended one."""
    if found is None or scenario.fleet is None:
        return ()
    return difference(candidate_of(scenario), scenario.fleet.replicas, found.option)


def context_of(
    scenario: Scenario, search: Search, profile: Profile | None, command: str, parts: Parts
) -> PlanContext:
    """Return what was asked."""
    classes = scenario.class_objectives()
    target = [each.text for each in scenario.objectives]
    target += [f"{name}: {each.text}" for name, several in classes.items() for each in several]
    best = parts.recommendation
    shown = scenario if best is None else best.option.candidate.scenario(scenario, 1)
    try:
        line = profile_line(build_system(shown, profile), advise=len(devices_of(search)) == 1)
    except InputError:  # today's fleet need not be possible
        line = f"profile {profile.name!r} of {profile.created}" if profile else "profiles fitted"
    return PlanContext(
        command=command,
        tool_version=__version__,
        scenario=scenario_json(scenario),
        title=scenario.name,
        seed=scenario.simulation.seed,
        target=tuple(target),
        constraints=search.constraints.text(),
        confidence=search.constraints.confidence,
        profile=line,
        offered_per_s=search.runner.setup.workload.offered_per_s,
    )


def method_of(search: Search, kept: Store) -> dict[str, str | float | int]:
    """Return how the answer was found."""
    scout, race, full = search.levels
    requests = search.runner.setup.workload.draw(0)
    return {
        "requests": len(requests),
        "replications": full.replications,
        "scout_window_s": requests.end_s if scout.window is None else scout.window.end_s,
        "race_window_s": requests.end_s if race.window is None else race.window.end_s,
        "evaluations": len(kept),
        "evaluations_reused": kept.reused,
        "coefficient_draws": search.drawn,
        "verified": len(search.verified) + len(search.missed),
        "store": str(kept.path),
    }


def notices_of(scenario: Scenario, search: Search, found: list[Verified]) -> list[str]:
    """Return what the reader should know beside the numbers."""
    fleet = scenario.fleet
    ignored = ["events", "autoscaler"]
    if search.constraints.availability is None:
        ignored.append("failures")
    notices = [str(each) for each in search.runner.setup.workload.draw(0).notices]
    notices += [
        f"fleet.{key} left out: the plan is for a fixed fleet without failures"
        for key in ignored
        if getattr(fleet, key)
    ]
    if found and found[0].entry.quality.loss is None:
        notices.append(
            "nobody measured the quality of these settings; `planner calibrate quality` does, and "
            "--max-quality-loss keeps to those that are known"
        )
    if found and found[0].entry.unmeasured and not found[0].drawn:
        notices.append("coefficients are assumed: the probability is that of the simulation alone")
    notices += _overstated(search, found[0]) if found else []
    return notices


def _overstated(search: Search, best: Verified) -> list[str]:
    """Return a notice for each objective whose probability rests on too few misses."""
    pairs = zip(search.runner.setup.workload.objectives, best.found.tallies, strict=True)
    return [
        f"{objective.text}: of requests that miss together no more than "
        f"{max(1, round(tally.may_miss))} groups may, too few to be sure: its probability may be "
        "overstated; longer traffic or more replications tell"
        for (_, objective), tally in pairs
        if not tally.is_mean and 0 < tally.allowed < 1 and tally.may_miss < FEW
    ]
