"""The result of a simulation: everything that a report says, and its JSON."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import Notice
from planner.results.course import SHARES, course, distributions_json
from planner.results.intervals import UNKNOWN
from planner.results.metrics import choose_intervals, count, finished_in_window, measure
from planner.results.objectives import evaluate, wanted_statistics
from planner.results.records import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.results.context import RunContext
    from planner.results.course import Course
    from planner.results.intervals import Intervals
    from planner.results.metrics import Metrics
    from planner.results.objectives import Outcome
    from planner.results.records import Records
    from planner.scenario.objectives import Objective

#: Version of the JSON layout.
SCHEMA_VERSION = 1
#: Latencies that grow without end when the load exceeds what the fleet can serve.
UNBOUNDED = ("ttft", "e2e", "wait")
UTILISATION = ("busy", "compute", "storage", "transfer", "kv_cache")
#: Share of unfinished requests that shows an overload where no saturation rate is known.
OVERLOADED = 0.01
#: The same where the saturation rate is known and higher: the fleet was lost, not too small.
LOST = 0.05


@dataclass(frozen=True)
class ClassResult:
    """Metrics and objectives of all requests or of one class."""

    metrics: Metrics
    objectives: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """Return metrics, parts, throughput and objectives as JSON values."""
        return {
            "requests": dict(self.metrics.requests),
            "metrics": {
                f"{metric}_s": {
                    statistic: {"value": each.value, "low": each.low, "high": each.high}
                    for statistic, each in statistics.items()
                }
                for metric, statistics in self.metrics.latency.items()
            },
            "parts": {
                f"{metric}_s": {statistic: dict(parts) for statistic, parts in statistics.items()}
                for metric, statistics in self.metrics.parts.items()
            },
            "distributions": distributions_json(self.metrics.distributions),
            "throughput": dict(self.metrics.throughput),
            "objectives": [
                {
                    "objective": each.objective,
                    "value": each.value,
                    "low": each.low,
                    "high": each.high,
                    "met": each.met,
                    "sure": each.sure,
                }
                for each in self.objectives
            ],
        }


@dataclass(frozen=True)
class Result:
    """What came of a scenario.

    Parameters
    ----------
    context : RunContext
        What was run.
    whole : ClassResult
        Of all requests.
    classes : mapping of str to ClassResult
        Of each class; empty if there is only one.
    steady : bool
        False if the offered load exceeds what the fleet can serve.
    utilisation : mapping of str to float or None
        ``busy, compute, storage, transfer, kv_cache`` as shares of the window.
    cost : mapping of str to float or None
        ``usd_per_hour`` and ``usd_per_million_output_tokens``.
    watts : float or None
        Thermal design power of the devices paid for, averaged over the window: the most they
        may draw, not what they do. [W]
    preemptions : int
        Times a request lost its KV cache, over all replications.
    replications : int
        How many there were.
    intervals : Intervals
        How the intervals were made.
    notices : tuple of Notice
        What was left out, truncated, rejected or assumed.
    course : Course
        How the fleet went in the first replication.
    """

    context: RunContext
    whole: ClassResult
    classes: Mapping[str, ClassResult]
    steady: bool
    utilisation: Mapping[str, float | None]
    cost: Mapping[str, float | None]
    watts: float | None
    preemptions: int
    replications: int
    intervals: Intervals
    notices: tuple[Notice, ...]
    course: Course

    @property
    def met(self) -> bool:
        """Whether every objective is met, those of classes included."""
        every = (self.whole, *self.classes.values())
        return all(outcome.met for each in every for outcome in each.objectives)

    def undefined(self) -> dict[str, str]:
        """Return why each metric without a value has none, by its path in the JSON."""
        reasons = {}
        for metric, statistics in self.whole.metrics.latency.items():
            for statistic, estimate in statistics.items():
                if estimate.value is None:
                    reasons[f"metrics.{metric}_s.{statistic}"] = self._why(metric)
        return reasons

    def _why(self, metric: str) -> str:
        if not self.steady and metric in UNBOUNDED:
            return "no steady state: it grows for as long as the load lasts"
        metrics = self.whole.metrics
        if metrics.unfinished and metric != "itl":
            return f"falls among {metrics.unfinished:,} unfinished requests"
        return "no request has a value of it"

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values, keys in a fixed order, null where undefined."""
        whole = self.whole.to_json()
        return {
            "schema_version": SCHEMA_VERSION,
            "tool_version": self.context.tool_version,
            "command": self.context.command,
            "scenario": dict(self.context.scenario),
            "seed": self.context.seed,
            "provenance": dict(self.context.provenance),
            "requests": whole["requests"],
            "steady": self.steady,
            "offered_requests_per_s": self.context.offered_per_s,
            "saturation_requests_per_s": self.context.saturation_per_s,
            "metrics": whole["metrics"],
            "undefined": self.undefined(),
            "parts": whole["parts"],
            "distributions": whole["distributions"],
            "timeline": self.course.to_json(),
            "throughput": whole["throughput"],
            "utilisation": dict(self.utilisation),
            "preemptions": self.preemptions,
            "objectives": whole["objectives"],
            "cost": dict(self.cost),
            "watts_at_design_power": self.watts,
            "classes": {name: each.to_json() for name, each in self.classes.items()} or None,
            "method": {
                "kind": self.intervals.kind,
                "replications": self.replications,
                "confidence": self.context.confidence,
                "measured_requests": self.whole.metrics.measured,
                "statement": self.intervals.statement,
            },
            "notices": [{"message": each.message, "count": each.count} for each in self.notices],
        }


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
