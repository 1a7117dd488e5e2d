"""From the state of the data plane to records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import FINISHED, Records
from planner.simulation.timeline import shares_between

if TYPE_CHECKING:
    from planner.results.records import FloatArray
    from planner.scenario.model import Scenario
    from planner.simulation.fleet import Fleet
    from planner.simulation.system import System
    from planner.simulation.timeline import Sampler
    from planner.traffic.requests import Requests


def collect(
    scenario: Scenario,
    system: System,
    fleet: Fleet,
    sampler: Sampler,
    *,
    end_s: float,
    requests: Requests,
) -> Records:
    """Return the records of a run; requests that clients never sent are left out.

    Parameters
    ----------
    scenario, system
        What was run.
    fleet : Fleet
        After the run.
    sampler : Sampler
        That was taken along.
    end_s : float
        End of the traffic. [s]
    requests : Requests
        Those that were run, in the order of the rows.
    """
    rows = fleet.plane.requests
    sent = np.isfinite(rows["arrival"])
    rows = rows if sent.all() else rows[sent]
    # outside the engine: the way there and back, and the host's work on a request
    around = (system.service.network, system.step.request_overhead)
    first_s, finished_s = rows["first"] + sum(around), rows["finished"] + sum(around)
    lanes = fleet.plane.config[0].lanes_per_replica
    before, after = sampler.window()
    usage = shares_between(before, after, int(fleet.plane.config[0].blocks))
    finished = rows["status"] == FINISHED
    return Records(
        arrival_s=np.array(rows["arrival"]),
        admitted_s=np.array(rows["admitted"]),
        first_token_s=first_s,
        finished_s=finished_s,
        prompt_tokens=np.array(rows["prompt"]),
        output_tokens=np.array(rows["output"]),
        class_id=rows["klass"].astype(np.int16),
        status=rows["status"].astype(np.int8),
        replica=np.where(rows["lane"] >= 0, rows["lane"] // lanes, -1).astype(np.int32),
        preemptions=np.array(rows["preemptions"]),
        retries=np.array(rows["retries"]),
        parts_first=_parts(rows, "first_", first_s, around, ~np.isnan(first_s)),
        parts_end=_parts(rows, "", finished_s, around, finished),
        itl_counts=fleet.plane.itl,
        block_edges_s=fleet.plane.block_edges[:-1],
        measured_from_s=min(scenario.simulation.warmup, end_s),
        measured_to_s=end_s,
        class_names=requests.class_names,
        timeline=sampler.timeline(),
        usage={**usage, "steps": float(after.steps - before.steps)},
        replica_seconds=after.paid_seconds - before.paid_seconds,
        changes=tuple(fleet.changes),
    )


def _parts(
    rows: np.recarray,
    prefix: str,
    until_s: FloatArray,
    around: tuple[float, float],
    known: np.ndarray,
) -> FloatArray:
    """Return wait, compute, storage, transfer, overhead of each row; NaN where not `known`.

    Transfer and overhead `around` the engine are those of every request. [s]

    The wait is what the work does not explain: with the request's own steps it adds up exactly.
    """
    parts = np.empty((len(rows), 5))
    for k, name in enumerate(("compute", "storage", "transfer", "overhead"), start=1):
        parts[:, k] = rows[prefix + name]
    parts[:, 3:] += around
    wait = until_s - rows["arrival"] - parts[:, 1:].sum(axis=1)
    parts[:, 0] = np.where(np.abs(wait) < 1e-9, 0.0, wait)  # totals of a long run round
    parts[~known] = np.nan
    return parts
