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
from calibrate.server import Server
from calibrate.speed import SERVED_S, Speed, at_speed, step_ratio
from planner.errors import InputError, Problem
from planner.report.progress import span
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

    from planner.catalog.profile import Profile
    from planner.results.records import Records
    from planner.scenario.model import Scenario
    from planner.simulation.run import Admissible
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
    scenario : Scenario
        At this rate, without a network.
    drawn : Requests
        As the scenario sends them.
    taken : Admissible
        What of them the engine takes.
    """

    label: str
    scenario: Scenario
    drawn: Requests
    taken: Admissible

    def simulate(self, system: System) -> Records:
        """Return what a simulation makes of it."""
        return run_llm(self.scenario, system, self.drawn, replication=0)


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

    With a profile of this machine the speed of the machine is measured before every run and after
    the last, see :mod:`calibrate.speed`, and what is predicted is for that speed. A profile of
    another machine, or that was not measured, predicts as it is.

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
    scenario = scenario.model_copy(update={"service": service})
    system = build_system(scenario)
    base = scenario.traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
    server = Server.start(scenario, system, [base])
    ratios: list[float] = []
    mine = is_of_here(system.profile, server.device)

    def measure_speed() -> None:
        if mine:
            say(f"speed of the machine: {SERVED_S:.0f} s")
            ratios.append(step_ratio(server, system.step))

    measure_speed()
    now = at_speed(system, Speed(tuple(ratios))) if ratios else system
    saturation = saturation_per_replica(now, base)
    at = [_load(scenario, system, saturation, share) for share in loads or (None,)]
    n = max(int(BACKLOG_S * saturation), BACKLOG_PER_SLOT * server.limits.max_num_seqs)
    waiting = backlog(system, base, n)
    server = server.with_room_for([*(load.taken.requests for load in at), waiting, base])
    server.warm_up()
    measured: list[list[Records]] = [[] for _ in at]
    rates: list[float] = []
    each_s = sum(load.drawn.end_s for load in at) + n / saturation + SERVED_S * mine
    for run in range(1, runs + 1):
        say(f"run {run} of {runs}: about {span((runs - run + 1) * each_s)} left")
        for load, records in zip(at, measured, strict=True):
            say(f"run {run} of {runs}, {load.label}: {load.drawn.end_s:.0f} s")
            records.append(server.serve(load.taken.requests, load.taken.rejected))
        say(f"run {run} of {runs}, backlog: {n / saturation:.0f} s")
        rates.append(finish_rate(server.serve(waiting, np.zeros(n, bool)).finished_s))
        measure_speed()
    speed = Speed(tuple(ratios)) if ratios else None
    found = _compared(at, measured, waiting=waiting, rates=rates, system=system, speed=speed)
    facts = facts_of(scenario, system, server, saturation=saturation, runs=runs, speed=speed)
    return Validation(tuple(found), facts)


def _compared(
    loads: Sequence[Load],
    measured: Sequence[Sequence[Records]],
    *,
    waiting: Requests,
    rates: Sequence[float],
    system: System,
    speed: Speed | None,
) -> Iterator[Comparison]:
    """Yield predictions beside measurements: of every load, and of the saturation rate."""
    now = system if speed is None else at_speed(system, speed)
    for load, records in zip(loads, measured, strict=True):
        by_profile = None if speed is None else load.simulate(system)
        yield compare(load.label, load.simulate(now), records, by_profile)
    expected = finish_rate(finish_backlog(now, waiting))
    by_rate = None if speed is None else finish_rate(finish_backlog(system, waiting))
    row = Row("requests", "", "1/s", expected, tuple(rates), by_rate)
    yield Comparison("saturation", math.nan, len(waiting), (row,))


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


def _load(scenario: Scenario, system: System, saturation: float, share: float | None) -> Load:
    """Return `scenario` at a share of the saturation rate, or as it is, with its requests."""
    traffic = scenario.traffic
    if share is not None:
        traffic = traffic.model_copy(update={"rate": share * saturation})
    label = "as written" if share is None else f"{100 * share:g} %"
    scenario = scenario.model_copy(update={"traffic": traffic})
    requests = traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
    return Load(label, scenario, requests, admissible(requests, system))


def is_of_here(profile: Profile, device: torch.device) -> bool:
    """Return whether a profile was measured on this machine, with its software and threads."""
    here = fingerprint(device).text
    return profile.fingerprint is not None and same_machine(profile.fingerprint, here, threads=True)


def facts_of(
    scenario: Scenario,
    system: System,
    server: Server,
    *,
    saturation: float,
    runs: int,
    speed: Speed | None,
) -> dict[str, str]:
    """Return what was run and on what."""
    device, profile = server.device, profile_line(system)
    measured_on = system.profile.fingerprint
    if measured_on is not None and not is_of_here(system.profile, device):
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
        **({} if speed is None else {"speed": str(speed)}),
    }
