"""The saturation rate: the highest throughput that a fleet sustains, whatever the latency."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from planner.simulation.control import FleetEnvironment
from planner.simulation.fleet import Fleet
from planner.simulation.layout import build_plane
from planner.streams import stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.results.records import FloatArray, Timeline
    from planner.scenario.model import Scenario
    from planner.simulation.control import Control
    from planner.simulation.system import System
    from planner.traffic.requests import Requests

#: Requests of the backlog, per sequence that a replica can run; and the least and most.
PER_SEQUENCE, LEAST, MOST = 40, 10_000, 60_000
#: The part of the finishes that counts: the batch is full, the backlog not yet gone.
FROM, TO = 0.3, 0.8


def saturation_per_replica(system: System, requests: Requests) -> float:
    """Return the requests per second that one replica finishes with an endless backlog.

    The backlog has the lengths of `requests` in random order, repeated or cut to some thousands.

    Parameters
    ----------
    system : System
        The replica.
    requests : Requests
        Any arrivals; only lengths and classes count. Those that the engine refuses are left out.
    """
    n = int(np.clip(PER_SEQUENCE * system.service.engine.max_num_seqs, LEAST, MOST))
    return finish_rate(finish_backlog(system, backlog(system, requests, n)))


def backlog(system: System, requests: Requests, n: int) -> Requests:
    """Return `n` requests with the lengths of `requests` that have all arrived at time 0.

    They are taken in random order, since neighbours in a trace may be alike.
    """
    longest = system.pool.max_model_len
    rows = np.flatnonzero(requests.prompt_tokens < longest)
    rows = np.resize(stream(0, 0, "backlog").permutation(rows), n)
    output = np.minimum(requests.output_tokens, longest - requests.prompt_tokens)[rows]
    return replace(
        requests,
        arrival_s=np.zeros(n),
        prompt_tokens=requests.prompt_tokens[rows],
        output_tokens=output.astype(np.int32),
        class_id=requests.class_id[rows],
        session_id=requests.session_id[rows],
        think_s=np.zeros(n),
        closed=(),
    )


def finish_backlog(
    system: System, waiting: Requests, control: Sequence[Control] = ()
) -> FloatArray:
    """Return when one replica finishes each request of a backlog [s].

    Parameters
    ----------
    system : System
        The replica.
    waiting : Requests
        The backlog.
    control : sequence of callable
        Control processes, which must end.
    """
    plane = build_plane(
        waiting,
        config=system.config(seed=0),
        coefficients=system.step.coefficients,
        replicas=1,
        replicas_up=1,
        block_edges_s=np.zeros(1),
        rejected=np.zeros(len(waiting), bool),
        output_tokens=waiting.output_tokens,
    )
    fleet = Fleet(plane)
    env = FleetEnvironment(fleet)
    for each in control:
        env.process(each(env, fleet))
    env.run()
    fleet.advance(np.inf)
    return np.array(plane.requests["finished"])


def finish_rate(finished_s: FloatArray) -> float:
    """Return the rate at which a backlog was finished while batch and queue were full [1/s]."""
    ordered, n = np.sort(finished_s), len(finished_s)
    first, last = int(FROM * n), int(TO * n)
    return float((last - first) / (ordered[last] - ordered[first]))


def serving_replicas(scenario: Scenario, timeline: Timeline, *, controlled: bool) -> float:
    """Return how many replicas serve, averaged over time: what the saturation rate multiplies.

    With planned events or control processes of the user (`controlled`) it is the time average of
    the replicas that were up; with an autoscaler as many as it may order; with failures each is
    up for its availability.
    """
    fleet = scenario.fleet
    if fleet is None:
        return 1.0
    availability = fleet.failures.availability() if fleet.failures else 1.0
    if not (controlled or fleet.events):
        scaler = fleet.autoscaler
        return (fleet.replicas if scaler is None else scaler.max_replicas) * availability
    after = timeline.time_s >= scenario.simulation.warmup
    up, times = timeline.replicas_up[after], timeline.time_s[after]
    return float(up[:-1] @ np.diff(times) / (times[-1] - times[0]))
