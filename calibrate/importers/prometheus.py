"""A dump of ``/metrics`` of vLLM or SGLang, in Prometheus' text format [1]_.

Counters and histograms run since the server started, so that statistics are over all requests
since then, whatever the load was. Means are exact (sum over count); percentiles are interpolated
inside a bucket, as Prometheus' own ``histogram_quantile`` does, and missing where they lie in the
last bucket, which has no end. Samples of several engines are added; of their KV pools the
smallest is taken.

References
----------
.. [1] Prometheus, "Exposition formats"; vLLM, "Production metrics"; SGLang, "Production metrics".
"""

from __future__ import annotations

import io
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from calibrate.importers.imported import PERCENTILES, Imported, Run
from planner.errors import InputError, Notice, Problem, shown

if TYPE_CHECKING:
    from calibrate.importers.imported import Setting, Statistics

FORMAT = "prometheus"
_SAMPLE = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+([+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|Inf|NaN))"
    r"(?:\s+-?\d+)?\s*"
)
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_SIGN = re.compile(r"^(?:# (?:HELP|TYPE) |(?:vllm|sglang):\w+)", re.MULTILINE)
#: Histograms by metric: names that engines have or had, the first that is there counts.
_HISTOGRAMS = {
    "ttft_s": ("time_to_first_token_seconds",),
    "tpot_s": ("request_time_per_output_token_seconds",),
    "itl_s": ("inter_token_latency_seconds", "time_per_output_token_seconds"),
    "e2e_s": ("e2e_request_latency_seconds",),
    "wait_s": ("request_queue_time_seconds", "queue_time_seconds"),
    "prompt_tokens": ("request_prompt_tokens", "prompt_tokens_histogram"),
    "output_tokens": ("request_generation_tokens", "generation_tokens_histogram"),
}
_COUNTERS = {
    "measured": ("request_success_total", "num_requests_total"),
    "preemptions": ("num_preemptions_total", "num_retracted_requests_total"),
}
_GAUGES = {
    "kv_tokens": "sglang:max_total_num_tokens",
    "max_model_len": "sglang:context_len",
    "block_size": "sglang:page_size",
}
#: Names of all samples that are read.
_READ = frozenset(
    (
        *(
            f"{name}_{part}"
            for names in _HISTOGRAMS.values()
            for name in names
            for part in ("bucket", "count", "sum")
        ),
        *(name for names in _COUNTERS.values() for name in names),
        *_GAUGES.values(),
        "cache_config_info",
    )
)


@dataclass(frozen=True)
class _Sample:
    name: str
    labels: dict[str, str]
    value: float


def recognised(text: str) -> bool:
    """Return whether a text is such a dump."""
    return bool(_SIGN.search(text[: 2**20]))


def read(text: str, file: str) -> Imported:
    """Read a dump.

    Raises
    ------
    InputError
        If a line is malformed, a histogram cannot be one, or nothing that is read of vLLM or
        SGLang is in it.
    """
    ours, names, models = _ours(text, file)
    if not ours:
        message = "must hold metrics of vLLM or SGLang, as vllm:time_to_first_token_seconds"
        raise InputError(Problem(f"{message}, got none", file=file))
    if len(models) > 1:
        message = f"must be of one model, got {', '.join(models)[:200]}; cut the others"
        raise InputError(Problem(message, file=file))
    notices: list[Notice] = []
    facts: dict[str, Setting] = {"engine": "SGLang" if min(names) == "sglang" else "vLLM"}
    facts |= _facts(ours, notices)
    if models:
        facts["model"] = models[0]
    metrics = {
        key: found for key, names in _HISTOGRAMS.items() if (found := _histogram(ours, names, file))
    }
    counts = {
        key: int(n) for key, names in _COUNTERS.items() if (n := _total(ours, names)) is not None
    }
    runs = (Run("since the start", {}, counts, metrics),) if metrics else ()
    about = "percentiles are interpolated inside the buckets of histograms"
    notices.append(Notice(about if metrics else "no request had ended: there are no latencies"))
    return Imported(FORMAT, runs=runs, facts=facts, notices=tuple(notices))


def _ours(text: str, file: str) -> tuple[list[_Sample], set[str], list[str]]:
    """Return the samples that are read, the engines and the models of all; one line at a time.

    Raises
    ------
    InputError
        If a line is malformed, or one that is read is negative or not finite.
    """
    kept, engines, models = [], set[str](), set[str]()
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        sample = _sample(line.rstrip("\n"), number, file)
        engine, _, metric = sample.name.partition(":")
        if engine not in {"vllm", "sglang"} or not metric:
            continue
        engines.add(engine)
        models |= {sample.labels["model_name"]} if "model_name" in sample.labels else set()
        if sample.name not in _READ and metric not in _READ:
            continue  # there may be a million others
        if not 0 <= sample.value < math.inf:
            message = f"must be finite and >= 0, got {sample.value:g}"
            raise InputError(Problem(message, sample.name, file, number))
        kept.append(sample)
    return kept, engines, sorted(models)


def _sample(line: str, number: int, file: str) -> _Sample:
    found = _SAMPLE.fullmatch(line)
    labels = _labels(found[2] or "") if found else None
    if not found or labels is None:
        message = f"must be a sample as 'name{{label=\"x\"}} 1.0', got {shown(line)}"
        raise InputError(Problem(message, file=file, line=number))
    return _Sample(found[1], labels, float(found[3]))


def _labels(text: str) -> dict[str, str] | None:
    """Return labels by name, None if they are malformed; in one pass, however long."""
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if not found:
            return None
        labels[found[1]] = found[2]
        at = found.end()
    return labels


def _named(samples: list[_Sample], name: str) -> list[_Sample]:
    return [each for each in samples if each.name.partition(":")[2] == name]


def _total(samples: list[_Sample], names: tuple[str, ...]) -> float | None:
    """Return the sum of the first counter that there is, None if there is none."""
    for name in names:
        values = [each.value for each in _named(samples, name)]
        if values:
            return sum(values)
    return None


def _facts(samples: list[_Sample], notices: list[Notice]) -> dict[str, Setting]:
    """Return what the engine says of its KV pool and limits."""
    facts: dict[str, Setting] = {}
    for key, name in _GAUGES.items():
        values = [each.value for each in samples if each.name == name and each.value >= 1]
        if values:
            facts[key] = int(min(values))
    pools = []
    for each in samples:
        if each.name == "vllm:cache_config_info":
            labels = {key: int(v) for key, v in each.labels.items() if re.fullmatch(r"\d{1,15}", v)}
            blocks, size = (labels.get(key) for key in ("num_gpu_blocks", "block_size"))
            if labels.get("kv_cache_size_tokens"):
                pools.append(labels["kv_cache_size_tokens"])
            elif blocks and size:
                pools.append(blocks * size)
                notices.append(Notice("kv_tokens is blocks times block_size; the log's is exact"))
            if size:
                facts["block_size"] = size
            share = each.labels.get("gpu_memory_utilization", "")
            if re.fullmatch(r"0?\.\d{1,6}|1(?:\.0)?", share):
                facts["gpu_memory_utilization"] = float(share)
    if pools:
        facts["kv_tokens"] = min(pools)
    return facts


def _histogram(samples: list[_Sample], names: tuple[str, ...], file: str) -> Statistics:
    """Return mean and percentiles of the first histogram with observations, else nothing."""
    for name in names:
        count, total = (_total(samples, (f"{name}_{part}",)) for part in ("count", "sum"))
        if not count or total is None:
            continue
        buckets: dict[float, float] = {}
        for each in _named(samples, f"{name}_bucket"):
            bound = _bound(each, file)
            buckets[bound] = buckets.get(bound, 0.0) + each.value
        _check_cumulative(name, [buckets[bound] for bound in sorted(buckets)], count, file)
        found = {"mean": total / count}
        for level in PERCENTILES:
            value = _quantile(sorted(buckets.items()), level / 100)
            if value is not None:
                found[f"p{level}"] = value
        return found
    return {}


def _check_cumulative(name: str, counts: list[float], total: float, file: str) -> None:
    """Refuse buckets, by rising bound, that fall, or of which one has more than there are."""
    for fewer, more in pairwise([0.0, *counts, total]):
        if fewer > more:
            message = f"must have buckets that rise up to its count, got {more:g} after {fewer:g}"
            raise InputError(Problem(message, name, file))


def _bound(bucket: _Sample, file: str) -> float:
    text = bucket.labels.get("le", "")
    with suppress(ValueError):
        if (bound := float(text)) >= 0:
            return bound
    message = f"must have a number >= 0 as le of {bucket.name}, got {text!r:.40}"
    raise InputError(Problem(message, file=file))


def _quantile(buckets: list[tuple[float, float]], level: float) -> float | None:
    """Return a quantile of cumulative buckets, None where it is beyond the last bound."""
    if not buckets or not math.isinf(buckets[-1][0]):
        return None
    rank = level * buckets[-1][1]
    below, under = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > under:
            return (
                None
                if math.isinf(bound)
                else below + (bound - below) * (rank - under) / (count - under)
            )
        below, under = bound, count
    return None
