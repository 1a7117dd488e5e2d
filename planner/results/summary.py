"""The summary of a simulation: from the records of its replications to its result."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import Notice
from planner.results.course import SHARES, course
from planner.results.intervals import UNKNOWN
from planner.results.metrics import choose_intervals, count, finished_in_window, measure
from planner.results.objectives import evaluate, wanted_statistics
from planner.results.records import PARTS
from planner.results.result import UNBOUNDED, ClassResult, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.results.context import RunContext
    from planner.results.intervals import Intervals
    from planner.results.metrics import Metrics
    from planner.results.records import Records
    from planner.scenario.objectives import Objective

UTILISATION = ("busy", "compute", "storage", "transfer", "kv_cache")
#: Share of unfinished requests that shows an overload where no saturation rate is known.
OVERLOADED = 0.01
#: The same where the saturation rate is known and higher: the fleet was lost, not too small.
LOST = 0.05


def summarise(records: Sequence[Records], context: RunContext) -> Result:
    """Return what came of a scenario.

    Parameters
    ----------
    records : sequence of Records
        One per replication, at least one, of the same classes.
    context : RunContext
        What was run.

    Raises
    ------
    ValueError
        Without records, or for objectives of a class that does not exist.
    """
    if not records:
        raise ValueError("there must be at least one replication")
    names = records[0].class_names
    unknown = context.class_objectives.keys() - set(names)
    if unknown:
        raise ValueError(f"objectives of unknown classes: {', '.join(sorted(unknown))}")
    intervals = choose_intervals(
        records,
        seed=context.seed,
        confidence=context.confidence,
        traffic_random=context.traffic_random,
    )
    steady = _steady(records, context)
    whole = _class_result(records, intervals, context.objectives, None, steady=steady)
    classes = {}
    if len(names) > 1 or any(context.class_objectives.values()):
        classes = {
            name: _class_result(
                records, intervals, context.class_objectives.get(name, ()), index, steady=steady
            )
            for index, name in enumerate(names)
        }
    return Result(
        context=context,
        whole=whole,
        classes=classes,
        steady=steady,
        utilisation=_utilisation(records),
        cost=_cost(records, context.price_per_replica_hour),
        watts=_watts(records, context.watts_per_replica),
        preemptions=sum(int(record.preemptions.sum()) for record in records),
        replications=len(records),
        intervals=intervals,
        notices=_notices(records, context),
        course=course(records[0]),
    )


def _class_result(
    records: Sequence[Records],
    intervals: Intervals,
    objectives: tuple[Objective, ...],
    class_id: int | None,
    *,
    steady: bool,
) -> ClassResult:
    """Return metrics and outcomes of all requests or of one class."""
    also = wanted_statistics(objectives)
    metrics = measure(records, intervals, class_id=class_id, also=also)
    if not steady:
        metrics = _without_unbounded(metrics)
    outcomes = evaluate(objectives, metrics, records, intervals, class_id=class_id, steady=steady)
    return ClassResult(metrics, outcomes)


def _without_unbounded(metrics: Metrics) -> Metrics:
    """Take away the latencies that depend on how long an overload lasted."""
    latency = {
        metric: dict.fromkeys(statistics, UNKNOWN) if metric in UNBOUNDED else statistics
        for metric, statistics in metrics.latency.items()
    }
    parts = {
        metric: {statistic: dict.fromkeys(PARTS) for statistic in statistics}
        for metric, statistics in metrics.parts.items()
    }
    distributions = {
        metric: (None,) * len(SHARES) if metric in UNBOUNDED else values
        for metric, values in metrics.distributions.items()
    }
    return replace(metrics, latency=latency, parts=parts, distributions=distributions)


def _steady(records: Sequence[Records], context: RunContext) -> bool:
    """Return whether the fleet can sustain the load; a closed loop sets its own.

    Not if it is offered more than its saturation rate, nor if too many requests never finished:
    the fleet may have been lost on the way.
    """
    if context.offered_per_s is None:
        return True
    requests = count(records)
    left = requests["waiting"] + requests["running"]
    if context.saturation_per_s is None:
        return left <= OVERLOADED * requests["arrived"]
    lost = left > LOST * requests["arrived"]
    return not lost and context.offered_per_s <= context.saturation_per_s


def _utilisation(records: Sequence[Records]) -> dict[str, float | None]:
    """Return the shares of the window, averaged over replications; None where not recorded."""
    return {
        name: float(np.mean([record.usage[name] for record in records]))
        if all(name in record.usage for record in records)
        else None
        for name in UTILISATION
    }


def _cost(records: Sequence[Records], price: float | None) -> dict[str, float | None]:
    """Return what the fleet costs per hour, and per million output tokens finished.

    Replica time paid for in the window, times the price; over all replications.
    """
    windows = sum(record.measured_to_s - record.measured_from_s for record in records)
    if price is None or not windows > 0:
        return {"usd_per_hour": None, "usd_per_million_output_tokens": None}
    paid = sum(record.replica_seconds for record in records) / 3600 * price
    tokens = sum(finished_in_window(record)[1] for record in records)
    return {
        "usd_per_hour": paid / (windows / 3600),
        "usd_per_million_output_tokens": paid / tokens * 1e6 if tokens else None,
    }


def _watts(records: Sequence[Records], per_replica: float | None) -> float | None:
    """Return the design power of the replicas paid for, averaged over the window [W]."""
    windows = sum(record.measured_to_s - record.measured_from_s for record in records)
    if per_replica is None or not windows > 0:
        return None
    return per_replica * sum(record.replica_seconds for record in records) / windows


def _notices(records: Sequence[Records], context: RunContext) -> tuple[Notice, ...]:
    """Return the notices of the context and of the records, each message once.

    Counts that differ between replications are added up; equal ones speak of the same input.
    """
    counts: dict[str, list[int]] = defaultdict(list)
    for notice in context.notices:
        counts[notice.message].append(notice.count)
    for record in records:
        for notice in record.notices:
            counts[notice.message].append(notice.count)
    return tuple(
        Notice(message, each[0] if len(set(each)) == 1 else sum(each))
        for message, each in counts.items()
    )
