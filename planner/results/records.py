"""What happened: one row per request, and totals of the fleet. No statistics here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from planner.errors import Notice

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: The parts of a latency, in the order of every array of parts.
PARTS = ("wait", "compute", "storage", "transfer", "overhead")
#: State of a request when the simulation ended, by its number in ``Records.status``.
STATUS = ("waiting", "running", "finished", "rejected")
WAITING, RUNNING, FINISHED, REJECTED = range(4)

#: Gaps between tokens fall into log-spaced bins: edge k is ``ITL_MIN * ITL_RATIO**k``.
ITL_MIN, ITL_RATIO, ITL_BINS = 1e-6, 1.005, 4160  # 1 us to about 1,000 s, 0.5 % wide


class FleetChange(NamedTuple):
    """A change of the fleet.

    Parameters
    ----------
    at_s : float
        When. [s]
    kind : {"order", "join", "leave", "fail"}
        What happened to a replica: paid for but not up yet, takes requests, takes no more,
        lost with all it had.
    replicas_up : int
        Replicas that take requests from then on.
    """

    at_s: float
    kind: str
    replicas_up: int


@dataclass(frozen=True)
class Timeline:
    """State of the fleet, sampled at ``time_s``; every array has shape ``(m,)``.

    Parameters
    ----------
    time_s : array
        When. [s]
    waiting, running : array
        Requests queued and in service at that moment.
    replicas_up : array
        Replicas able to serve.
    busy, compute, storage, transfer, kv_cache : array
        Shares since the sample before (0 for the first), averaged over replicas up: time in a
        step; time of each part; KV blocks in use.
    """

    time_s: FloatArray
    waiting: IntArray
    running: IntArray
    replicas_up: IntArray
    busy: FloatArray
    compute: FloatArray
    storage: FloatArray
    transfer: FloatArray
    kv_cache: FloatArray


@dataclass(frozen=True)
class Records:
    """One replication of a scenario, as it happened.

    Parameters
    ----------
    arrival_s, admitted_s, first_token_s, finished_s : array, shape (n,)
        NaN where it did not happen. A retried request keeps its first arrival and the other
        times of the attempt that succeeded. [s]
    prompt_tokens, output_tokens : array, shape (n,)
        Lengths served (after truncation to the context).
    class_id : array, shape (n,)
        Index into ``class_names``.
    status : array, shape (n,)
        Index into :data:`STATUS`.
    replica : array, shape (n,)
        Replica that served it; -1 where none did.
    preemptions, retries : array, shape (n,)
        How often it lost its KV cache, and how often its replica.
    parts_first, parts_end : array, shape (n, 5)
        :data:`PARTS` of ttft and of e2e; each row adds up to that latency. [s]
    itl_counts : array, shape (blocks, classes, ITL_BINS)
        Gaps between consecutive tokens, by time block of the token (block k is
        ``block_edges_s[k] <= t < block_edges_s[k + 1]``; the last block is open), class and bin.
    block_edges_s : array, shape (blocks,)
        Start of each time block; block 0 is the warm-up (empty where there is none). [s]
    measured_from_s, measured_to_s : float
        The window that statistics speak of: requests that arrived in it. [s]
    class_names : tuple of str
        Names of the request classes.
    timeline : Timeline
        Sampled state of the fleet.
    usage : dict
        ``busy, compute, storage, transfer, kv_cache`` as shares of the window, and ``steps``.
    replica_seconds : float
        Replica time paid for in the window, cold starts included. [s]
    random : bool
        Whether anything in it was drawn; a replayed trace on a fixed fleet is not.
    changes : tuple of FleetChange
        What happened to the fleet, in order.
    notices : list of Notice
        What was left out, truncated, rejected or assumed.
    """

    arrival_s: FloatArray
    admitted_s: FloatArray
    first_token_s: FloatArray
    finished_s: FloatArray
    prompt_tokens: npt.NDArray[np.int32]
    output_tokens: npt.NDArray[np.int32]
    class_id: npt.NDArray[np.int16]
    status: npt.NDArray[np.int8]
    replica: npt.NDArray[np.int32]
    preemptions: npt.NDArray[np.int32]
    retries: npt.NDArray[np.int32]
    parts_first: FloatArray
    parts_end: FloatArray
    itl_counts: IntArray
    block_edges_s: FloatArray
    measured_from_s: float
    measured_to_s: float
    class_names: tuple[str, ...]
    timeline: Timeline
    usage: dict[str, float]
    replica_seconds: float
    random: bool = True
    changes: tuple[FleetChange, ...] = ()
    notices: list[Notice] = field(default_factory=list)
