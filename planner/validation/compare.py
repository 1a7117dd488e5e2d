"""How far predicted latencies are from measured ones, beside how far measurements are apart.

Both sides are records, of a simulation and of runs of a real system under the same requests. A
prediction can be no nearer than two runs are to each other: the tolerance of a row is the one
asked for or twice the spread of the runs, whichever is larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.results.measured import Measured
from planner.results.metrics import finished_in_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.results.records import Records

#: Metrics and statistics that are compared.
METRICS, STATISTICS = ("ttft", "tpot", "e2e"), ("p50", "p95")
#: Standard deviations of the runs that an error is allowed.
SPREADS = 2.0


@dataclass(frozen=True)
class Row:
    """One number, predicted and measured.

    Parameters
    ----------
    metric : str
        ``ttft``, ``tpot``, ``e2e`` or a throughput.
    statistic : str
        ``p50``, ``p95``, or empty for a throughput.
    unit : {"s", "1/s"}
        Of the values.
    predicted : float
        NaN where it does not exist, inf where it lies among unfinished requests.
    runs : tuple of float
        Measured, one per run, at least one.
    by_profile : float, optional
        Predicted by the profile as it is, where `predicted` is for the speed of the machine now.
    of_runs : tuple of float
        Predicted for the speed of the machine in each run, whose mean `predicted` is; empty where
        one prediction is for all runs.
    """

    metric: str
    statistic: str
    unit: str
    predicted: float
    runs: tuple[float, ...]
    by_profile: float | None = None
    of_runs: tuple[float, ...] = ()

    @property
    def measured(self) -> float:
        """Mean of the runs."""
        return float(np.mean(self.runs))

    @property
    def spread(self) -> float:
        """Standard deviation of the runs over their mean; NaN for a single run, or of zeros [-]."""
        if len(self.runs) < 2 or not math.isfinite(self.measured) or not self.measured:
            return math.nan
        return float(np.std(self.runs, ddof=1)) / self.measured

    @property
    def unexplained(self) -> float:
        """The spread that is left when each run is taken over what was predicted for it [-].

        The spread itself where one prediction is for all runs.
        """
        if len(self.runs) < 2 or not self.of_runs:
            return self.spread
        if not (math.isfinite(self.measured) and math.isfinite(self.predicted)):
            return math.nan
        if not (self.measured and all(self.of_runs)):  # nothing to take a run over
            return math.nan
        ratios = np.array(self.runs) / np.array(self.of_runs)
        return float(np.std(ratios, ddof=1) / np.mean(ratios))

    @property
    def error(self) -> float:
        """Predicted over measured, less one; NaN where either is unknown [-]."""
        if not (math.isfinite(self.predicted) and math.isfinite(self.measured)):
            return math.nan
        return self.predicted / self.measured - 1 if self.measured else math.nan

    def allowed(self, tolerance: float) -> float:
        """Return how large the error may be: `tolerance`, or more where the runs differ more."""
        spread = 0.0 if math.isnan(self.spread) else self.spread
        return max(tolerance, SPREADS * spread)

    def met(self, tolerance: float) -> bool:
        """Return whether the error is allowed; one that is not known is not.

        A number that neither side has, as ``tpot`` of answers of one token, is no error.
        """
        if math.isnan(self.predicted) and all(math.isnan(run) for run in self.runs):
            return True
        return abs(self.error) <= self.allowed(tolerance)


@dataclass(frozen=True)
class Comparison:
    """A prediction and the runs that it was made for.

    Parameters
    ----------
    label : str
        Which load, e.g. ``60 %``.
    rate : float
        Requests that arrived per second; NaN where they all waited. [1/s]
    requests : int
        Requests that arrived in the window that is measured.
    rows : tuple of Row
        What was compared.
    """

    label: str
    rate: float
    requests: int
    rows: tuple[Row, ...]

    def missed(self, tolerance: float) -> list[Row]:
        """Return the rows whose error is larger than `tolerance` and the spread allow."""
        return [row for row in self.rows if not row.met(tolerance)]


def compare(
    label: str,
    predicted: Sequence[Records],
    measured: Sequence[Records],
    by_profile: Records | None = None,
) -> Comparison:
    """Compare a prediction with the runs of a real system under the same requests.

    Parameters
    ----------
    label : str
        What to call it.
    predicted : sequence of Records
        Of simulations: one of all runs, or one of each, whose mean is compared.
    measured : sequence of Records
        One per run, at least one.
    by_profile : Records, optional
        Of the simulation by the profile as it is, where `predicted` is not.
    """
    others = () if by_profile is None else (by_profile,)
    records = (*others, *predicted, *measured)
    sides = [Measured(each) for each in records]
    first, last = len(others), len(others) + len(predicted)

    def row(metric: str, statistic: str, unit: str, values: Sequence[float]) -> Row:
        by_profile, each = values[0] if first else None, tuple(values[first:last])
        of_runs = each if len(each) > 1 else ()
        runs = tuple(values[last:])
        return Row(metric, statistic, unit, float(np.mean(each)), runs, by_profile, of_runs)

    rows = []
    for metric in METRICS:
        samples = [side.sample(metric) for side in sides]
        for statistic in STATISTICS:
            values = [each.quantile(float(statistic[1:]) / 100) for each in samples]
            rows.append(row(metric, statistic, "s", values))
    rows.append(row("output tokens", "", "1/s", [_output_rate(each) for each in records]))
    arrived = int(sides[0].arrived.sum())
    window = records[0].measured_to_s - records[0].measured_from_s
    return Comparison(label, arrived / window if window > 0 else math.nan, arrived, tuple(rows))


def _output_rate(records: Records) -> float:
    """Return the output tokens per second of the requests that finished in the window [1/s]."""
    window = records.measured_to_s - records.measured_from_s
    return finished_in_window(records)[1] / window if window > 0 else math.nan
