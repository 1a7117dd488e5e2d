"""Results of AIPerf: a line per request (``profile_export.jsonl``) and aggregates [1]_.

Every metric carries its ``unit``, which is read. ``inter_token_latency`` is the mean after the
first token, the ``tpot`` of these pages; ``inter_chunk_latency`` the gaps between pieces of the
stream, the nearest to ``itl``. ``request_latency`` ends with the last piece. Token counts are the
server's (``usage_*``) where there are any, else those of AIPerf's tokenizer. GenAI-Perf's
aggregates have the same layout.

References
----------
.. [1] AIPerf, ``docs/tutorials/working-with-profile-exports.md``, ``docs/metrics_reference.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibrate.importers.checks import RawRun, checked_runs
from calibrate.importers.document import known
from calibrate.importers.imported import Imported, Run, measured_runs
from calibrate.importers.rows import RUN
from planner.errors import Notice

if TYPE_CHECKING:
    from calibrate.importers.document import Node
    from calibrate.importers.imported import Setting, Statistics
    from planner.errors import Problem

FORMAT = "aiperf"
#: Units in seconds.
_SECONDS = {
    "ns": 1e-9, "nanoseconds": 1e-9, "us": 1e-6, "µs": 1e-6, "microseconds": 1e-6,
    "ms": 1e-3, "milliseconds": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0,
}  # fmt: skip
_TIMES = {
    "ttft_s": "time_to_first_token",
    "tpot_s": "inter_token_latency",
    "itl_s": "inter_chunk_latency",
    "e2e_s": "request_latency",
}
_TOKENS = {
    "prompt_tokens": ("usage_prompt_tokens", "input_sequence_length"),
    "output_tokens": ("usage_completion_tokens", "output_sequence_length"),
}
_RATES = {
    "requests_per_s": "request_throughput",
    "output_tokens_per_s": "output_token_throughput",
}


def recognised(document: Node) -> bool:
    """Return whether a document is a request or the aggregates of such a run."""
    return _is_request(document) or _is_aggregate(document)


def _is_request(document: Node) -> bool:
    return document.has("metadata", "metrics") and document.get("metadata").has("request_start_ns")


def _is_aggregate(document: Node) -> bool:
    root = _root(document)
    return root.get("request_latency").has("unit") or root.get("request_throughput").has("unit")


def _root(document: Node) -> Node:
    """Return where the metrics are: in early versions below ``records``."""
    records = document.get("records")
    return records if isinstance(records.value, dict) else document


def read(documents: list[Node]) -> Imported:
    """Read requests, or aggregates.

    Raises
    ------
    InputError
        If a unit is not known, or values are impossible.
    """
    if not _is_request(documents[0]):
        runs = [_summary(_root(each), f"{RUN} {k}") for k, each in enumerate(documents, 1)]
        odd = sum(_own_count(_root(each)) for each in documents)
        text = "runs whose tpot is over AIPerf's count of tokens, not the server's"
        return Imported(FORMAT, runs=tuple(runs), notices=(Notice(text, odd),) * bool(odd))
    for each in documents:
        if not _is_request(each):
            raise each.fail("must be a request with metadata and metrics, as the first line")
    measured = [each for each in documents if not _warmup(each)]
    warm = len(documents) - len(measured)
    if not measured:
        raise documents[0].fail(f"must hold measured requests, got {warm:,} of the warm-up only")

    def place(_run: int, row: int, message: str) -> Problem:
        return measured[row].problem(message)

    rows, notices = checked_runs([_raw(measured)], (RUN,), place)
    if warm:
        notices.append(Notice("requests of the warm-up left out", warm))
    differing = sum(_miscounted(each) for each in measured)
    if differing:
        text = "requests whose tokens AIPerf and the server count differently: the server's taken"
        notices.append(Notice(text, differing))
    return Imported(FORMAT, rows, measured_runs(rows, warmup=(warm,)), notices=tuple(notices))


def _warmup(request: Node) -> bool:
    phase = request.get("metadata", "benchmark_phase").value
    return isinstance(phase, str) and phase.lower() != "profiling"


def _raw(requests: list[Node]) -> RawRun:
    """Return the columns of requests."""
    n = len(requests)
    start = [each.get("metadata", "request_start_ns").number() / 1e9 for each in requests]
    times = {
        key: np.array([_time(each.get("metrics", _TIMES[key])) for each in requests], np.float64)
        for key in ("ttft_s", "e2e_s")
    }
    tokens = {
        key: np.array([_tokens(each.get("metrics"), names) for each in requests], np.float64)
        for key, names in _TOKENS.items()
    }
    failed = np.zeros(n, np.bool_)
    for row, each in enumerate(requests):
        cancelled = each.get("metadata", "was_cancelled").value is True
        failed[row] = cancelled or each.get("error").value is not None
        if np.isnan(tokens["prompt_tokens"][row]):
            tokens["prompt_tokens"][row] = each.get("metrics", "error_isl", "value").number()
    return RawRun(
        np.array(start, np.float64), times["ttft_s"], times["e2e_s"],
        tokens["prompt_tokens"], tokens["output_tokens"], failed,
    )  # fmt: skip


def _time(metric: Node) -> float:
    """Return a time in seconds, NaN where there is none."""
    return float("nan") if metric.value is None else metric.get("value").number() * _scale(metric)


def _scale(metric: Node) -> float:
    """Return the unit of a time in seconds.

    Raises
    ------
    InputError
        If it is not said or not known.
    """
    unit = metric.get("unit").value
    scale = _SECONDS.get(unit.lower()) if isinstance(unit, str) else None
    if scale is None:
        raise metric.get("unit").fail(f"must be a unit of time as ms or s, got {unit!r:.40}")
    return scale


def _tokens(metrics: Node, names: tuple[str, ...]) -> float:
    """Return the first of some token counts that there is, else NaN."""
    return metrics.first(names).get("value").number()


def _miscounted(request: Node) -> bool:
    """Return whether AIPerf and the server count a request's tokens differently."""
    for usage, own in _TOKENS.values():
        counts = {request.get("metrics", name, "value").number() for name in (usage, own)}
        if len({count for count in counts if not np.isnan(count)}) > 1:
            return True
    return False


def _summary(root: Node, name: str) -> Run:
    """Return aggregates."""
    metrics: dict[str, Statistics] = {
        ours: root.get(theirs).statistics(_scale(root.get(theirs)))
        for ours, theirs in _TIMES.items()
        if root.get(theirs).value is not None
    }
    metrics |= {ours: root.first(names).statistics() for ours, names in _TOKENS.items()}
    rates = {ours: root.get(theirs, "avg").checked() for ours, theirs in _RATES.items()}
    metrics |= {key: {"mean": rate} for key, rate in known(**rates).items()}
    counts = known(
        measured=root.get("request_count", "avg").checked(),
        failed=root.get("error_request_count", "avg").checked(),
    )
    return Run(
        name,
        _settings(root),
        {key: int(count) for key, count in counts.items()},
        {key: found for key, found in metrics.items() if found},
    )


def _own_count(root: Node) -> bool:
    """Return whether its tpot is over a count of tokens that is not the server's."""
    server, own = (root.get(key, "avg").checked() for key in _TOKENS["output_tokens"])
    return own is not None and server is not None and own != server


def _settings(root: Node) -> dict[str, Setting]:
    """Return what the last phase was told."""
    phases = root.get("input_config", "phases").value
    last = phases[-1] if isinstance(phases, list) and phases else None
    found: dict[str, Setting] = {}
    if isinstance(last, dict):
        for ours, theirs in {"request_rate": "rate", "max_concurrency": "concurrency"}.items():
            value = last.get(theirs)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[ours] = value
    return found
