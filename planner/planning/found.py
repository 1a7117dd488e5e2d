"""What came of an evaluation: a tally for each objective, and its JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from planner.planning.probability import Edge, Tally, joint, merged
from planner.results.measured import Measured
from planner.results.metrics import finished_in_window
from planner.results.objectives import goodput_counts, may_be_refused, refused_share
from planner.results.records import FINISHED
from planner.results.samples import REQUEST_METRICS
from planner.scenario.objectives import GoodputObjective, LatencyObjective

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.results.records import FloatArray, Records
    from planner.scenario.objectives import Objective

#: Blocks of as many requests each in which those at the edge are counted.
EDGES = 64
#: Replications from which on they, and not blocks of time, are the units of a tally.
UNITS = 5


class Found(NamedTuple):
    """What came of one evaluation, or of several replications of it.

    Parameters
    ----------
    tallies : tuple of Tally
        One per objective.
    values : tuple of float or None
        The statistic of each objective: seconds, or a share.
    output_tokens_per_s : float
        Finished in the window.
    kv_cache, preemptions : float
        Share of KV blocks in use; times that a request lost its own.
    """

    tallies: tuple[Tally, ...]
    values: tuple[float | None, ...]
    output_tokens_per_s: float
    kv_cache: float
    preemptions: float

    def probabilities(self, shifts: Sequence[Sequence[float]] | None = None) -> tuple[float, ...]:
        """Return the probability of each objective; `shifts` are of its ratio, by draw."""
        rows = [(0.0,)] * len(self.tallies) if shifts is None else shifts
        return tuple(each.probability(row) for each, row in zip(self.tallies, rows, strict=True))

    def probability(self) -> float:
        """Return a lower bound of the probability that all objectives are met."""
        return joint(self.probabilities())

    @property
    def chance(self) -> float:
        """An upper bound of it: the probability of the objective that is least sure."""
        return min(self.probabilities())

    @property
    def holds(self) -> bool:
        """Whether all objectives are met by what was simulated, however sure that is."""
        return all(each.ratio <= each.allowed for each in self.tallies)


def tally(
    record: Records,
    objectives: Sequence[tuple[int | None, Objective]],
) -> Found:
    """Return the tallies of one replication.

    Parameters
    ----------
    record : Records
        What happened.
    objectives : sequence of (int or None, Objective)
        Class and objective.
    """
    found = [_objective(Measured(record, klass), each) for klass, each in objectives]
    window = record.measured_to_s - record.measured_from_s
    tokens = finished_in_window(record)[1]
    return Found(
        tallies=tuple(each for each, _ in found),
        values=tuple(value for _, value in found),
        output_tokens_per_s=tokens / window if window > 0 else 0.0,
        kv_cache=record.usage.get("kv_cache", 0.0),
        preemptions=float(record.preemptions.sum()),
    )


def _objective(run: Measured, objective: Objective) -> tuple[Tally, float | None]:
    """Return one objective's tally and the value of its statistic."""
    if not isinstance(objective, LatencyObjective):
        good, total = goodput_counts(objective, run)
        share = float(good.sum() / total.sum()) if total.sum() else None
        allowed = 1 - objective.share
        edge = edge_of(*_worst(run, objective), allowed)
        return Tally(_floats(total - good), _floats(total), allowed, edge=edge), share
    sample = run.sample(objective.metric)
    known, unfinished = sample.counts(), sample.unfinished
    total = known + unfinished
    refused = refused_share([run]) > may_be_refused(objective)
    quantile = objective.quantile
    if quantile is None:
        late = bool(unfinished.sum() > 0.01 * max(total.sum(), 1.0))
        bad = np.full_like(total, np.inf) if refused or late else sample.sums()
        value = float(bad.sum() / known.sum()) if known.sum() else math.inf
        mean = Tally(_floats(bad), _floats(known), objective.seconds, is_mean=True)
        return mean, value if math.isfinite(value) else None
    bad = total if refused else sample.above(objective.seconds, or_equal=objective.strict)
    value = sample.quantile(quantile)
    edge = (
        edge_of(
            run.latency(objective.metric, run.rows), run.records.arrival_s[run.rows], 1 - quantile
        )
        if objective.metric in REQUEST_METRICS
        else ()
    )
    tallied = Tally(_floats(bad), _floats(total), 1 - quantile, edge=edge)
    return tallied, value if math.isfinite(value) else None


def _worst(run: Measured, objective: GoodputObjective) -> tuple[FloatArray, FloatArray]:
    """Return by how much each request missed the bound that it missed most, and its arrival."""
    rows = np.flatnonzero(run.arrived)
    ratios = [
        np.nan_to_num(run.latency(each.metric, rows) / each.seconds) for each in objective.bounds
    ]
    worst = np.where(run.records.status[rows] == FINISHED, np.max(ratios, axis=0), np.inf)
    return worst, run.records.arrival_s[rows]


def edge_of(values: FloatArray, arrival_s: FloatArray, allowed: float) -> Edge:
    """Return how many values are beyond the largest that may be missed, and how many there are.

    By block of as many requests each, in the order of arrival.
    """
    known = ~np.isnan(values)
    values, arrival_s = values[known], arrival_s[known]
    if len(values) < EDGES or not 0 < allowed < 1:
        return ()
    if np.any(arrival_s[1:] < arrival_s[:-1]):
        values = values[np.argsort(arrival_s, kind="stable")]
    at = int((1 - allowed) * (len(values) - 1))
    bound = np.partition(values, at)[at]
    beyond = values > bound
    if not beyond.any():  # the largest are all alike
        beyond = values >= bound
    ends = np.linspace(0, len(values), EDGES + 1).astype(np.int64)
    counts = np.diff(np.concatenate(([0], np.cumsum(beyond)))[ends])
    return _floats(counts), _floats(np.diff(ends))


def _floats(values: np.ndarray[Any, Any]) -> tuple[float, ...]:
    return tuple(map(float, values))


def combined(found: Sequence[Found]) -> Found:
    """Return several replications as one."""
    by_unit = len(found) < UNITS
    tallies = tuple(
        merged(each, by_unit=by_unit) for each in zip(*(one.tallies for one in found), strict=True)
    )
    values = tuple(_mean(each) for each in zip(*(one.values for one in found), strict=True))
    return Found(
        tallies,
        values,
        float(np.mean([each.output_tokens_per_s for each in found])),
        float(np.mean([each.kv_cache for each in found])),
        float(np.mean([each.preemptions for each in found])),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def packed(found: Found) -> dict[str, Any]:
    """Return `found` as JSON values; what is infinite becomes null."""
    return {
        "tallies": [
            {
                "bad": [each if math.isfinite(each) else None for each in one.bad],
                "total": list(one.total),
                "allowed": one.allowed,
                "mean": one.is_mean,
                "edge": [list(each) for each in one.edge],
            }
            for one in found.tallies
        ],
        "values": list(found.values),
        "output_tokens_per_s": found.output_tokens_per_s,
        "kv_cache": found.kv_cache,
        "preemptions": found.preemptions,
    }


def unpacked(data: Mapping[str, Any]) -> Found:
    """Return what :func:`packed` made JSON of."""
    return Found(
        tuple(
            Tally(
                tuple(math.inf if each is None else each for each in one["bad"]),
                tuple(one["total"]),
                one["allowed"],
                one["mean"],
                edge=cast("Edge", tuple(tuple(each) for each in one["edge"])),
            )
            for one in data["tallies"]
        ),
        tuple(data["values"]),
        data["output_tokens_per_s"],
        data["kv_cache"],
        data["preemptions"],
    )
