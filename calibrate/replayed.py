"""What an engine did, as the records that a simulation of the same requests leaves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import (
    FINISHED,
    ITL_BINS,
    ITL_MIN,
    ITL_RATIO,
    REJECTED,
    RUNNING,
    WAITING,
    FloatArray,
    Records,
    Timeline,
)
from planner.simulation.run import block_edges

if TYPE_CHECKING:
    from calibrate.engine import Replay
    from calibrate.scheduling import Limits, Sequence
    from planner.traffic.requests import Requests


def records_of(replay: Replay, requests: Requests, limits: Limits, *, warmup: float) -> Records:
    """Return the records of a replay; requests that clients never sent are left out.

    What a latency is made of cannot be told from outside the model, so that ``parts_first`` and
    ``parts_end`` hold the wait until admission and NaN; the timeline is empty.

    Parameters
    ----------
    replay : Replay
        What happened.
    requests : Requests
        Those that were replayed.
    limits : Limits
        Of the engine.
    warmup : float
        Requests that arrive before it count in no statistic. [s]
    """
    sent = np.isfinite(replay.arrival)
    rows = np.flatnonzero(sent)
    sequences = [replay.sequences.get(int(row)) for row in rows]
    arrival = np.array(replay.arrival)[sent]
    admitted = np.array([each.admitted if each else math.nan for each in sequences])
    first = np.array([each.times[0] if each and each.times else math.nan for each in sequences])
    finished = np.array(
        [each.times[-1] if each and each.finished else math.nan for each in sequences]
    )
    end_s = requests.end_s if math.isfinite(requests.end_s) else float(np.nanmax(finished))
    edges = block_edges(warmup, end_s, len(requests.class_names))
    parts = np.full((2, len(rows), 5), np.nan)
    parts[:, :, 0] = admitted - arrival
    none, no_counts = np.zeros(0), np.zeros(0, np.int64)
    class_id = requests.class_id[sent]
    return Records(
        arrival_s=arrival,
        admitted_s=admitted,
        first_token_s=first,
        finished_s=finished,
        prompt_tokens=requests.prompt_tokens[sent],
        output_tokens=requests.output_tokens[sent],
        class_id=class_id,
        status=np.array([_status(each) for each in sequences], np.int8),
        replica=np.where([each is None for each in sequences], -1, 0).astype(np.int32),
        preemptions=np.array([each.preemptions if each else 0 for each in sequences], np.int32),
        retries=np.zeros(len(rows), np.int32),
        parts_first=parts[0],
        parts_end=parts[1],
        itl_counts=_gaps(sequences, class_id, edges, len(requests.class_names)),
        block_edges_s=edges,
        measured_from_s=min(warmup, end_s),
        measured_to_s=end_s,
        class_names=requests.class_names,
        timeline=Timeline(none, *(no_counts,) * 3, *(none,) * 5),
        usage=_usage(replay, limits, min(warmup, end_s), end_s),
        replica_seconds=end_s - min(warmup, end_s),
        random=requests.random,
    )


def _status(sequence: Sequence | None) -> int:
    if sequence is None:
        return REJECTED
    if sequence.finished:
        return FINISHED
    return RUNNING if sequence.slot >= 0 else WAITING


def _gaps(
    sequences: list[Sequence | None], class_id: np.ndarray, edges: FloatArray, classes: int
) -> np.ndarray:
    """Return the counts of gaps between tokens, shape ``(blocks, classes, ITL_BINS)``."""
    counts = np.zeros((len(edges), classes, ITL_BINS), np.int64)
    for sequence, klass in zip(sequences, class_id, strict=True):
        if sequence is None or len(sequence.times) < 2:
            continue
        times = np.array(sequence.times)
        gaps = np.maximum(np.diff(times), ITL_MIN)
        bins = (np.log(gaps / ITL_MIN) / math.log(ITL_RATIO)).astype(np.int64)
        block = np.searchsorted(edges, times[1:], "right") - 1
        np.add.at(counts, (block, klass, np.minimum(bins, ITL_BINS - 1)), 1)
    return counts


def _usage(replay: Replay, limits: Limits, start: float, end: float) -> dict[str, float]:
    """Return shares of the window: time in steps, and blocks in use during them."""
    inside = [
        (max(0.0, min(step.end, end) - max(step.start, start)), step.used_blocks)
        for step in replay.steps
    ]
    window = end - start
    busy = sum(seconds for seconds, _ in inside)
    blocks = sum(seconds * used for seconds, used in inside)
    usage = dict.fromkeys(("compute", "storage", "transfer"), math.nan)
    usage["busy"] = busy / window if window > 0 else math.nan
    usage["kv_cache"] = blocks / (window * limits.blocks) if window > 0 else math.nan
    usage["steps"] = float(sum(seconds > 0 for seconds, _ in inside))
    return usage
