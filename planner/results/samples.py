"""Samples: the values of one metric in one replication, by time block, for statistics.

A request that had not finished when the simulation ended has no latency yet, and leaving it out
would flatter every percentile. It counts as longer than any value observed (right-censored), so a
percentile that falls among such requests is infinite: not known, never small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from planner.results.records import FINISHED, ITL_MIN, ITL_RATIO, REJECTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from planner.results.records import FloatArray, IntArray, Records

#: Metrics that one request has a value of.
REQUEST_METRICS = ("ttft", "tpot", "e2e", "wait")
#: All metrics, in the order of every report. ``itl`` is a distribution over tokens.
METRICS = ("ttft", "tpot", "itl", "e2e", "wait")
#: Blocks are merged until there are at most so many: finer ones do not improve an interval.
MAX_BLOCKS = 256
#: Mean lifetimes of a request that a block must last.
LIFETIMES = 5


class Sample(Protocol):
    """Values of a metric by time block; what an interval method needs to know of them."""

    @property
    def size(self) -> float:
        """How many values there are, unfinished ones included."""
        ...

    @property
    def unfinished(self) -> FloatArray:
        """Values not known but longer than any other, by block, shape ``(blocks,)``."""
        ...

    def quantile(self, p: float) -> float:
        """Return the `p`-quantile; NaN without values, inf if it falls among the unfinished."""
        ...

    def above(self, value: float, *, or_equal: bool = False) -> FloatArray:
        """Return how many values exceed `value`, by block, shape ``(blocks,)``."""
        ...

    def counts(self) -> FloatArray:
        """Return how many values are known, by block, shape ``(blocks,)``."""
        ...

    def sums(self) -> FloatArray:
        """Return the sum of the known values by block, shape ``(blocks,)`` [s]."""
        ...


@dataclass(frozen=True)
class Requests:
    """A :class:`Sample` with one value per request.

    Parameters
    ----------
    values : array, shape (n,)
        Known values. [s]
    block : array, shape (n,)
        Time block in which the request arrived.
    unfinished : array, shape (blocks,)
        Requests whose value is not known but longer than any other.
    """

    values: FloatArray
    block: IntArray
    unfinished: FloatArray

    @cached_property
    def ordered(self) -> FloatArray:
        """The values in increasing order."""
        return np.sort(self.values)

    @property
    def size(self) -> float:
        """How many requests there are, unfinished ones included."""
        return len(self.values) + float(self.unfinished.sum())

    def quantile(self, p: float) -> float:
        """Return the `p`-quantile, interpolated linearly between order statistics [1]_.

        References
        ----------
        .. [1] R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages," Am. Stat.
           50(4), 1996, definition 7 (the default of numpy).
        """
        if not self.size:
            return math.nan
        rank = (self.size - 1) * p
        below = math.floor(rank + 1e-9)
        fraction = max(0.0, rank - below)
        last = len(self.ordered) - 1
        if below > last or (below == last and fraction > 1e-9 and self.size - 1 > last):
            return math.inf
        low, high = self.ordered[below], self.ordered[min(below + 1, last)]
        return float(low + fraction * (high - low))

    @cached_property
    def _bounds(self) -> IntArray | None:
        """First request of each block and the end; None unless they are in order of arrival."""
        if np.any(self.block[1:] < self.block[:-1]):
            return None
        return np.searchsorted(self.block, np.arange(len(self.unfinished) + 1))

    @cached_property
    def _counts(self) -> FloatArray:
        """How many values are known, by block of arrival."""
        if self._bounds is not None:
            return np.diff(self._bounds).astype(np.float64)
        return np.bincount(self.block, minlength=len(self.unfinished)).astype(np.float64)

    def above(self, value: float, *, or_equal: bool = False) -> FloatArray:
        """Return how many requests exceed (or equal) `value`, by block of arrival."""
        rows = np.flatnonzero(self.values >= value if or_equal else self.values > value)
        if self._bounds is not None:
            return np.diff(np.searchsorted(rows, self._bounds)) + self.unfinished
        return np.bincount(self.block[rows], minlength=len(self.unfinished)) + self.unfinished

    def counts(self) -> FloatArray:
        """Return how many values are known, by block of arrival."""
        return self._counts

    def sums(self) -> FloatArray:
        """Return the sum of the known values by block of arrival [s]."""
        sums = np.bincount(self.block, self.values, len(self.unfinished))
        return sums.astype(np.float64, copy=False)


@dataclass(frozen=True)
class Histogram:
    """A :class:`Sample` in log-spaced bins; a bin's values are spread evenly over it.

    Parameters
    ----------
    bins : array, shape (blocks, ITL_BINS)
        Values by block and bin.
    """

    bins: FloatArray

    @cached_property
    def edges(self) -> FloatArray:
        """Edges of the bins, shape ``(ITL_BINS + 1,)``; the first bin starts at 0 [s]."""
        edges = ITL_MIN * ITL_RATIO ** np.arange(self.bins.shape[1] + 1, dtype=np.float64)
        edges[0] = 0.0
        return edges

    @cached_property
    def cumulative(self) -> FloatArray:
        """Values below each edge over all blocks, shape ``(ITL_BINS + 1,)``."""
        return np.concatenate(([0.0], np.cumsum(self.bins.sum(axis=0))))

    @property
    def size(self) -> float:
        """How many values there are."""
        return float(self.cumulative[-1])

    @property
    def unfinished(self) -> FloatArray:
        """Zero in every block: a gap between tokens is known or has not happened."""
        return np.zeros(len(self.bins))

    def quantile(self, p: float) -> float:
        """Return the `p`-quantile, interpolated within its bin; NaN without values."""
        if not self.size:
            return math.nan
        target = min(max(p, 0.0), 1.0) * self.size
        after = max(1, int(np.searchsorted(self.cumulative, target)))
        low, high = self.cumulative[after - 1], self.cumulative[after]
        fraction = (target - low) / (high - low)
        return float(self.edges[after - 1] + fraction * (self.edges[after] - self.edges[after - 1]))

    def above(self, value: float, *, or_equal: bool = False) -> FloatArray:  # noqa: ARG002 - a bin has no ties
        """Return how many values exceed `value`, by block; a bin it falls in counts in part."""
        at = int(
            np.clip(np.searchsorted(self.edges, value, "right") - 1, 0, self.bins.shape[1] - 1)
        )
        width = self.edges[at + 1] - self.edges[at]
        part = np.clip((self.edges[at + 1] - value) / width, 0.0, 1.0)
        counts: FloatArray = self.bins[:, at + 1 :].sum(axis=1) + part * self.bins[:, at]
        return counts

    def counts(self) -> FloatArray:
        """Return how many values there are, by block."""
        counts: FloatArray = self.bins.sum(axis=1)
        return counts

    def sums(self) -> FloatArray:
        """Return the sum of the values by block, each at the middle of its bin [s]."""
        sums: FloatArray = self.bins @ ((self.edges[:-1] + self.edges[1:]) / 2)
        return sums


def blocks_of(records: Records) -> FloatArray:
    """Return the starts of the time blocks after the warm-up [s].

    At most :data:`MAX_BLOCKS`, and neighbours are merged until a block is as long as
    :data:`LIFETIMES` requests live on average: shorter ones depend on each other so much that a
    bootstrap over them would be too sure.
    """
    return records.block_edges_s[1 :: merged_blocks(records)]


def merged_blocks(records: Records) -> int:
    """Return how many neighbouring time blocks are taken as one, see :func:`blocks_of`.

    A power of two, so that replications of nearly the same lifetimes have the same blocks.
    """
    starts = records.block_edges_s[1:]
    if len(starts) < 2:
        return 1
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
        """Return the values of one of :data:`METRICS`; ``tpot`` leaves out one-token answers."""
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


def pooled(samples: Iterable[Sample]) -> Sample:
    """Return one sample of all the values of replications that saw the same traffic.

    Blocks keep their place in time, so that a block of one replication pairs with the same block
    of another.
    """
    every = list(samples)
    if len(every) == 1:
        return every[0]
    histograms = [each for each in every if isinstance(each, Histogram)]
    if histograms:
        total = np.zeros((max(len(each.bins) for each in histograms), histograms[0].bins.shape[1]))
        for histogram in histograms:
            total[: len(histogram.bins)] += histogram.bins
        return Histogram(total)
    requests = [each for each in every if isinstance(each, Requests)]
    unfinished = np.zeros(max(len(each.unfinished) for each in requests))
    for each in requests:
        unfinished[: len(each.unfinished)] += each.unfinished
    return Requests(
        np.concatenate([each.values for each in requests]),
        np.concatenate([each.block for each in requests]),
        unfinished,
    )
