"""Reports of GuideLLM, versions 1 and 2 of its JSON, and those before them [1]_.

Its ``time_per_output_token_ms`` is the time to the *last* token over all output tokens, the first
included (before 0.3: the time after the first token, over all tokens); neither is the ``tpot`` of
these pages. Its ``inter_token_latency_ms`` is: (last - first token) / (tokens - 1). So
``e2e = ttft + itl (output_tokens - 1)``, the last token minus the start, and not
``request_latency``, which ends with the connection. In aggregates a request counts once for each
of its tokens there. Times of requests are since 1970 [s].

References
----------
.. [1] GuideLLM, ``guidellm/benchmark/schemas`` and ``guidellm/schemas/request_stats.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibrate.importers.checks import RawRun, checked_runs
from calibrate.importers.document import unique
from calibrate.importers.imported import Imported, Run, measured_runs
from planner.errors import InputError, Notice, Problem

if TYPE_CHECKING:
    from calibrate.importers.document import Node
    from calibrate.importers.imported import Setting

FORMAT = "guidellm"
#: Metrics of the report by ours, and what makes them seconds.
_METRICS = {
    "ttft_s": ("time_to_first_token_ms", 1e-3),
    "tpot_s": ("inter_token_latency_ms", 1e-3),
    "e2e_s": ("request_latency", 1.0),
    "prompt_tokens": ("prompt_token_count", 1.0),
    "output_tokens": ("output_token_count", 1.0),
}
_RATES = {
    "requests_per_s": "requests_per_second",
    "output_tokens_per_s": "output_tokens_per_second",
}
#: By how much a request may lie outside the measured time by rounding. [s]
_ROUNDING_S = 1e-3


def recognised(document: Node) -> bool:
    """Return whether a document is such a report."""
    benchmarks = document.get("benchmarks").value
    if not isinstance(benchmarks, list):
        return False
    return (
        document.has("metadata")
        or document.has("args")
        or all(
            isinstance(each, dict) and ("requests" in each or "metrics" in each)
            for each in benchmarks
        )
    )


def read(documents: list[Node]) -> Imported:
    """Read a report, each benchmark a run.

    Raises
    ------
    InputError
        If there is not one report with benchmarks in it, or it holds impossible values.
    """
    if len(documents) > 1:
        raise documents[1].fail("must be one report a file, got a second one")
    benchmarks = documents[0].get("benchmarks").items()
    if not benchmarks:
        raise documents[0].get("benchmarks").fail("must hold benchmarks, got none")
    names = unique([_name(each) for each in benchmarks])
    found = [(name, each) for name, each in zip(names, benchmarks, strict=True) if _listed(each)]
    notices = [] if found else [Notice("tpot: percentiles count a request once for each token")]
    if not found:
        runs = [_summary(each, name) for each, name in zip(benchmarks, names, strict=True)]
        return Imported(FORMAT, runs=tuple(runs), notices=tuple(notices))
    read_runs = [_requests(each) for _, each in found]
    kept = [requests for requests, _ in read_runs]

    def place(run: int, row: int, message: str) -> Problem:
        requests = kept[run]
        if not requests:
            return found[run][1].get("requests").problem("must hold measured requests, got none")
        return requests[row][0].problem(message)

    rows, more = checked_runs([_raw(each) for each in kept], tuple(k for k, _ in found), place)
    if len(found) < len(benchmarks):
        text = "benchmarks without their requests left out"
        more.append(Notice(text, len(benchmarks) - len(found)))
    outside = tuple(count for _, count in read_runs)
    if sum(outside):
        more.append(Notice("requests of warm-up and cool-down left out", sum(outside)))
    settings = tuple(_settings(each) for _, each in found)
    return Imported(FORMAT, rows, measured_runs(rows, settings, outside), notices=tuple(more))


def _listed(benchmark: Node) -> bool:
    return any(
        benchmark.get("requests", status).value
        for status in ("successful", "errored", "incomplete")
    )


def _requests(benchmark: Node) -> tuple[list[tuple[Node, bool]], int]:
    """Return a benchmark's requests with whether each failed, and how many lay outside."""
    first, last = -np.inf, np.inf
    if (benchmark.get("warmup_duration").checked() or 0) > 0:
        first = benchmark.get("scheduler_metrics", "measure_start_time").number()
    if (benchmark.get("cooldown_duration").checked() or 0) > 0:
        last = benchmark.get("scheduler_metrics", "measure_end_time").number()
    kept, outside = [], 0
    for status in ("successful", "errored", "incomplete"):
        for request in benchmark.get("requests", status).items():
            start = _start(request)
            if start < first - _ROUNDING_S or start > last + _ROUNDING_S:
                outside += 1
            else:
                kept.append((request, status != "successful"))
    return kept, outside


def _start(request: Node) -> float:
    """Return when a request was sent, since 1970 [s]; NaN where nothing says so."""
    for keys in (("request_start_time",), ("start_time",)):
        if request.get(*keys).value is not None:
            return request.get(*keys).number()
    return float("nan")


def _raw(requests: list[tuple[Node, bool]]) -> RawRun:
    """Return the columns of requests."""
    columns = {
        key: np.array([request.get(key).number() for request, _ in requests], np.float64)
        for key in (
            "time_to_first_token_ms", "inter_token_latency_ms", "request_latency",
            "prompt_tokens", "output_tokens",
        )
    }  # fmt: skip
    ttft, gap = columns["time_to_first_token_ms"] / 1e3, columns["inter_token_latency_ms"] / 1e3
    output = columns["output_tokens"]
    streamed = ttft + np.where(output > 1, gap * (output - 1), 0.0)
    e2e = np.where(np.isnan(ttft), columns["request_latency"], streamed)
    failed = np.array([failed for _, failed in requests], np.bool_)
    start = np.array([_start(request) for request, _ in requests], np.float64)
    return RawRun(start, ttft, e2e, columns["prompt_tokens"], output, failed)


def _strategy(benchmark: Node) -> Node:
    """Return how requests were sent: where it stands depends on the version."""
    for keys in (("config", "strategy"), ("args", "strategy"), ("scheduler", "strategy")):
        if isinstance(benchmark.get(*keys).value, dict):
            return benchmark.get(*keys)
    return benchmark.get("strategy")


def _name(benchmark: Node) -> str:
    strategy = _strategy(benchmark)
    kind, rate, streams = (strategy.get(key).setting() for key in ("type_", "rate", "streams"))
    words = [str(kind)] * (kind is not None) + [f"rate {rate}"] * (rate is not None)
    return ", ".join([*words, *[f"concurrency {streams}"] * (streams is not None)]) or "run"


def _settings(benchmark: Node) -> dict[str, Setting]:
    strategy = _strategy(benchmark)
    found = {
        "strategy": strategy.get("type_").setting(),
        "request_rate": strategy.get("rate").setting(),
        "max_concurrency": strategy.get("streams").setting(),
        "model": benchmark.get("config", "backend", "model").setting(),
    }
    return {key: value for key, value in found.items() if value is not None}


def _summary(benchmark: Node, name: str) -> Run:
    """Return a benchmark's aggregates over its successful requests."""
    metrics = {}
    for ours, (theirs, scale) in _METRICS.items():
        found = benchmark.get("metrics", theirs, "successful").statistics(scale)
        if found:
            metrics[ours] = found
    for ours, theirs in _RATES.items():
        mean = benchmark.get("metrics", theirs, "successful", "mean").checked()
        if mean is not None:
            metrics[ours] = {"mean": mean}
    totals = benchmark.get("metrics", "request_totals")
    if totals.value is None:
        totals = benchmark.get("request_totals")
    numbers = {
        key: totals.get(key).checked() or 0 for key in ("successful", "errored", "incomplete")
    }
    counts = {
        "measured": int(numbers["successful"]),
        "failed": int(numbers["errored"] + numbers["incomplete"]),
    }
    if not metrics:
        raise InputError(benchmark.problem("must hold requests or metrics, got neither"))
    return Run(name, _settings(benchmark), counts if totals.value is not None else {}, metrics)
