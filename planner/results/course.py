"""What a chart needs of the records: how latencies were distributed, how the fleet went in time.

Both are small, however many requests there were: quantiles on a fixed grid, and samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.results.samples import METRICS, pooled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.results.intervals import Intervals
    from planner.results.records import FleetChange, Records, Timeline
    from planner.results.samples import Sample

#: Shares of the values below the quantiles of a distribution: every per cent, and the tails.
SHARES = (0.005, *(k / 100 for k in range(1, 100)), 0.995, 0.998, 0.999)
#: Most changes of the fleet that a result lists.
MOST_CHANGES = 500
#: Columns of a timeline.
COUNTS = ("waiting", "running", "replicas_up")
LOADS = ("busy", "compute", "storage", "transfer", "kv_cache")

#: The quantiles of a metric at :data:`SHARES` [s]; None where one is not known.
Distribution = tuple[float | None, ...]


def distribution(samples: Sequence[Sample], intervals: Intervals) -> Distribution:
    """Return the quantiles of a metric at :data:`SHARES`, as its percentiles are estimated [s].

    Parameters
    ----------
    samples : sequence of Sample
        Of one metric, one per replication.
    intervals : Intervals
        Over independent replications a quantile is the mean of theirs, else that of all values.
    """
    parts = list(samples) if intervals.kind == "replications" else [pooled(samples)]
    found = np.array([[sample.quantile(share) for share in SHARES] for sample in parts])
    counts = (~np.isnan(found)).sum(axis=0)
    values = np.nansum(found, axis=0) / np.where(counts, counts, np.nan)
    return tuple(float(each) if math.isfinite(each) else None for each in values)


def distributions_json(distributions: Mapping[str, Distribution]) -> dict[str, Any]:
    """Return the shares and, by metric, the quantiles at them as JSON values."""
    quantiles = {f"{metric}_s": list(map(short, distributions[metric])) for metric in METRICS}
    return {"shares": list(SHARES), **quantiles}


@dataclass(frozen=True)
class Course:
    """How the fleet went in one replication.

    Parameters
    ----------
    timeline : Timeline
        Samples of its state.
    changes : tuple of FleetChange
        The first :data:`MOST_CHANGES` changes of the fleet until the traffic ended.
    changes_total : int
        How many there were.
    """

    timeline: Timeline
    changes: tuple[FleetChange, ...]
    changes_total: int

    def to_json(self) -> dict[str, Any]:
        """Return the samples, column by column, and the changes as JSON values."""
        line = self.timeline
        return {
            "time_s": [short(float(each)) for each in line.time_s],
            **{name: getattr(line, name).tolist() for name in COUNTS},
            **{name: [short(float(each)) for each in getattr(line, name)] for name in LOADS},
            "changes": [
                {"at_s": short(each.at_s), "kind": each.kind, "replicas_up": each.replicas_up}
                for each in self.changes
            ],
            "changes_total": self.changes_total,
        }


def course(records: Records) -> Course:
    """Return how the fleet went in a replication."""
    changes = [each for each in records.changes if each.at_s <= records.measured_to_s]
    return Course(records.timeline, tuple(changes[:MOST_CHANGES]), len(changes))


def short(value: float | None) -> float | None:
    """Return `value` with six significant digits: enough to draw, and short in a file."""
    return None if value is None else float(f"{value:.6g}")
