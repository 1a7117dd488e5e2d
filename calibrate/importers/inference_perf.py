"""Reports of inference-perf: a list of requests, and summaries of a run or a stage [1]_.

Times are in seconds. ``time_per_output_token`` is the ``tpot`` of these pages, over the client's
count of tokens; ``normalized_time_per_output_token`` is e2e over all tokens and is not read.
Token counts of requests are the server's (``server_usage``) where there are any.

References
----------
.. [1] inference-perf, ``docs/reports.md``.
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
    from planner.errors import Problem

FORMAT = "inference-perf"
_TIMES = {
    "ttft_s": "time_to_first_token",
    "tpot_s": "time_per_output_token",
    "itl_s": "inter_token_latency",
    "e2e_s": "request_latency",
}
_TOKENS = {
    "prompt_tokens": ("prompt_tokens", "prompt_len"),
    "output_tokens": ("output_tokens", "output_len"),
}
_RATES = {"requests_per_s": "requests_per_sec", "output_tokens_per_s": "output_tokens_per_sec"}


def recognised(document: Node) -> bool:
    """Return whether a document is such a report."""
    if isinstance(document.value, list):
        first = document.items()[0] if document.value else document
        return first.has("start_time", "end_time", "info")
    return document.has("load_summary", "successes", "failures")


def read(documents: list[Node]) -> Imported:
    """Read requests, or summaries.

    Raises
    ------
    InputError
        If there is more than one list, or values are impossible.
    """
    if not isinstance(documents[0].value, list):
        runs = [_summary(each, f"{RUN} {k}") for k, each in enumerate(documents, 1)]
        odd = sum(map(_own_count, documents))
        text = "runs whose tpot is over the client's count of tokens, not the server's"
        return Imported(FORMAT, runs=tuple(runs), notices=(Notice(text, odd),) * bool(odd))
    if len(documents) > 1:
        raise documents[1].fail("must be one list of requests a file, got a second one")
    requests = documents[0].items()

    def place(_run: int, row: int, message: str) -> Problem:
        return requests[row].problem(message) if requests else documents[0].problem(message)

    rows, notices = checked_runs([_raw(requests)], (RUN,), place)
    differing = sum(_miscounted(each) for each in requests)
    if differing:
        text = "requests whose tokens client and server count differently: the server's taken"
        notices.append(Notice(text, differing))
    return Imported(FORMAT, rows, measured_runs(rows), notices=tuple(notices))


def _response(request: Node) -> Node:
    """Return what is said of the answer: in early versions in ``info`` itself."""
    nested = request.get("info", "response_metrics")
    return nested if isinstance(nested.value, dict) else request.get("info")


def _raw(requests: list[Node]) -> RawRun:
    """Return the columns of requests."""
    columns: dict[str, list[float]] = {
        key: [] for key in ("start", "ttft", "e2e", "prompt", "output", "failed")
    }
    for each in requests:
        start, end = each.get("start_time").number(), each.get("end_time").number()
        times = _response(each).get("output_token_times")
        streamed = times.numbers() if times.value else np.array([])
        usage = _response(each).get("server_usage")
        columns["start"].append(start)
        columns["ttft"].append(streamed[0] - start if len(streamed) else float("nan"))
        columns["e2e"].append((streamed[-1] if len(streamed) else end) - start)
        columns["prompt"].append(
            _first(usage.get("prompt_tokens"), each.get("info", "input_tokens"))
        )
        columns["output"].append(
            _first(usage.get("completion_tokens"), _response(each).get("output_tokens"))
        )
        columns["failed"].append(float(each.get("error").value is not None))
    found = {key: np.array(column, np.float64) for key, column in columns.items()}
    return RawRun(
        found["start"], found["ttft"], found["e2e"], found["prompt"], found["output"],
        found["failed"].astype(np.bool_),
    )  # fmt: skip


def _first(*counts: Node) -> float:
    """Return the first count that there is, else NaN."""
    return next((each.number() for each in counts if each.value is not None), float("nan"))


def _miscounted(request: Node) -> bool:
    usage = _response(request).get("server_usage", "completion_tokens").number()
    own = _response(request).get("output_tokens").number()
    return not np.isnan(usage) and not np.isnan(own) and usage != own


def _summary(report: Node, name: str) -> Run:
    """Return a summary of the successful requests."""
    good = report.get("successes")
    metrics = {ours: good.get("latency", theirs).statistics() for ours, theirs in _TIMES.items()}
    metrics |= {ours: good.first(names).statistics() for ours, names in _TOKENS.items()}
    rates = {ours: good.get("throughput", theirs).checked() for ours, theirs in _RATES.items()}
    metrics |= {key: {"mean": rate} for key, rate in known(**rates).items()}
    counts = known(
        measured=good.get("count").checked(), failed=report.get("failures", "count").checked()
    )
    settings = known(request_rate=report.get("load_summary", "requested_rate").checked())
    return Run(
        name,
        settings,
        {key: int(count) for key, count in counts.items()},
        {key: found for key, found in metrics.items() if found},
    )


def _own_count(report: Node) -> bool:
    """Return whether its tpot is over a count of tokens that is not the server's."""
    good = report.get("successes")
    own, server = (good.get(key, "mean").checked() for key in ("output_len", "output_tokens"))
    return own is not None and server is not None and own != server
