"""A scenario simulated and served for real, under the same requests, at several loads."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from calibrate.measure.fingerprint import fingerprint
from calibrate.measure.header import same_machine
from calibrate.server import Server, limits_of
from planner.errors import InputError, Problem
from planner.scenario.service import LlmService
from planner.simulation.provenance import profile_line
from planner.simulation.run import admissible, run_llm
from planner.simulation.saturation import (
    backlog,
    finish_backlog,
    finish_rate,
    saturation_per_replica,
)
from planner.simulation.system import build_system
from planner.validation.compare import Comparison, Row, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from planner.results.records import Records
    from planner.scenario.model import Scenario
    from planner.simulation.system import System
    from planner.traffic.requests import Requests

#: Backlog that the saturation rate is measured with: its seconds, and its least requests per slot.
BACKLOG_S, BACKLOG_PER_SLOT = 20.0, 8


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Parameters
    ----------
    comparisons : tuple of Comparison
        One per load, and one of the saturation rate.
    facts : dict of str to str
        What was run and on what, by name.
    """

    comparisons: tuple[Comparison, ...]
    facts: dict[str, str]


@dataclass(frozen=True)
class Load:
    """A rate at which a scenario is simulated and served.

    Parameters
    ----------
    label : str
        What to call it.
    requests : Requests
        As the engine takes them.
    rejected : array of bool, shape (n,)
        Those that it refuses.
    predicted : Records
        Of the simulation.
    """

    label: str
    requests: Requests
    rejected: npt.NDArray[np.bool_]
    predicted: Records


def validate(
    scenario: Scenario,
    *,
    loads: Sequence[float] = (),
    runs: int = 3,
    threads: int | None = None,
    say: Callable[[str], None] = lambda line: None,  # noqa: ARG005 - says nothing
) -> Validation:
    """Simulate a scenario and serve it with a real engine on this machine; compare.

    The engine serves the very requests that are simulated, `runs` times, loads in turns so that
    drift of the machine hits all alike; then a backlog, whose rate of finishing is its saturation
    rate. The network of the scenario is left out on both sides.

    Parameters
    ----------
    scenario : Scenario
        An LLM on one replica of one device, this one; open or closed loops.
    loads : sequence of float
        Rates, as shares of the predicted saturation rate; by default the scenario's own. [-]
    runs : int
        How often to serve each load, >= 1.
    threads : int, optional
        Threads of a CPU; by default as many as it has cores.
    say : callable
        Called with a line before each run.

    Raises
    ------
    InputError
        If the scenario has what one engine does not, or cannot be simulated.
    """
    _check_is_one_engine(scenario, loads)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    service = scenario.service.model_copy(update={"network": 0.0})
    system = build_system(scenario.model_copy(update={"service": service}))
    base = scenario.traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
    saturation = saturation_per_replica(system, base)
    simulated = [_simulate(scenario, system, saturation, share) for share in loads or (None,)]
    n = max(int(BACKLOG_S * saturation), BACKLOG_PER_SLOT * limits_of(system).max_num_seqs)
    waiting = backlog(system, base, n)
    requests = [*(load.requests for load in simulated), waiting]
    server = Server.start(scenario, system, requests)
    measured: list[list[Records]] = [[] for _ in simulated]
    rates: list[float] = []
    for run in range(1, runs + 1):
        for load, records in zip(simulated, measured, strict=True):
            seconds = load.predicted.measured_to_s
            say(f"run {run} of {runs}, {load.label}: {seconds:.0f} s")
            records.append(server.serve(load.requests, load.rejected))
        say(f"run {run} of {runs}, backlog: {n / saturation:.0f} s")
        rates.append(finish_rate(server.serve(waiting, np.zeros(n, bool)).finished_s))
    comparisons = [
        compare(load.label, load.predicted, records)
        for load, records in zip(simulated, measured, strict=True)
    ]
    expected = finish_rate(finish_backlog(system, waiting))
    row = Row("requests", "", "1/s", expected, tuple(rates))
    comparisons.append(Comparison("saturation", math.nan, n, (row,)))
    return Validation(tuple(comparisons), _facts(scenario, system, server, saturation, runs))


def _check_is_one_engine(scenario: Scenario, loads: Sequence[float]) -> None:
    """Refuse what an engine on this machine does not have; all of it is named."""
    problems = list(_not_in_an_engine(scenario))
    classes = scenario.traffic.request_classes
    if loads and any(each.arrivals.kind == "closed_loop" for each in classes):
        message = "must be open-loop where loads are given, got a closed loop; leave --load out"
        problems.append(Problem(message, "traffic"))
    if problems:
        raise InputError(problems)


def _not_in_an_engine(scenario: Scenario) -> Iterator[Problem]:
    service, fleet = scenario.service, scenario.fleet
    if not isinstance(service, LlmService) or fleet is None:
        yield Problem("must be an LLM to be served by an engine", "service")
        return
    for key in ("before", "after"):
        if getattr(service, key):
            message = "must be left out: the engine is the model alone"
            yield Problem(message, f"service.{key}")
    for key in ("replicas", "tensor_parallel", "pipeline_parallel"):
        if getattr(fleet, key) != 1:
            message = f"must be 1, the engine on this machine, got {getattr(fleet, key)}"
            yield Problem(message, f"fleet.{key}")
    for key in ("events", "failures", "autoscaler"):
        if getattr(fleet, key):
            message = "must be left out: the engine on this machine is always there"
            yield Problem(message, f"fleet.{key}")


def _simulate(scenario: Scenario, system: System, saturation: float, share: float | None) -> Load:
    """Return the simulation of `scenario` at a share of the saturation rate, or as it is."""
    traffic = scenario.traffic
    if share is not None:
        traffic = traffic.model_copy(update={"rate": share * saturation})
    label = "as written" if share is None else f"{100 * share:g} %"
    service = scenario.service.model_copy(update={"network": 0.0})
    scenario = scenario.model_copy(update={"traffic": traffic, "service": service})
    requests = traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
    taken = admissible(requests, system)
    records = run_llm(scenario, system, requests, replication=0)
    return Load(label, taken.requests, taken.rejected, records)


def _facts(
    scenario: Scenario, system: System, server: Server, saturation: float, runs: int
) -> dict[str, str]:
    """Return what was run and on what."""
    device, profile = server.device, profile_line(system)
    measured_on, here = system.profile.fingerprint, fingerprint(server.device).text
    if measured_on is not None and not same_machine(measured_on, here, threads=True):
        profile += f"; NOT of this machine, its software and threads, but of {measured_on}"
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "scenario": f"{scenario.name}, {system.service.engine.scheduler.kind}",
        "load": f"of the predicted saturation, {saturation:.3g} req/s",
        "runs": f"{runs}, of the same requests; spread is their standard deviation",
        "engine": f"{server.about}; torch {torch.__version__}",
        "device": f"{name}, {torch.get_num_threads()} threads",
        "profile": profile,
    }
