"""One replication: requests in, records out, with whatever happens to the fleet in between."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, Notice, Problem
from planner.simulation.around import after_the_model, before_the_model
from planner.simulation.collect import collect
from planner.simulation.control import (
    FleetEnvironment,
    autoscale,
    planned_events,
    random_failures,
)
from planner.simulation.fleet import Fleet
from planner.simulation.layout import build_plane
from planner.simulation.timeline import Sampler
from planner.streams import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from planner.results.records import FloatArray, Records
    from planner.scenario.model import Scenario
    from planner.simulation.control import Control
    from planner.simulation.system import System
    from planner.traffic.requests import Requests

#: Time blocks after the warm-up, and the most counters of token gaps (blocks x classes).
BLOCKS, MOST_HISTOGRAMS = 60, 2000
#: Requests left at the end of the traffic may take as long as the traffic did, or this. [s]
LEAST_DRAIN_S = 600.0


def run_llm(
    scenario: Scenario,
    system: System,
    requests: Requests,
    *,
    replication: int,
    control: Sequence[Control] = (),
    extra_replicas: int = 0,
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Records:
    """Simulate one replication of an LLM on its fleet.

    Parameters
    ----------
    scenario : Scenario
        With an LLM service.
    system : System
        Its replica, resolved.
    requests : Requests
        Its traffic, drawn.
    replication : int
        Number of the replication, for random streams.
    control : sequence of callable
        Control processes beside those of the scenario, each called with the clock and the fleet.
    extra_replicas : int
        Replicas that they may order beside those of the scenario.
    progress : callable
        Called now and then with the share of the traffic that is done.

    Raises
    ------
    InputError
        If no request can be served.
    """
    served, rejected, notices = admissible(requests, system)
    ahead = before_the_model(scenario, served, replication)
    if ahead.order is not None:
        rejected = rejected[ahead.order]
    taken = Admissible(ahead.requests, rejected, notices)
    controls = _controls(scenario, system, replication, control)
    end_s = requests.end_s
    if not 0 < end_s < math.inf:
        # clients send their last request, or all arrive at once: the run itself tells when it ends
        fleet = _make_fleet(scenario, system, taken, np.zeros(1), replication, extra_replicas)
        _play(fleet, controls, progress)
        end_s = _last_finish(fleet)
    edges = block_edges(scenario.simulation.warmup, end_s, len(requests.class_names))
    fleet = _make_fleet(scenario, system, taken, edges, replication, extra_replicas)
    sampler = _play(fleet, controls, progress, warmup=scenario.simulation.warmup, end_s=end_s)
    records = collect(scenario, system, fleet, sampler, end_s=end_s, requests=ahead.requests)
    records = after_the_model(scenario, ahead.restore(records), replication)
    drawn = served.random or system.fleet.random
    return replace(records, random=drawn, notices=[*requests.notices, *notices])


def _last_finish(fleet: Fleet) -> float:
    """Return when the last request finished [s].

    Raises
    ------
    InputError
        If none did.
    """
    finished = fleet.plane.requests["finished"]
    if np.isnan(finished).all():
        raise InputError(
            Problem(
                "must serve at least one request, got a fleet that fails before it does", "fleet"
            )
        )
    return float(np.nanmax(finished))


def block_edges(warmup: float, end_s: float, classes: int) -> FloatArray:
    """Return the starts [s] of the time blocks: the warm-up, then :data:`BLOCKS` equal ones."""
    blocks = max(10, min(BLOCKS, MOST_HISTOGRAMS // classes))
    edges = np.linspace(min(warmup, end_s), end_s, blocks, endpoint=False)
    return np.concatenate(([0.0], edges))


class Admissible(NamedTuple):
    """Requests as the engine takes them.

    Parameters
    ----------
    requests : Requests
        With outputs cut to the context.
    rejected : array of bool, shape (n,)
        Those that the engine refuses.
    notices : list of Notice
        How many were refused or cut, and why.
    """

    requests: Requests
    rejected: npt.NDArray[np.bool_]
    notices: list[Notice]


def admissible(requests: Requests, system: System) -> Admissible:
    """Return which requests the engine takes, and how much of their output fits.

    As vLLM does: a prompt without room for one token of output is refused, and an output ends
    where the context does.

    Raises
    ------
    InputError
        If it refuses all of them.
    """
    longest = system.pool.max_model_len
    rejected = requests.prompt_tokens >= longest
    output = np.minimum(requests.output_tokens, np.maximum(longest - requests.prompt_tokens, 1))
    cut = int(((output < requests.output_tokens) & ~rejected).sum())
    if rejected.all():
        shortest = int(requests.prompt_tokens.min())
        raise InputError(
            Problem(
                f"must be longer than the prompts, got {longest} tokens of context (the smaller of "
                f"max_model_len and the KV pool) and prompts of {shortest} tokens or more; raise "
                "max_model_len, or give the replica more memory",
                "service.engine.max_model_len",
            )
        )
    notices = []
    if rejected.any():
        message = f"requests rejected: prompt fills the context of {longest} tokens"
        notices.append(Notice(message, int(rejected.sum())))
    if cut:
        notices.append(Notice(f"outputs cut at the end of the context of {longest} tokens", cut))
    served = replace(requests, output_tokens=output.astype(np.int32))
    return Admissible(served, rejected, notices)


def _make_fleet(  # noqa: PLR0917 - as called, twice, above
    scenario: Scenario,
    system: System,
    taken: Admissible,
    edges: FloatArray,
    replication: int,
    extra_replicas: int,
) -> Fleet:
    """Return the fleet before anything has happened, the requests loaded."""
    fleet, requests = system.fleet, taken.requests
    joining = sum(each.replicas for each in fleet.events if each.kind == "join")
    most = fleet.replicas + joining + extra_replicas
    if fleet.autoscaler is not None:
        # replicas that drain while others start take places of their own
        most = fleet.autoscaler.max_replicas + most
    if requests.closed:  # clients think after the answer has reached them
        around = system.service.network + system.step.request_overhead
        requests = replace(requests, think_s=requests.think_s + around)
    return Fleet(
        build_plane(
            requests,
            config=system.config(scenario.simulation.seed + 1_000_003 * replication),
            coefficients=system.step.coefficients,
            replicas=most,
            replicas_up=fleet.replicas,
            block_edges_s=edges,
            rejected=taken.rejected,
            output_tokens=requests.output_tokens,
        )
    )


def _controls(
    scenario: Scenario, system: System, replication: int, control: Sequence[Control]
) -> list[Control]:
    """Return all control processes: the scenario's, then the caller's."""
    spec, seed = system.fleet, scenario.simulation.seed
    controls: list[Control] = []
    if spec.events:
        delay = spec.failures.retry_delay if spec.failures else 0.0
        controls.append(partial(planned_events, events=spec.events, retry_delay=delay))
    if spec.autoscaler:
        start = system.cold_start_s()
        controls.append(partial(autoscale, policy=spec.autoscaler, cold_start_s=start))
    if spec.failures:
        named = partial(stream, seed, replication, "failures")
        controls.append(partial(random_failures, policy=spec.failures, rng_of=named))
    return [*controls, *control]


def _play(
    fleet: Fleet,
    controls: Sequence[Control],
    progress: Callable[[float], None],
    *,
    warmup: float = 0.0,
    end_s: float = math.inf,
) -> Sampler:
    """Run the clock to the end of the traffic, then until all is done or too late."""
    env, sampler = FleetEnvironment(fleet), Sampler(fleet)
    for each in controls:
        env.process(each(env, fleet))
    if math.isfinite(end_s):
        env.process(sampler.sample(env, warmup, end_s, progress))
        env.run(until=end_s)
        sampler.take(end_s)
    _drain(env, fleet, end_s, changing=bool(controls))
    return sampler


def _drain(env: FleetEnvironment, fleet: Fleet, end_s: float, *, changing: bool) -> None:
    """Let the requests that are left finish, up to a limit.

    The limit is as long again as the traffic took: an overload that has not drained by then is
    reported as such.
    """
    limit = end_s + max(end_s, LEAST_DRAIN_S) if math.isfinite(end_s) else math.inf
    if changing:
        while not fleet.done and env.peek() < limit:
            env.step()
    if not fleet.done:
        fleet.advance(limit)
