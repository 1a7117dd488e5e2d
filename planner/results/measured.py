"""What is measured of one replication: its requests in the window, by time block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import FINISHED, REJECTED
from planner.results.samples import Histogram, Requests

if TYPE_CHECKING:
    import numpy.typing as npt

    from planner.results.records import FloatArray, IntArray, Records
    from planner.results.samples import Sample

#: Blocks are merged until there are at most so many: finer ones do not improve an interval.
MAX_BLOCKS = 256
#: Mean lifetimes of a request that a block must last.
LIFETIMES = 5


def blocks_of(records: Records) -> FloatArray:
    """Return the starts of the time blocks after the warm-up [s].

    At most :data:`MAX_BLOCKS`, and neighbours are merged until a block is as long as
    :data:`LIFETIMES` requests live on average: shorter ones depend on each other so much that a
    bootstrap over them would be too sure.
    """
    return records.block_edges_s[1 :: merged_blocks(records)]


def merged_blocks(records: Records) -> int:
    """Return how many neighbouring time blocks are taken as one, see :func:`blocks_of`.

    A power of two, so that replications of nearly the same lifetimes have the same blocks; all of
    them where they are empty, as when all requests came at one moment.
    """
    starts = records.block_edges_s[1:]
    if len(starts) < 2:
        return 1
    if starts[1] <= starts[0]:  # all arrived at one moment
        return len(starts)
    done = records.status == FINISHED
    lifetime = np.mean((records.finished_s - records.arrival_s)[done]) if done.any() else 0.0
    needed = LIFETIMES * lifetime / (starts[1] - starts[0])
    least = max(len(starts) / MAX_BLOCKS, needed, 1.0)
    return int(2 ** math.ceil(math.log2(least)))


@dataclass(frozen=True)
class Measured:
    """The requests of one replication that statistics speak of.

    Those that arrived in ``[measured_from_s, measured_to_s)``, of one class or of all.

    Parameters
    ----------
    records : Records
        The replication.
    class_id : int, optional
        Only this class.
    """

    records: Records
    class_id: int | None = None

    @cached_property
    def arrived(self) -> npt.NDArray[np.bool_]:
        """Which requests arrived in the window, shape ``(n,)``; rejected ones included."""
        record = self.records
        inside = (record.arrival_s >= record.measured_from_s) & (
            record.arrival_s < record.measured_to_s
        )
        return inside if self.class_id is None else inside & (record.class_id == self.class_id)

    @cached_property
    def rows(self) -> slice | IntArray:
        """Those of them that finished; a slice where they are contiguous, which copies nothing."""
        rows = np.flatnonzero(self.arrived & (self.records.status == FINISHED))
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return slice(int(rows[0]), int(rows[-1]) + 1)
        return rows

    @cached_property
    def unfinished_rows(self) -> IntArray:
        """Those of them that were waiting or running at the end."""
        status = self.records.status
        return np.flatnonzero(self.arrived & (status != FINISHED) & (status != REJECTED))

    @cached_property
    def blocks(self) -> FloatArray:
        """Starts of the time blocks, shape ``(blocks,)``; one block where there are none [s]."""
        starts = blocks_of(self.records)
        return starts if len(starts) else np.array([self.records.measured_from_s])

    def block(self, rows: slice | IntArray) -> IntArray:
        """Return the time block in which each of `rows` arrived."""
        block = np.searchsorted(self.blocks, self.records.arrival_s[rows], "right") - 1
        return np.maximum(block, 0)

    @cached_property
    def _block(self) -> IntArray:
        return self.block(self.rows)

    def latency(self, metric: str, rows: slice | IntArray) -> FloatArray:
        """Return `metric` of each of `rows`; NaN where it is undefined [s]."""
        record = self.records
        if metric == "tpot":
            gaps = record.output_tokens[rows] - 1.0
            span = record.finished_s[rows] - record.first_token_s[rows]
            tpot = np.full(len(gaps), np.nan)
            np.divide(span, gaps, out=tpot, where=gaps > 0)
            return tpot
        ends = {"ttft": "first_token_s", "e2e": "finished_s", "wait": "admitted_s"}
        until: FloatArray = getattr(record, ends[metric])
        latency: FloatArray = until[rows] - record.arrival_s[rows]
        return latency

    def sample(self, metric: str) -> Sample:
        """Return the values of a metric of :data:`~planner.results.samples.METRICS`.

        ``tpot`` leaves out answers of one token.
        """
        if metric == "itl":
            return Histogram(self._itl_bins())
        values, block, late = self.latency(metric, self.rows), self._block, self.unfinished_rows
        if metric == "tpot":
            known = ~np.isnan(values)
            if not known.all():
                values, block = values[known], block[known]
            late = late[self.records.output_tokens[late] > 1]
        unfinished = np.bincount(self.block(late), minlength=len(self.blocks))
        return Requests(values, block, unfinished.astype(np.float64))

    def _itl_bins(self) -> FloatArray:
        """Return the gaps between tokens by merged block and bin, for the class or all."""
        counts = self.records.itl_counts[1:]
        by_block = counts.sum(axis=1) if self.class_id is None else counts[:, self.class_id]
        if not len(by_block):
            return np.zeros((1, counts.shape[2]))
        step = merged_blocks(self.records)
        return np.add.reduceat(by_block, np.arange(0, len(by_block), step)).astype(np.float64)
