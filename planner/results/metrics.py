"""Metrics: latencies with intervals, their parts, throughput and counts, whole and per class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.results.attribution import Attributed, attribute
from planner.results.bootstrap import BlockBootstrap
from planner.results.course import distribution
from planner.results.intervals import Replications
from planner.results.measured import Measured
from planner.results.records import FINISHED, REJECTED, RUNNING, WAITING
from planner.results.samples import METRICS, Requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from planner.results.course import Distribution
    from planner.results.intervals import Estimate, Intervals
    from planner.results.records import Records

#: Statistics of every metric.
STATISTICS = ("mean", "p50", "p90", "p95", "p99")
#: Statistics and metrics whose parts are reported.
PARTS_STATISTICS = ("mean", "p50", "p95", "p99")
PARTS_METRICS = ("ttft", "e2e")


@dataclass(frozen=True)
class Metrics:
    """What the latencies were, of all requests or of one class.

    Parameters
    ----------
    latency : mapping of str to mapping of str to Estimate
        By metric and statistic. [s]
    parts : mapping of str to mapping of str to mapping of str to float or None
        By metric, statistic and part. [s]
    distributions : mapping of str to Distribution
        By metric. [s]
    throughput : mapping of str to float or None
        ``requests_per_s``, ``output_tokens_per_s``, ``prompt_tokens_per_s``: finished in the
        window, averaged over replications.
    requests : mapping of str to int
        ``arrived, finished, waiting, running, rejected, retried`` of all requests of all
        replications, warm-up included; the first is the sum of the next four.
    measured : int
        Requests that latencies speak of: arrived in the window and finished.
    unfinished : int
        Arrived in the window but neither finished nor rejected.
    one_token : int
        Measured requests without a ``tpot``, since they have one token.
    """

    latency: Mapping[str, Mapping[str, Estimate]]
    parts: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    distributions: Mapping[str, Distribution]
    throughput: Mapping[str, float | None]
    requests: Mapping[str, int]
    measured: int
    unfinished: int
    one_token: int


def choose_intervals(
    records: Sequence[Records], *, seed: int, confidence: float, traffic_random: bool
) -> Intervals:
    """Return the interval method that the records support.

    Independent replications if there are several and the traffic differs between them; else a
    block bootstrap over time.
    """
    drawn = traffic_random and all(record.random for record in records)
    if drawn and len(records) > 1:
        return Replications(len(records), confidence)
    measured = Measured(records[0])
    blocks = measured.blocks
    window = records[0].measured_to_s - blocks[0]
    why = "one replication" if drawn else "nothing in the traffic is random"
    if not drawn and len(records) > 1:
        why += f"; {len(records)} replications differ in what the fleet draws"
    return BlockBootstrap(len(blocks), seed, confidence, float(window / len(blocks)), why)


def measure(
    records: Sequence[Records],
    intervals: Intervals,
    *,
    class_id: int | None = None,
    also: Iterable[tuple[str, str]] = (),
) -> Metrics:
    """Return the metrics of the replications of a scenario.

    Parameters
    ----------
    records : sequence of Records
        One per replication, at least one.
    intervals : Intervals
        How to make confidence intervals.
    class_id : int, optional
        Only requests of this class.
    also : iterable of (str, str)
        Metrics and statistics beyond :data:`STATISTICS` that are wanted, as ``("e2e", "p99.9")``.
    """
    runs = [Measured(record, class_id) for record in records]
    wanted = list(also)
    latency: dict[str, dict[str, Estimate]] = {}
    parts: dict[str, dict[str, dict[str, float | None]]] = {}
    distributions: dict[str, Distribution] = {}
    for metric in METRICS:
        samples = [run.sample(metric) for run in runs]
        distributions[metric] = distribution(samples, intervals)
        more = sorted({each for name, each in wanted if name == metric} - set(STATISTICS))
        latency[metric] = {
            statistic: intervals.mean(samples)
            if statistic == "mean"
            else intervals.quantile(samples, float(statistic[1:]) / 100)
            for statistic in (*STATISTICS, *more)
        }
        if metric in PARTS_METRICS:
            attributed = [
                Attributed(sample, _parts(run, metric))
                for run, sample in zip(runs, samples, strict=True)
                if isinstance(sample, Requests)
            ]
            parts[metric] = {
                statistic: attribute(attributed, statistic, latency[metric][statistic].value)
                for statistic in PARTS_STATISTICS
            }
    return Metrics(
        latency=latency,
        parts=parts,
        distributions=distributions,
        throughput=throughput(records, class_id),
        requests=count(records, class_id),
        measured=sum(len(run.records.arrival_s[run.rows]) for run in runs),
        unfinished=sum(len(run.unfinished_rows) for run in runs),
        one_token=sum(int((run.records.output_tokens[run.rows] == 1).sum()) for run in runs),
    )


def _parts(run: Measured, metric: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the parts of `metric` of each finished request, shape ``(n, 5)`` [s]."""
    parts = run.records.parts_first if metric == "ttft" else run.records.parts_end
    rows: np.ndarray[tuple[int, int], np.dtype[np.float64]] = parts[run.rows]
    return rows


def throughput(records: Sequence[Records], class_id: int | None = None) -> dict[str, float | None]:
    """Return requests and tokens per second of the requests that finished in the window.

    Averaged over replications; None where the window is empty.
    """
    names = ("requests_per_s", "output_tokens_per_s", "prompt_tokens_per_s")
    rates = []
    for record in records:
        window = record.measured_to_s - record.measured_from_s
        if not window > 0:
            return dict.fromkeys(names)
        rates.append([total / window for total in finished_in_window(record, class_id)])
    return dict(zip(names, map(float, np.mean(rates, axis=0)), strict=True))


def finished_in_window(record: Records, class_id: int | None = None) -> tuple[int, int, int]:
    """Return how many requests, output tokens and prompt tokens finished in the window."""
    done = (record.finished_s >= record.measured_from_s) & (
        record.finished_s < record.measured_to_s
    )
    if class_id is not None:
        done &= record.class_id == class_id
    return (
        int(done.sum()),
        int(np.sum(record.output_tokens, where=done, dtype=np.int64)),
        int(np.sum(record.prompt_tokens, where=done, dtype=np.int64)),
    )


def count(records: Sequence[Records], class_id: int | None = None) -> dict[str, int]:
    """Return what became of the requests that arrived, over the whole of all replications.

    A closed loop's request that was never issued did not arrive.
    """
    total = dict.fromkeys(("arrived", "finished", "waiting", "running", "rejected", "retried"), 0)
    for record in records:
        arrived = np.isfinite(record.arrival_s)
        if class_id is not None:
            arrived &= record.class_id == class_id
        status = np.bincount(record.status[arrived], minlength=REJECTED + 1)
        total["arrived"] += int(arrived.sum())
        total["finished"] += int(status[FINISHED])
        total["waiting"] += int(status[WAITING])
        total["running"] += int(status[RUNNING])
        total["rejected"] += int(status[REJECTED])
        total["retried"] += int((record.retries[arrived] > 0).sum())
    return total
