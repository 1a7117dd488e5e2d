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

from planner.results.records import ITL_MIN, ITL_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterable

    from planner.results.records import FloatArray, IntArray

#: Metrics that one request has a value of.
REQUEST_METRICS = ("ttft", "tpot", "e2e", "wait")
#: All metrics, in the order of every report. ``itl`` is a distribution over tokens.
METRICS = ("ttft", "tpot", "itl", "e2e", "wait")


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
