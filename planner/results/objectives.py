"""Whether objectives hold: by the value that was measured, and whether its interval is sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.results.intervals import UNKNOWN
from planner.results.measured import Measured
from planner.results.records import FINISHED, REJECTED
from planner.scenario.objectives import GoodputObjective, LatencyObjective

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from planner.results.intervals import Estimate, Intervals
    from planner.results.metrics import Metrics
    from planner.results.records import FloatArray, Records
    from planner.scenario.objectives import Objective


@dataclass(frozen=True)
class Outcome:
    """An objective and what came of it.

    Parameters
    ----------
    objective : str
        As written.
    value, low, high : float or None
        What was measured, with its interval: seconds, or a share for goodput.
    met : bool
        Whether the value meets it. A value that is not known does not.
    sure : bool
        Whether the whole interval lies on the same side.
    bound : float
        What it asks for, in the unit of `value`.
    """

    objective: str
    value: float | None
    low: float | None
    high: float | None
    met: bool
    sure: bool
    bound: float

    @property
    def is_share(self) -> bool:
        """Whether `value` is a share of requests rather than seconds."""
        return self.objective.startswith("goodput")


def wanted_statistics(objectives: Iterable[Objective]) -> list[tuple[str, str]]:
    """Return the metrics and statistics that latency objectives ask for."""
    return [
        (each.metric, each.statistic) for each in objectives if isinstance(each, LatencyObjective)
    ]


def evaluate(
    objectives: Iterable[Objective],
    metrics: Metrics,
    records: Sequence[Records],
    intervals: Intervals,
    *,
    class_id: int | None = None,
    steady: bool = True,
) -> tuple[Outcome, ...]:
    """Return the outcome of each objective.

    Parameters
    ----------
    objectives : iterable of Objective
        Those of the whole scenario, or of the class.
    metrics : Metrics
        Of the same requests, with the statistics of :func:`wanted_statistics`.
    records : sequence of Records
        One per replication; goodput is counted in them.
    intervals : Intervals
        How to make confidence intervals.
    class_id : int, optional
        The class that the objectives belong to.
    steady : bool
        False if the service cannot sustain the load: then none is met, for sure, since what was
        measured depends on how long one waits.

    A request that was rejected was never answered: a percentile is not met if more than its tail
    were, nor a mean if more than one in a hundred were.
    """
    runs = [Measured(record, class_id) for record in records]
    refused = refused_share(runs)
    outcomes = []
    for each in objectives:
        if isinstance(each, LatencyObjective):
            estimate, bound = metrics.latency[each.metric][each.statistic], each.seconds
        else:
            estimate, bound = goodput(each, runs, intervals), each.share
        if not steady and isinstance(each, GoodputObjective):
            estimate = UNKNOWN
        served = isinstance(each, GoodputObjective) or refused <= may_be_refused(each)
        met = steady and served and _holds(each, estimate.value)
        sure = not steady or not served or _sure(each, estimate, met=met)
        outcomes.append(
            Outcome(each.text, estimate.value, estimate.low, estimate.high, met, sure, bound)
        )
    return tuple(outcomes)


def goodput(
    objective: GoodputObjective, runs: Sequence[Measured], intervals: Intervals
) -> Estimate:
    """Return the share of the requests that arrived in the window and met all bounds.

    A request that was rejected or did not finish met none; a bound on ``tpot`` is met by a
    request with one token.
    """
    counts = [goodput_counts(objective, run) for run in runs]
    return intervals.share([good for good, _ in counts], [total for _, total in counts])


def goodput_counts(objective: GoodputObjective, run: Measured) -> tuple[FloatArray, FloatArray]:
    """Return the requests that met all bounds and those that arrived, each by block of time."""
    meets = run.arrived & (run.records.status == FINISHED)
    for bound in objective.bounds:
        latency = run.latency(bound.metric, slice(None))
        within = latency < bound.seconds if bound.strict else latency <= bound.seconds
        meets &= within | (np.isnan(latency) if bound.metric == "tpot" else False)
    good, total = (
        np.bincount(run.block(np.flatnonzero(rows)), minlength=len(run.blocks))
        for rows in (meets, run.arrived)
    )
    return good.astype(np.float64), total.astype(np.float64)


def refused_share(runs: Sequence[Measured]) -> float:
    """Return the share of the requests that arrived in the window and were rejected."""
    arrived = sum(int(run.arrived.sum()) for run in runs)
    refused = sum(int((run.arrived & (run.records.status == REJECTED)).sum()) for run in runs)
    return refused / arrived if arrived else 0.0


def may_be_refused(objective: LatencyObjective) -> float:
    """Return the share of requests that may be rejected before `objective` is missed."""
    return 0.01 if objective.statistic == "mean" else 1 - float(objective.statistic[1:]) / 100


def _holds(objective: Objective, value: float | None) -> bool:
    return value is not None and objective.met(value)


def _sure(objective: Objective, estimate: Estimate, *, met: bool) -> bool:
    """Return whether the end of the interval nearest to failing, or to holding, agrees."""
    best, worst = estimate.low, estimate.high
    if isinstance(objective, GoodputObjective):
        best, worst = worst, best
    if met:
        return _holds(objective, worst)
    return best is not None and not objective.met(best)
