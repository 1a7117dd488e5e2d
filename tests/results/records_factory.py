"""Synthetic records with known answers."""

from __future__ import annotations

import numpy as np

from planner.results.records import (
    FINISHED,
    ITL_BINS,
    ITL_MIN,
    ITL_RATIO,
    RUNNING,
    Records,
    Timeline,
)

#: Shares of a ttft and of the rest of an e2e that the parts after the wait take.
SHARES_FIRST = np.array([0.5, 0.25, 0.125, 0.125])
SHARES_REST = np.array([0.25, 0.5, 0.125, 0.125])


def make_records(
    arrival,
    wait=0.0,
    prefill=0.1,
    decode=1.0,
    *,
    prompt_tokens=100,
    output_tokens=11,
    class_id=0,
    class_names=("all",),
    status=FINISHED,
    window=None,
    blocks=20,
    warmup=0.0,
    gaps=None,
    **other,
):
    """Return records of requests that wait, prefill (ttft after the wait) and decode.

    Scalars are repeated for every request. `gaps` are inter-token gaps in seconds as
    ``(block, class, seconds, count)``.
    """
    arrival = np.asarray(arrival, dtype=np.float64)
    n = len(arrival)

    def column(value, dtype=np.float64):
        return np.broadcast_to(np.asarray(value, dtype=dtype), n).copy()

    wait, prefill, decode = column(wait), column(prefill), column(decode)
    status = column(status, np.int8)
    admitted = arrival + wait
    first = admitted + prefill
    finished = first + decode
    started = (status == FINISHED) | (status == RUNNING)
    done = status == FINISHED
    parts_first = np.column_stack([wait, prefill[:, None] * SHARES_FIRST])
    parts_end = parts_first + np.column_stack([np.zeros(n), decode[:, None] * SHARES_REST])
    parts_end[~done] = np.nan
    parts_first[~done] = np.nan
    start, stop = window or (warmup, float(arrival.max()) + 1.0 if n else 1.0)
    edges = np.concatenate([[0.0], start + (stop - start) / blocks * np.arange(blocks)])
    itl = np.zeros((len(edges), len(class_names), ITL_BINS), np.int64)
    for block, cls, seconds, count in gaps or ():
        itl[block, cls, int(np.log(seconds / ITL_MIN) / np.log(ITL_RATIO))] += count
    values = {
        "replica": column(0, np.int32),
        "preemptions": column(0, np.int32),
        "retries": column(0, np.int32),
        "usage": {
            "busy": 0.5,
            "compute": 0.1,
            "storage": 0.3,
            "transfer": 0.05,
            "kv_cache": 0.25,
            "steps": 10.0,
        },
        "replica_seconds": 2 * (stop - start),
        **other,
    }
    return Records(
        arrival_s=arrival,
        admitted_s=np.where(started, admitted, np.nan),
        first_token_s=np.where(done, first, np.nan),
        finished_s=np.where(done, finished, np.nan),
        prompt_tokens=column(prompt_tokens, np.int32),
        output_tokens=column(output_tokens, np.int32),
        class_id=column(class_id, np.int16),
        status=status,
        parts_first=parts_first,
        parts_end=parts_end,
        itl_counts=itl,
        block_edges_s=edges,
        measured_from_s=start,
        measured_to_s=stop,
        class_names=tuple(class_names),
        timeline=Timeline(*(np.zeros(0, np.int64 if k in (1, 2, 3) else float) for k in range(9))),
        **values,
    )


def mm1(n, load, rng, replications=None):
    """Return arrivals and stationary waits of an M/M/1 queue with mean service 1.

    Lindley's recursion ``W' = max(0, W + S - A)`` from a wait drawn from its stationary law, as
    the running sum of ``S - A`` less its running minimum where that is negative.
    """
    shape = (n,) if replications is None else (replications, n)
    arrivals = np.cumsum(rng.exponential(1 / load, shape), axis=-1)
    steps = np.empty(shape)
    steps[..., 1:] = rng.exponential(1, shape)[..., 1:] - np.diff(arrivals)
    busy = rng.random(shape[:-1]) < load
    steps[..., 0] = busy * rng.exponential(1 / (1 - load), shape[:-1])
    total = np.cumsum(steps, axis=-1)
    lowest = np.minimum.accumulate(total, axis=-1)
    return arrivals, total - np.minimum(lowest, 0.0)


def mm1_wait_quantile(p, load):
    """Return the p-quantile of the wait: P(W > t) = load exp(-(1 - load) t)."""
    return max(0.0, np.log(load / (1 - p)) / (1 - load))
