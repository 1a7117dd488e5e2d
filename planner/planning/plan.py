"""The entry: from a scenario to a plan."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from planner import __version__, evaluate
from planner.errors import InputError, Problem
from planner.limits import check_memory, check_window
from planner.planning import infeasible
from planner.planning.candidate import candidate_of
from planner.planning.constraints import constraints_of
from planner.planning.difference import difference
from planner.planning.explain import (
    binding,
    headroom,
    option,
    outage,
    pareto,
    sensitivity,
    trade,
)
from planner.planning.result import Counts, Plan, PlanContext, Recommendation
from planner.planning.runner import Runner, Setup
from planner.planning.search import Search, Verified
from planner.planning.sizing import bounded
from planner.planning.space import candidates
from planner.planning.store import Store, default_path
from planner.planning.workload import Workload
from planner.scenario.dump import scenario_json
from planner.scenario.plan import PlanSpec
from planner.scenario.service import LlmService
from planner.simulation.provenance import profile_line
from planner.simulation.system import build_system, scenario_profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from planner.catalog.profile import Profile
    from planner.planning.result import Option
    from planner.planning.runner import Backend
    from planner.results.objectives import Outcome as Measured
    from planner.results.summary import Result
    from planner.scenario.model import Scenario
    from planner.scenario.objectives import Objective

#: Plans shown beside the recommendation.
ALTERNATIVES = 4


def plan(
    scenario: Scenario,
    *,
    spec: PlanSpec | None = None,
    store: Path | None = None,
    resume: bool = True,
    jobs: int | None = None,
    backend: Backend = "loky",
    scheduler: str | None = None,
    command: str = "",
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Plan:
    """Search for the cheapest fleet that meets the objectives of a scenario.

    Parameters
    ----------
    scenario : Scenario
        An LLM on a fleet, with objectives.
    spec : PlanSpec, optional
        Search space and constraints; by default those of the scenario, or the default ones.
    store : Path, optional
        File of evaluations, read and added to; by default one in the user's cache.
    resume : bool
        Whether to use what earlier searches have evaluated.
    jobs : int, optional
        Processes; by default one per core.
    backend : {"loky", "dask"}
        Processes of this machine, or a Dask cluster.
    scheduler : str, optional
        Address of the cluster.
    command : str
        Command line, for the result.
    progress : callable
        Called now and then with the share of the work that is done.

    Returns
    -------
    Plan
        With a recommendation, or with what makes it infeasible.

    Raises
    ------
    InputError
        If the scenario cannot be planned for; the message says what to do.
    """
    spec = spec or scenario.plan or PlanSpec()
    _check(scenario)
    profile = scenario_profile(scenario)
    constraints = constraints_of(scenario, spec)
    workload = Workload(scenario, objectives_of(scenario))
    _check_size(scenario, workload)
    space = candidates(scenario, spec, profile)
    kept = Store(store or default_path(), read=resume)
    runner = partial(Runner, store=kept, jobs=jobs or _cores(), backend=backend)
    try:
        with runner(_setup(workload, profile), scheduler=scheduler).started() as running:
            search = Search(running, space, constraints, progress)
            found = search.run()
            again = partial(_again, search)
            why = None if found else infeasible.explain(search, again)
            parts = _explained(search, found) if found else _Parts()
            today = _today(search)
    finally:
        kept.close()
    return Plan(
        context=_context(scenario, search, profile, command),
        recommendation=parts.recommendation,
        alternatives=parts.alternatives,
        pareto=parts.pareto,
        counts=Counts(len(space), dict(search.counts().most_common()), len(search.simulated)),
        infeasible=why,
        today=None if today is None else option(search, today),
        difference=_difference(scenario, parts.recommendation),
        sensitivity=parts.sensitivity,
        method=_method(search, kept),
        notices=tuple(_notices(scenario, search, found)),
    )


class _Parts:
    """What is said about the plans that were found."""

    recommendation: Recommendation | None = None
    alternatives: tuple[Any, ...] = ()
    pareto: tuple[Any, ...] = ()
    sensitivity: tuple[Any, ...] = ()


def _check(scenario: Scenario) -> None:
    """Refuse a scenario that no plan can be made for."""
    if not isinstance(scenario.service, LlmService) or scenario.fleet is None:
        message = "must be an LLM on a fleet, got stages of known times, which have no devices"
        raise InputError(Problem(f"{message} to choose from", "service"))
    if not scenario.objectives and not scenario.class_objectives():
        message = "must have objectives to plan for, got none; add --target 'ttft:p95<500ms'"
        raise InputError(Problem(message, "objectives"))
    around = (*scenario.service.before, *scenario.service.after)
    rate = scenario.traffic.rate
    for stage in around:
        if rate is not None and stage.saturation_rate() < rate:
            message = f"must sustain the traffic, {rate:g} req/s, got {stage.saturation_rate():.3g}"
            raise InputError(Problem(f"{message}; no device helps a stage", "service"))


def _check_size(scenario: Scenario, workload: Workload) -> None:
    requests = workload.draw(0)
    check_window(scenario, requests.end_s)
    check_memory(None, requests, workload.levels[2].replications)


def objectives_of(scenario: Scenario) -> tuple[tuple[int | None, Objective], ...]:
    """Return the objectives of all requests, then of each class."""
    names = [each.name for each in scenario.traffic.request_classes]
    own = scenario.class_objectives()
    return (
        *((None, each) for each in scenario.objectives),
        *((names.index(name), each) for name, several in own.items() for each in several),
    )


def _setup(workload: Workload, profile: Profile) -> Setup:
    texts = [f"{klass}:{each.text}" for klass, each in workload.objectives]
    scenario = scenario_json(workload.scenario)
    scenario.pop("plan", None)
    content = repr((workload.digest, texts, scenario, profile.model_dump_json()))
    return Setup(workload, profile, hashlib.sha256(content.encode()).hexdigest())


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _again(search: Search, **changed: Any) -> Search:  # noqa: ANN401 - fields of a search
    """Return the same search, not begun, with constraints, objectives or candidates replaced."""
    runner = search.runner
    objectives = changed.pop("objectives", None)
    if objectives is not None:
        workload = replace(runner.setup.workload, objectives=objectives)
        runner = runner.with_setup(_setup(workload, runner.setup.profile))
    return Search(
        runner,
        changed.get("candidates", search.candidates),
        changed.get("constraints", search.constraints),
        lambda _share: None,
    )


def _explained(search: Search, found: list[Verified]) -> _Parts:
    """Return the recommendation and what stands beside it."""
    best, parts = found[0], _Parts()
    result = _simulated(search, best)
    chosen = _with_intervals(option(search, best), result)
    at, part = binding(search, best, result)
    parts.recommendation = Recommendation(
        option=chosen,
        metrics=_metrics(result),
        binding=part,
        headroom=headroom(search, best),
        because=_because(search, best, at, part),
        outage=outage(search, best),
    )
    others = [each for each in (*found[1:], *_cheaper(search, best)) if each is not best]
    parts.alternatives = tuple(
        option(search, each, trade(search, each, best)) for each in others[:ALTERNATIVES]
    )
    parts.pareto = tuple(
        chosen if each is best else option(search, each) for each in pareto(search, found)
    )
    parts.sensitivity = tuple(sensitivity(search, best))
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


def _cheaper(search: Search, best: Verified) -> list[Verified]:
    """Return the dearest fleets that cost less than the best and miss its objectives."""
    cost = search.cost(best.entry, best.replicas)
    below = [each for each in search.missed if search.cost(each.entry, each.replicas) < cost]
    below.sort(key=lambda each: (-each.probability, -search.cost(each.entry, each.replicas)))
    return below[:2]


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
            f"{nearest.replicas} of them miss {objective.text}{said}, which is made of {part} "
            "most; nothing cheaper meets it"
        )
    less = "one replica is the least there can be" if best.replicas == 1 else "fewer are too few"
    cheaper = _cheaper(search, best)
    rest = "nothing cheaper is likely to do"
    if cheaper:
        one = cheaper[0]
        rest = (
            f"the nearest that is cheaper, {one.replicas} x {one.entry.candidate.device_name}, "
            f"does with probability {one.probability:.2g}"
        )
    return f"{less}; {objective.text} is the tightest, made of {part} most; {rest}"


def _value(objective: Objective, value: float) -> str:
    goodput = objective.text.startswith("goodput")
    return f"{100 * value:.1f} %" if goodput else f"{1000 * value:,.3g} ms"


def _today(search: Search) -> Verified | None:
    """Return what the scenario's own fleet does; None where it cannot be had."""
    scenario = search.runner.setup.workload.scenario
    fleet = scenario.fleet
    assert fleet is not None  # noqa: S101 - checked
    own = candidate_of(scenario)
    lax = replace(
        search.constraints, max_quality_loss=None, measured_only=False, spares=0, availability=None
    )
    work = [(None, ([(-1, own)], lax))]
    entry = next(iter(search.runner.map(bounded, work)))[0]
    if entry.excluded not in {None, "too slow even unloaded"} and "limit" not in entry.excluded:
        return None
    simulated = set(search.simulated)
    found = search.verify(entry, fleet.replicas)
    search.simulated = simulated
    return found


def _difference(scenario: Scenario, found: Recommendation | None) -> tuple[Any, ...]:
    if found is None or scenario.fleet is None:
        return ()
    return difference(candidate_of(scenario), scenario.fleet.replicas, found.option)


def _context(scenario: Scenario, search: Search, profile: Profile, command: str) -> PlanContext:
    classes = scenario.class_objectives()
    target = [each.text for each in scenario.objectives]
    target += [f"{name}: {each.text}" for name, several in classes.items() for each in several]
    try:
        line = profile_line(build_system(scenario, profile))
    except InputError:  # today's fleet need not be possible
        line = f"profile {profile.name!r} of {profile.created}"
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


def _method(search: Search, kept: Store) -> dict[str, str | float | int]:
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


def _notices(scenario: Scenario, search: Search, found: list[Verified]) -> list[str]:
    """Return what the reader should know beside the numbers."""
    fleet = scenario.fleet
    ignored = ["events", "autoscaler"]
    if search.constraints.availability is None:
        ignored.append("failures")
    notices = [
        f"fleet.{key} left out: the plan is for a fixed fleet without failures"
        for key in ignored
        if getattr(fleet, key)
    ]
    if found and found[0].entry.quality.loss is None:
        notices.append(
            "nobody measured the quality of these settings; `planner calibrate quality` does, and "
            "--max-quality-loss keeps to those that are known"
        )
    if found and found[0].entry.unmeasured and not search.drawn:
        notices.append("coefficients are assumed: the probability is that of the simulation alone")
    return notices
