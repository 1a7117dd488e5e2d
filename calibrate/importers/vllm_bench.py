"""Results of ``vllm bench serve`` and of its relative, SGLang's ``bench_serving`` [1]_ [2]_.

Arrays of requests are in seconds, aggregates in milliseconds (their names end in ``_ms``). With
``--save-detailed`` (``--output-details``) a result has arrays, and ``e2e = ttft + sum(itls)``;
without, only aggregates. ``--append-result`` puts one result after the other into a file: each
is a run. A failed request has an error and zeros.

References
----------
.. [1] vLLM, ``vllm/benchmarks/serve.py``.
.. [2] SGLang, ``python/sglang/bench_serving.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from calibrate.importers.checks import RawRun, checked_runs
from calibrate.importers.document import unique
from calibrate.importers.imported import Imported, Run, measured_runs
from planner.errors import Notice

if TYPE_CHECKING:
    from calibrate.importers.document import Node
    from calibrate.importers.imported import Setting, Statistics
    from planner.errors import Problem

FORMAT = "vllm bench serve"
_LISTS = ("ttfts", "itls", "input_lens", "output_lens")
_AGGREGATE = re.compile(r"(mean|median|std|p[\d.]+)_(ttft|tpot|itl|e2el|e2e_latency)_ms")
_METRICS = {
    "ttft": "ttft_s", "tpot": "tpot_s", "itl": "itl_s", "e2el": "e2e_s", "e2e_latency": "e2e_s",
}  # fmt: skip
_SETTINGS = {
    "request_rate": "request_rate", "burstiness": "burstiness",
    "max_concurrency": "max_concurrency", "model_id": "model", "backend": "backend",
    "num_prompts": "num_prompts",
}  # fmt: skip


def recognised(document: Node) -> bool:
    """Return whether a document is such a result."""
    return document.has("mean_ttft_ms", "duration") or document.has("ttfts", "itls")


def read(documents: list[Node]) -> Imported:
    """Read results, each a run.

    Raises
    ------
    InputError
        If arrays differ in length or hold no numbers, or times are impossible.
    """
    detailed = [each for each in documents if each.has(*_LISTS)]
    if not detailed:
        names = unique([_name(each) for each in documents])
        runs = [_summary(each, name) for each, name in zip(documents, names, strict=True)]
        return Imported(FORMAT, runs=tuple(runs))
    names = unique([_name(each) for each in detailed])

    def place(run: int, row: int, message: str) -> Problem:
        return detailed[run].problem(message, f"request {row}")

    rows, notices = checked_runs([_raw(each) for each in detailed], names, place)
    if len(detailed) < len(documents):
        text = "results without times of requests left out; save them with --save-detailed"
        notices.append(Notice(text, len(documents) - len(detailed)))
    measured = measured_runs(rows, tuple(_settings(each) for each in detailed))
    return Imported(FORMAT, rows, measured, notices=tuple(notices))


def _raw(result: Node) -> RawRun:
    """Return the columns of one result."""
    ttft = result.get("ttfts").numbers()
    n = len(ttft)
    gaps = result.get("itls").items()
    if len(gaps) != n:
        raise result.get("itls").fail(f"must have {n:,} items as ttfts, got {len(gaps):,}")
    e2e = ttft + np.array([each.numbers().sum() for each in gaps], np.float64)
    prompt, output = (result.get(key).numbers(n) for key in ("input_lens", "output_lens"))
    arrival = np.full(n, np.nan)
    if result.get("start_times").value is not None:
        arrival = result.get("start_times").numbers(n)
    errors = result.get("errors").items()
    failed = np.zeros(n, np.bool_)
    if errors:
        if len(errors) != n:
            raise result.get("errors").fail(f"must have {n:,} items, got {len(errors):,}")
        failed = np.array([bool(each.value) for each in errors], np.bool_)
    return RawRun(arrival, ttft, e2e, prompt, output, failed)


def _name(result: Node) -> str:
    """Return what a run is called: its label, or rate and concurrency."""
    label = result.get("label").setting()
    if label:
        return str(label)
    rate, limit = (result.get(key).setting() for key in ("request_rate", "max_concurrency"))
    words = [f"rate {rate}"] * (rate is not None) + [f"concurrency {limit}"] * (limit is not None)
    return ", ".join(words) or "run"


def _settings(result: Node) -> dict[str, Setting]:
    found = {ours: result.get(theirs).setting() for theirs, ours in _SETTINGS.items()}
    return {key: value for key, value in found.items() if value is not None}


def _summary(result: Node, name: str) -> Run:
    """Return a result's aggregates."""
    metrics: dict[str, Statistics] = {}
    for key in result.value:
        found = _AGGREGATE.fullmatch(key)
        value = result.get(key).checked() if found else None
        if found and value is not None:
            statistic = "p50" if found[1] == "median" else found[1]
            metrics.setdefault(_METRICS[found[2]], {})[statistic] = value / 1e3
    for theirs, ours in {
        "request_throughput": "requests_per_s",
        "output_throughput": "output_tokens_per_s",
    }.items():
        value = result.get(theirs).checked()
        if value is not None:
            metrics[ours] = {"mean": value}
    completed = result.get("completed").checked()
    counts = {"measured": int(completed)} if completed is not None else {}
    for total, ours in {
        "total_input_tokens": "prompt_tokens",
        "total_output_tokens": "output_tokens",
    }.items():
        value = result.get(total).checked()
        if value is not None and completed:
            metrics[ours] = {"mean": value / completed}
    failed = result.get("failed").checked()
    if failed is not None:
        counts["failed"] = int(failed)
    return Run(name, _settings(result), counts, metrics)
