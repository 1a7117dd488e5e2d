"""What a latency is made of: wait, compute, storage, transfer and overhead.

The parts of every request add up to its latency. The parts of the mean are the means of the parts.
A percentile is one request's latency, whose parts alone would be an anecdote: its parts are
averaged over the requests around it and scaled to the percentile's value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.results.records import FloatArray
    from planner.results.samples import Requests

#: Share of the requests beyond a percentile that its neighbourhood takes in on either side.
NEIGHBOURS = 0.1
#: Requests on either side that it takes in at least, unless that is over half of those beyond.
MIN_NEIGHBOURS = 12


@dataclass(frozen=True)
class Attributed:
    """The values of a latency in one replication with the parts of each.

    Parameters
    ----------
    sample : Requests
        The latencies.
    parts : array, shape (n, 5)
        :data:`~planner.results.records.PARTS` of each; a row adds up to its latency. [s]
    """

    sample: Requests
    parts: FloatArray

    def mean(self) -> FloatArray:
        """Return the parts of the mean, shape ``(5,)``; NaN without values [s]."""
        if not len(self.parts):
            return np.full(len(PARTS), np.nan)
        mean: FloatArray = self.parts.mean(axis=0)
        return mean

    def at(self, p: float) -> FloatArray:
        """Return the parts of the `p`-quantile, shape ``(5,)`` [s].

        Taken over the requests whose rank is within a tenth of those beyond the quantile, and
        scaled by the quantile over their mean latency, so that they add up to the quantile as
        exactly as the parts of the requests do. NaN where the quantile is not known.
        """
        value = self.sample.quantile(p)
        if not math.isfinite(value):
            return np.full(len(PARTS), np.nan)
        ordered = self.sample.ordered
        beyond = self.sample.size * min(p, 1 - p)
        reach = math.ceil(max(NEIGHBOURS * beyond, min(MIN_NEIGHBOURS, beyond / 2)))
        rank = (self.sample.size - 1) * p
        first = max(0, math.floor(rank) - reach)
        last = min(len(ordered) - 1, math.ceil(rank) + reach)
        near = (self.sample.values >= ordered[first]) & (self.sample.values <= ordered[last])
        latency = float(self.sample.values[near].mean())
        parts: FloatArray = self.parts[near].mean(axis=0)
        return parts * (value / latency) if latency > 0 else np.zeros(len(PARTS))


def attribute(
    replications: Sequence[Attributed], statistic: str, value: float | None
) -> dict[str, float | None]:
    """Return the parts of `value`, a statistic over replications, by name; they add up to it.

    Parameters
    ----------
    replications : sequence of Attributed
        The latencies of each replication.
    statistic : str
        ``mean`` or ``p`` and a percentile.
    value : float or None
        What was reported; with None every part is None. [s]
    """
    if value is None:
        return dict.fromkeys(PARTS)
    at = None if statistic == "mean" else float(statistic[1:]) / 100
    each = [one.mean() if at is None else one.at(at) for one in replications]
    known = [parts for parts in each if np.isfinite(parts).all()]
    if not known:
        return dict.fromkeys(PARTS)
    latencies = [one.sample.quantile(at) if at is not None else _mean(one) for one in replications]
    latency = float(np.mean([each for each in latencies if math.isfinite(each)]))
    parts = np.mean(known, axis=0) * (value / latency if latency > 0 else 0.0)
    return dict(zip(PARTS, map(float, parts), strict=True))


def _mean(one: Attributed) -> float:
    return float(one.sample.values.mean()) if len(one.sample.values) else math.nan
