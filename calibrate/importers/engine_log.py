"""Start logs of vLLM and SGLang: what the engine says it has room for [1]_ [2]_.

Each engine core prints its KV pool, and each rank its memory: the smallest decides, since a
sequence needs its share on every rank. vLLM's ``GB`` before 2025, and SGLang's, are GiB. Weights
are those of the fullest rank.

References
----------
.. [1] vLLM, ``vllm/v1/core/kv_cache_utils.py``, ``vllm/v1/worker/gpu_model_runner.py``; before
   V1, ``vllm/executor/executor_base.py``.
.. [2] SGLang, ``sglang/srt/managers/scheduler.py``, ``sglang/srt/mem_cache/memory_pool.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from calibrate.importers.imported import Imported
from planner.errors import InputError, Notice, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calibrate.importers.imported import Setting

_GIB = 2.0**30
_INTEGER = r"(\d[\d,]{0,18})"
_DECIMAL = r"(-?\d{1,12}(?:\.\d{1,12})?)"

#: Numbers of vLLM's lines; of several, the smallest is taken unless named below.
_VLLM = {
    "kv_tokens": rf"KV cache size: {_INTEGER} tokens",
    "kv_bytes": rf"Available KV cache memory: {_DECIMAL} GiB",
    "kv_blocks": rf"# (?:GPU|CUDA|CPU|cuda|cpu) blocks: {_INTEGER}",
    "max_model_len": rf"Maximum concurrency for {_INTEGER} tokens per request",
    "max_concurrency": rf"tokens per request: {_DECIMAL}x",
    "weights_bytes": rf"(?:Model loading took|Loading model weights took) {_DECIMAL} Gi?B",
    "max_num_seqs": rf"\bmax_num_seqs'?[=:] ?{_INTEGER}",
    "max_num_batched_tokens": rf"\bmax_num_batched_tokens'?[=:] ?{_INTEGER}",
    "block_size": rf"(?<!mamba_)\bblock_size'?[=:] ?{_INTEGER}",
    "gpu_memory_utilization": rf"\bgpu_memory_utilization'?[=:] ?{_DECIMAL}",
    "tensor_parallel": rf"\btensor_parallel_size'?[=:] ?{_INTEGER}",
    "pipeline_parallel": rf"\bpipeline_parallel_size'?[=:] ?{_INTEGER}",
    "data_parallel": rf"\bdata_parallel_size'?[=:] ?{_INTEGER}",
}
_SGLANG = {
    "kv_tokens": rf"\bmax_total_num_tokens={_INTEGER}",
    "pool_tokens": rf"KV Cache is allocated\..{{0,80}}?#tokens: {_INTEGER}",
    "max_num_seqs": rf"\bmax_running_requests={_INTEGER}, context_len",
    "max_model_len": rf"\bcontext_len={_INTEGER}",
    "max_num_batched_tokens": rf"max_total_num_tokens=\d+, chunked_prefill_size={_INTEGER}",
    "weights_bytes": rf"Load weight end\..{{0,200}}?mem usage={_DECIMAL} GB",
    "block_size": rf"\bpage_size={_INTEGER}",
    "tensor_parallel": rf"\btp_size={_INTEGER}",
    "pipeline_parallel": rf"\bpp_size={_INTEGER}",
    "data_parallel": rf"\bdp_size={_INTEGER}",
}
_WORDS = {
    "engine_version": r"LLM engine \(v([^)\s]{1,60})\)",
    "model": r"(?:with config: model=|\bmodel_path=)'([^']{1,300})'",
    "kv_cache_dtype": r"\bkv_cache_dtype='?([a-z0-9_]{1,30})",
}
#: Of these the largest counts: the fullest rank.
_LARGEST = {"weights_bytes"}
_BYTES = {"kv_bytes", "weights_bytes"}
_WHOLE = {"gpu_memory_utilization", "max_concurrency"}
#: Lines that only a start log has.
_SIGNS = {
    "vLLM start log": re.compile(
        r"KV cache size: \d[\d,]* tokens|# (?:GPU|CUDA|CPU|cuda|cpu) blocks: \d"
        r"|Available KV cache memory: -?\d|LLM engine \(v\d"
        r"|(?:Model loading took|Loading model weights took) \d"
    ),
    "SGLang start log": re.compile(
        r"max_total_num_tokens=\d|KV Cache is allocated\.|Load weight end\."
        r"|server_args=ServerArgs\("
    ),
}


#: Words of which each line that is read has one; found faster than patterns in a long log.
_ANCHORS = (
    "KV cache size:", "KV cache memory:", " blocks:", "tokens per request:", "weights took",
    "loading took", "max_num_seqs", "max_num_batched_tokens", "LLM engine (v",
    "max_total_num_tokens=", "KV Cache is allocated.", "Load weight end.", "server_args=",
    "non-default args",
)  # fmt: skip


def start_of(text: str) -> str:
    """Return the lines of a log that may say something of the start, in their order."""
    lines: dict[int, str] = {}
    for anchor in _ANCHORS:
        at = text.find(anchor)
        while at >= 0:
            begin, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
            end = len(text) if end < 0 else end
            lines[begin] = text[begin:end]
            at = text.find(anchor, end)
    return "\n".join(lines[begin] for begin in sorted(lines))


def recognised(text: str) -> str | None:
    """Return which engine's start log a text is, None if it is none."""
    return next((name for name, sign in _SIGNS.items() if sign.search(text)), None)


def read(text: str, file: str) -> Imported:
    """Read a start log.

    Parameters
    ----------
    text : str
        The log; it may go on for long after the start.
    file : str
        The file as the user named it.

    Raises
    ------
    InputError
        If it is the log of several starts that differ, or it says nothing about memory.
    """
    text = start_of(text)
    which = recognised(text) or "vLLM start log"
    sglang = which.startswith("SGLang")
    found = {
        key: list(_numbers(pattern, text))
        for key, pattern in (_SGLANG if sglang else _VLLM).items()
    }
    _one_start(text, found, file)
    facts: dict[str, Setting] = {"engine": which.split()[0]}
    facts |= {key: word for key, pattern in _WORDS.items() if (word := _word(pattern, text))}
    for key, values in found.items():
        if values:
            chosen = max(values) if key in _LARGEST else min(values)
            facts[key] = _as_fact(key, chosen)
    notices = [
        Notice(
            f"values of {key}: the {'largest' if key in _LARGEST else 'smallest'} is taken",
            len(values),
        )
        for key, values in found.items()
        if len(set(values)) > 1
    ]
    _complete(facts, notices)
    if not {"kv_tokens", "kv_bytes", "weights_bytes"} & set(facts):
        message = (
            "must say what fits into memory, as 'KV cache size: 131,072 tokens', got no such line"
        )
        raise InputError(Problem(message, file=file))
    if facts.get("kv_tokens") == 0:
        message = "must be the log of an engine that started, got a KV cache of 0 tokens"
        raise InputError(Problem(message, file=file))
    return Imported(which, facts=facts, notices=tuple(notices))


def _numbers(pattern: str, text: str) -> Iterator[float]:
    for each in re.finditer(pattern, text):
        yield float(each[1].replace(",", ""))


def _word(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def _as_fact(key: str, value: float) -> Setting:
    if key in _WHOLE:
        return value
    return round(value * _GIB) if key in _BYTES else int(value)


def _one_start(text: str, found: dict[str, list[float]], file: str) -> None:
    """Refuse a log of several starts whose models or lengths differ."""
    models = set(re.findall(_WORDS["model"], text))
    lengths = set(found.get("max_model_len", ()))
    for what, values in {"models": models, "context lengths": lengths}.items():
        if len(values) > 1:
            shown = ", ".join(sorted(str(each) for each in values))[:200]
            message = f"must be the log of one start, got several {what}: {shown}; cut it"
            raise InputError(Problem(message, file=file))


def _complete(facts: dict[str, Setting], notices: list[Notice]) -> None:
    """Derive the KV pool where an older engine gives it in blocks, or by its allocation."""
    pool = facts.pop("pool_tokens", None)
    if "kv_tokens" not in facts and pool is not None:
        facts["kv_tokens"] = pool
    blocks, length, times = (
        facts.get(key) for key in ("kv_blocks", "max_model_len", "max_concurrency")
    )
    tokens = facts.get("kv_tokens")
    if isinstance(tokens, int) and isinstance(length, int) and isinstance(times, float):
        _of_groups(facts, notices, tokens, (length, times))
    if "kv_tokens" in facts or not isinstance(blocks, int) or not blocks:
        return
    if "block_size" not in facts and isinstance(length, int) and isinstance(times, float):
        facts["block_size"] = round(times * length / blocks)
        notices.append(Notice("block_size follows from blocks and maximum concurrency"))
    size = facts.get("block_size")
    if isinstance(size, int) and size >= 1:
        facts["kv_tokens"] = blocks * size
        notices.append(Notice("kv_tokens is blocks times block_size"))


def _of_groups(
    facts: dict[str, Setting], notices: list[Notice], tokens: int, concurrency: tuple[int, float]
) -> None:
    """Take the tokens of models with windows or states from the concurrency.

    Before 0.21, vLLM logs their blocks divided by the groups of layers as the size: several times
    less than the requests of the longest length hold (vllm-project/vllm#40694).
    """
    length, times = concurrency
    held = times * length
    if held - 0.005 * length > 1.01 * tokens:  # beyond what two decimals leave open
        facts["kv_tokens"] = round(held)
        text = "kv_tokens is the maximum concurrency times its length, as versions from 0.21 log it"
        notices.append(Notice(text))
