"""A scenario simulated and served for real, under the same requests, at several loads."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from calibrate.measure.fingerprint import fingerprint
from calibrate.measure.hardware import use_threads
from calibrate.measure.header import same_machine
from calibrate.programme import Programme
from calibrate.server import Server
from calibrate.speed import SERVED_S, Speed, Speedometer, at_speed
from planner.errors import InputError, Problem
from planner.report.progress import span
from planner.scenario.service import LlmService
from planner.simulation.provenance import profile_line
from planner.simulation.run import admissible
from planner.simulation.saturation import finish_backlog, finish_rate
from planner.simulation.system import build_system
from planner.validation.compare import Comparison, Row, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from calibrate.server import Served
    from planner.scenario.model import Scenario
    from planner.simulation.control import Control
    from planner.simulation.system import System


#: Spread of the runs beyond which they are no measure of a prediction. [-]
STEADY = 0.1


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
    the last, and by pulses during each, see :mod:`calibrate.speed`; what is predicted is for that
    speed, the mean over the runs. A profile of another machine, or that was not measured, predicts
    as it is.

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
        If the scenario has what one engine does not, or cannot be simulated, or all its requests
        are refused, or there are fewer cores than threads.
    """
    use_threads(threads or os.cpu_count() or 1)
    _check_is_one_engine(scenario, loads)
    service = scenario.service.model_copy(update={"network": 0.0})
    scenario = scenario.model_copy(update={"service": service})
    system = build_system(scenario)
    base = scenario.traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
    admissible(base, system)  # a backlog of what is refused would never end
    server = Server.start(scenario, system, [base], say)
    meter = Speedometer.of(server, system.step) if is_of_here(system, server) else None
    _read(meter, server, say)
    programme = Programme.planned(scenario, _now(system, meter), base, loads)
    server.make_room_for([*programme.requests, base])
    server.warm_up()
    measured = _measure(server, programme, meter, runs=runs, say=say)
    comparisons = tuple(_compared(programme, measured, system, meter))
    facts = facts_of(scenario, system, server, saturation=programme.saturation, runs=runs)
    if meter is not None:
        facts["speed"] = _speed_line(meter.speed, measured)
    return Validation(comparisons, facts | disturbed(comparisons))


@dataclass(frozen=True)
class _Measured:
    """What was served, round by round: each load, and the backlog."""

    loads: list[list[Served]]
    backlogs: list[Served]

    @property
    def rates(self) -> list[float]:
        """Of the backlog [1/s]."""
        return [finish_rate(each.records.finished_s) for each in self.backlogs]


def _measure(
    server: Server,
    programme: Programme,
    meter: Speedometer | None,
    *,
    runs: int,
    say: Callable[[str], None],
) -> _Measured:
    """Serve the programme `runs` times, and read the speed after each."""
    found = _Measured([[] for _ in programme.loads], [])
    waiting = programme.waiting
    each_s = programme.round_s + (0.0 if meter is None else SERVED_S)
    for run in range(1, runs + 1):
        say(f"run {run} of {runs}: about {span((runs - run + 1) * each_s)} left")
        for load, served in zip(programme.loads, found.loads, strict=True):
            say(f"run {run} of {runs}, {load.label}: {programme.load_s(load):.0f} s")
            served.append(server.serve(load.taken.requests, load.taken.rejected))
        say(f"run {run} of {runs}, backlog: {programme.backlog_s:.0f} s")
        found.backlogs.append(server.serve(waiting, np.zeros(len(waiting), bool)))
        _read(meter, server, say)
    return found


def _read(meter: Speedometer | None, server: Server, say: Callable[[str], None]) -> None:
    """Read the speed of the machine, if its profile is of here."""
    if meter is not None:
        say(f"speed of the machine: {SERVED_S:.0f} s")
        meter.read(server)


def _now(system: System, meter: Speedometer | None) -> System:
    """Return `system` at the usual speed of the machine, if that was read."""
    return system if meter is None else at_speed(system, meter.speed.usual)


def _compared(
    programme: Programme, measured: _Measured, system: System, meter: Speedometer | None
) -> Iterator[Comparison]:
    """Yield predictions beside measurements: of every load, and of the saturation rate."""
    for load, served in zip(programme.loads, measured.loads, strict=True):
        predicted = [
            load.simulate(there, control) for there, control in _paced(system, meter, served)
        ]
        by_profile = None if meter is None else load.simulate(system)
        records = [each.records for each in served]
        yield compare(load.label, predicted, records, by_profile)
    waiting = programme.waiting
    paced = _paced(system, meter, measured.backlogs)
    rates = [finish_rate(finish_backlog(there, waiting, control)) for there, control in paced]
    by_rate = None if meter is None else finish_rate(finish_backlog(system, waiting))
    of_runs = tuple(rates) if len(rates) > 1 else ()
    expected = float(np.mean(rates))
    row = Row("requests", "", "1/s", expected, tuple(measured.rates), by_rate, of_runs)
    yield Comparison("saturation", math.nan, len(waiting), (row,))


def _paced(
    system: System, meter: Speedometer | None, served: Sequence[Served]
) -> Iterator[tuple[System, list[Control]]]:
    """Yield `system` as fast as the machine was in each run, and what slows it as that was slowed.

    There is one for all runs where nothing tells them apart: without a speed, `system` itself, and
    without pulses, as on a GPU.
    """
    if meter is None:
        yield system, []
        return
    speed = meter.speed
    if math.isnan(speed.quiet):
        yield at_speed(system, speed.level), []
        return
    for each in served:
        yield at_speed(system, speed.level), [speed.pace(each.steps)]


def _speed_line(speed: Speed, measured: _Measured) -> str:
    """Return what is said about the speed of the machine."""
    line = str(speed)
    what = "it, by profile without it"
    if not math.isnan(speed.quiet):
        runs = [each for served in (*measured.loads, measured.backlogs) for each in served]
        delays = [
            100 * (float(speed.delays(each.steps).mean()) - 1)
            for each in runs
            if each.steps  # none where all requests were refused
        ]
        line += (
            f", and {np.mean(delays):.1f} % more for what slowed the core meanwhile "
            f"({min(delays):.1f} to {max(delays):.1f} % in a run), as pulses between steps show"
        )
        what = "both, by profile without either"
    return f"{line}; predicted is for {what}"


def disturbed(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Return a warning, by its name, if runs differ so much that any prediction would be right."""
    rows = [row for each in comparisons for row in each.rows]
    usual = _median(row.spread for row in rows)
    if usual <= STEADY:
        return {}
    left = ""
    if any(row.of_runs for row in rows):
        left = f" ({100 * _median(row.unexplained for row in rows):.0f} % from its own prediction)"
    return {
        "WARNING": (
            f"runs of the same requests differ by {100 * usual:.0f} % (median of the spreads): "
            f"something else ran on this machine, and what is within the spread says little{left}; "
            "repeat it on a quiet one"
        )
    }


def _median(values: Iterable[float]) -> float:
    """Return the median of those that are finite; 0 of none."""
    return float(np.median([each for each in values if math.isfinite(each)] or [0.0]))


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


def is_of_here(system: System, server: Server) -> bool:
    """Return whether a profile was measured on this machine, with its software and threads."""
    measured_on = system.profile.fingerprint
    here = fingerprint(server.device).text
    return measured_on is not None and same_machine(measured_on, here, threads=True)


def facts_of(
    scenario: Scenario, system: System, server: Server, *, saturation: float, runs: int
) -> dict[str, str]:
    """Return what was run and on what."""
    device, profile = server.device, profile_line(system)
    measured_on = system.profile.fingerprint
    if measured_on is not None and not is_of_here(system, server):
        profile += f"; NOT of this machine, its software and threads, but of {measured_on}"
    name = fingerprint(device).device
    if device.type == "cpu":
        threads = torch.get_num_threads()
        name += f", {threads} thread{'s' if threads > 1 else ''}"
    return {
        "scenario": f"{scenario.name}, {system.service.engine.scheduler.kind}",
        "load": f"of the predicted saturation, {saturation:.3g} req/s",
        "runs": f"{runs}, of the same requests; spread is their standard deviation",
        "engine": f"{server.about}; torch {torch.__version__}",
        "device": name,
        "profile": profile,
    }
