"""The result of a simulation, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.results.course import distributions_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.errors import Notice
    from planner.results.context import RunContext
    from planner.results.course import Course
    from planner.results.intervals import Intervals
    from planner.results.metrics import Metrics
    from planner.results.objectives import Outcome

#: Version of the JSON layout.
SCHEMA_VERSION = 1
#: Latencies that grow without end when the load exceeds what the fleet can serve.
UNBOUNDED = ("ttft", "e2e", "wait")


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
