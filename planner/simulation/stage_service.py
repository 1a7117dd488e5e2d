"""A service that is nothing but stages: requests through a network of queues."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from planner.latency.stages import STATIONS
from planner.results.records import FINISHED, ITL_BINS, RUNNING, WAITING, Records, Timeline
from planner.simulation.run import LEAST_DRAIN_S, block_edges
from planner.simulation.stages import StageTimes, run_stages
from planner.streams import stream

if TYPE_CHECKING:
    from planner.results.records import FloatArray
    from planner.scenario.model import Scenario
    from planner.scenario.service import StagesService
    from planner.traffic.requests import Requests

#: Samples of the timeline.
SAMPLES = 200


def run_stage_service(
    scenario: Scenario, service: StagesService, requests: Requests, *, replication: int
) -> Records:
    """Simulate one replication of a service of stages.

    Its answer comes all at once: first and last token are one, and one token long.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    service : StagesService
        Its service.
    requests : Requests
        Its traffic, drawn.
    replication : int
        Number of the replication, for random streams.
    """
    end_s = requests.end_s
    limit = end_s + max(end_s, LEAST_DRAIN_S) if math.isfinite(end_s) else None
    rng = stream(scenario.simulation.seed, replication, "stages")
    times = run_stages(
        service.stages,
        requests.arrival_s,
        rng,
        closed=requests.closed,
        think_s=requests.think_s,
        until=limit,
    )
    if not math.isfinite(end_s):
        end_s = float(np.nanmax(times.departure_s))
    sent = np.isfinite(times.arrival_s) & (times.arrival_s <= end_s)
    n = int(sent.sum())
    departure = times.departure_s[sent]
    admitted = times.admitted_s[sent]
    # requests wait at every station, not only for the first: admission is where waits add up to
    waited = np.where(np.isnan(departure), admitted, times.arrival_s[sent] + times.parts[sent, 0])
    status = np.full(n, WAITING, np.int8)
    status[~np.isnan(admitted)] = RUNNING
    status[~np.isnan(departure)] = FINISHED
    start_s = min(scenario.simulation.warmup, end_s)
    edges = block_edges(start_s, end_s, len(requests.class_names))
    fleet = scenario.fleet
    random = requests.random or any(s.variability.kind != "constant" for s in service.stages)
    return Records(
        arrival_s=times.arrival_s[sent],
        admitted_s=waited,
        first_token_s=departure,
        finished_s=departure,
        prompt_tokens=requests.prompt_tokens[sent],
        output_tokens=np.ones(n, np.int32),
        class_id=requests.class_id[sent],
        status=status,
        replica=np.zeros(n, np.int32),
        preemptions=np.zeros(n, np.int32),
        retries=np.zeros(n, np.int32),
        parts_first=times.parts[sent],
        parts_end=times.parts[sent],
        itl_counts=np.zeros((len(edges), len(requests.class_names), ITL_BINS), np.int64),
        block_edges_s=edges,
        measured_from_s=start_s,
        measured_to_s=end_s,
        class_names=requests.class_names,
        timeline=_timeline(times, end_s),
        usage=station_shares(times, start_s, end_s),
        replica_seconds=(fleet.replicas if fleet else 0) * (end_s - start_s),
        random=random,
        notices=list(requests.notices),
    )


def station_shares(times: StageTimes, from_s: float, to_s: float) -> dict[str, float]:
    """Return the share of server time in use: of all stations (busy), and of each part's."""
    busy = times.busy_s(from_s, to_s)
    span = times.servers * (to_s - from_s)
    part = np.array([STATIONS.index(name.rsplit("/", 1)[1]) for name in times.stations], dtype=int)
    shares = {"busy": float(busy.sum() / span.sum()) if span.sum() > 0 else 0.0}
    for k, name in enumerate(STATIONS):
        of = span[part == k].sum()
        shares[name] = float(busy[part == k].sum() / of) if of > 0 else 0.0
    return shares


def _timeline(times: StageTimes, end_s: float) -> Timeline:
    """Return samples of how many requests wait for their first service and are under way."""
    at = np.linspace(0.0, end_s, SAMPLES + 1)
    came, begun, gone = (
        np.searchsorted(np.sort(each[~np.isnan(each)]), at, side="right")
        for each in (times.arrival_s, times.admitted_s, times.departure_s)
    )
    shares = [station_shares(times, a, b) for a, b in pairwise(at.tolist())]

    def column(name: str) -> FloatArray:
        return np.array([0.0, *(share[name] for share in shares)])

    return Timeline(
        time_s=at,
        waiting=came - begun,
        running=begun - gone,
        replicas_up=np.ones(len(at), np.int64),
        busy=column("busy"),
        compute=column("compute"),
        storage=column("storage"),
        transfer=column("transfer"),
        kv_cache=np.zeros(len(at)),
    )
