"""The entry: from a scenario to a plan."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from planner.catalog.fitted import FITTED
from planner.catalog.profile import load_profile
from planner.errors import InputError, Problem
from planner.latency.parallel import check_served
from planner.limits import check_memory, check_window
from planner.planning import infeasible
from planner.planning.answer import (
    Parts,
    context_of,
    difference_of,
    explained,
    method_of,
    notices_of,
)
from planner.planning.candidate import candidate_of
from planner.planning.constraints import constraints_of
from planner.planning.describe import option
from planner.planning.entries import BEYOND, SLOW, bounded
from planner.planning.fitted import common_profile, fitted_notices
from planner.planning.result import Counts, Plan
from planner.planning.runner import Runner, Setup
from planner.planning.search import KEEP, Search
from planner.planning.space import candidates
from planner.planning.store import Store, cached
from planner.planning.workload import Workload
from planner.scenario.dump import scenario_json
from planner.scenario.plan import PlanSpec
from planner.scenario.service import LlmService
from planner.simulation.system import scenario_shape

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from planner.catalog.profile import Profile
    from planner.planning.runner import Backend
    from planner.planning.verify import Verified
    from planner.scenario.model import Scenario
    from planner.scenario.objectives import Objective


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
    check_served(scenario_shape(scenario))
    profile = common_profile(scenario)
    constraints = constraints_of(scenario, spec)
    workload = Workload(scenario, objectives_of(scenario))
    _check_size(scenario, workload)
    space = candidates(scenario, spec, profile or load_profile("assumed"))
    kept = Store(store or cached(workload.digest), read=resume)
    runner = partial(Runner, store=kept, jobs=jobs or _cores(), backend=backend)
    with runner(_setup(workload, profile), scheduler=scheduler).started() as running:
        search = Search(running, space, constraints, progress)
        found = search.run()
        again = partial(_again, search)
        why = None if found else infeasible.explain(search, again)
        parts = explained(search, found, again) if found else Parts()
        today = _today(search)
    return Plan(
        context=context_of(scenario, search, profile, command, parts),
        recommendation=parts.recommendation,
        alternatives=parts.alternatives,
        pareto=parts.pareto,
        counts=Counts(len(space), dict(search.counts().most_common()), len(search.simulated)),
        infeasible=why,
        today=None if today is None else option(search, today, spares=0),
        difference=difference_of(scenario, parts.recommendation),
        sensitivity=parts.sensitivity,
        simulation=parts.simulation,
        loads=parts.loads,
        method=method_of(search, kept),
        notices=(*notices_of(scenario, search, found), *fitted_notices(scenario, search, parts)),
    )


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


def _setup(workload: Workload, profile: Profile | None) -> Setup:
    texts = [f"{klass}:{each.text}" for klass, each in workload.objectives]
    scenario = scenario_json(workload.scenario)
    scenario.pop("plan", None)
    numbers = profile.model_dump_json() if profile else FITTED
    content = repr((workload.digest, texts, scenario, numbers))
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
    known = {each.candidate.key: each for each in search.entries} if objectives is None else {}
    if objectives is not None:
        workload = replace(runner.setup.workload, objectives=objectives)
        runner = runner.with_setup(_setup(workload, runner.setup.profile))
    return Search(
        runner,
        changed.get("candidates", search.candidates),
        changed.get("constraints", search.constraints),
        lambda _share: None,
        changed.get("keep", KEEP),
        known,
    )


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
    if not (entry.excluded in {None, SLOW} or entry.excluded.startswith(BEYOND)):
        return None
    simulated = set(search.simulated)
    found = search.verify(entry, fleet.replicas)
    search.simulated = simulated
    return found
