"""What a run can be: a window with something in it, and a size that fits into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.errors import InputError, Problem
from planner.resources import require_memory
from planner.results.records import ITL_BINS
from planner.simulation.layout import HEAP_DTYPE, LANE_DTYPE, REPLICA_DTYPE, SLOT_DTYPE
from planner.units import DURATION

if TYPE_CHECKING:
    from planner.scenario.fleet import Fleet
    from planner.scenario.model import Scenario
    from planner.simulation.system import System
    from planner.traffic.requests import Requests

#: Memory of a request while its replication runs, and what is kept of it until the end; as
#: measured on a million requests and rounded up. [B]
RUNNING_BYTES, KEPT_BYTES = 150, 330
#: Most time blocks in which gaps between tokens are counted.
BLOCKS = 61


def check_window(scenario: Scenario, end_s: float) -> None:
    """Refuse a warm-up after which nothing is left to measure.

    Parameters
    ----------
    scenario : Scenario
        With the warm-up.
    end_s : float
        End of the traffic; inf where only the run itself tells. [s]

    Raises
    ------
    InputError
        If the warm-up is not shorter than the traffic.
    """
    warmup = scenario.simulation.warmup
    if warmup and warmup >= end_s:
        message = (
            f"must be shorter than the traffic ({end_s:.3g} s), got {DURATION.text(warmup)}; "
            "nothing would be left to measure"
        )
        raise InputError(Problem(message, "simulation.warmup"))


def check_memory(system: System | None, requests: Requests, replications: int) -> None:
    """Refuse a run that does not fit into memory, before any of it is allocated.

    Raises
    ------
    InputError
        With the estimate and what would lower it.
    """
    if system is not None:
        replicas, path = most_replicas(system.fleet)
        what = f"{replicas:,} replicas of {system.service.engine.max_num_seqs:,} sequences"
        # those of the next replication are made while the last ones may still be there
        need = 2 * replicas * replica_bytes(system, requests)
        require_memory(need, f"{what}; lower either, or block_size", path)
    count = len(requests)
    need = count * (RUNNING_BYTES + KEPT_BYTES * replications)
    need += BLOCKS * len(requests.class_names) * ITL_BINS * np.dtype(np.int64).itemsize
    what = f"{count:,} requests in {replications:,} replications; lower the rate, the duration or "
    require_memory(need, what + "simulation.replications", "traffic")


def most_replicas(fleet: Fleet) -> tuple[int, str]:
    """Return how many replicas there can ever be, and the key that adds the most of them."""
    parts = {
        "fleet.replicas": fleet.replicas,
        "fleet.events": sum(each.replicas for each in fleet.events if each.kind == "join"),
        "fleet.autoscaler.max_replicas": fleet.autoscaler.max_replicas if fleet.autoscaler else 0,
    }
    return sum(parts.values()), max(parts, key=lambda key: parts[key])


def replica_bytes(system: System, requests: Requests) -> float:
    """Return what the state of one replica takes [B]."""
    config = system.config(seed=0)[0]
    slots = int(config.max_num_seqs) * (SLOT_DTYPE.itemsize + HEAP_DTYPE.itemsize)
    counters = 2 * int(config.block_size) + int(config.window) + 1 + len(requests.class_names)
    lane = LANE_DTYPE.itemsize + slots + counters * np.dtype(np.int64).itemsize
    return int(config.lanes_per_replica) * lane + REPLICA_DTYPE.itemsize
