"""Reads a file of any known format, told by its content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from calibrate.importers import aiperf, engine_log, guidellm, inference_perf, prometheus, vllm_bench
from calibrate.importers.csv_rows import read_csv
from calibrate.importers.document import first_document, parse_documents
from planner.errors import InputError, Problem
from planner.report.progress import part, silent
from planner.traffic.textfile import MAX_SIZE, read_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from calibrate.importers.imported import Imported

_JSON = (vllm_bench, guidellm, aiperf, inference_perf)
_DATED = re.compile(r"\s*\[\d{4}-\d\d-\d\d[ T]")
#: What is known and has a better file beside it.
_BETTER = {
    re.compile(r"Run Info,|Benchmark,Benchmark,"): "GuideLLM's CSV; import its JSON instead",
    re.compile(r"Metric,avg,min,max,"): "AIPerf's table; import profile_export.jsonl instead",
}
#: Shares of the time that reading the file takes, and of the rest that parsing its JSON does.
READ, PARSED = 0.05, 0.35
_KNOWN = (
    "vllm bench serve, GuideLLM, AIPerf, inference-perf, a table with ttft and e2e, a start log of "
    "vLLM or SGLang, a dump of /metrics"
)


def read_measured(
    name: str,
    base: Path = Path(),
    max_size: float = MAX_SIZE,
    progress: Callable[[float], None] = silent,
) -> Imported:
    """Read what a load generator or an engine wrote.

    Parameters
    ----------
    name : str
        The file as the user named it, plain or gzipped.
    base : pathlib.Path
        Folder that a relative `name` starts from.
    max_size : float
        Most bytes of text once unpacked. [B]
    progress : callable
        Called with the share that is done.

    Raises
    ------
    InputError
        If the file cannot be read, is of no known format, or holds impossible values.
    """
    text = read_text(base, name, max_size, part(progress, 0.0, READ))
    rest = part(progress, READ, 1.0)
    start = text.lstrip()[:1]
    if start and start in "[{" and not _DATED.match(text):
        return _from_json(text, base, name, max_size, rest)
    for pattern, what in _BETTER.items():
        if pattern.match(text):
            raise InputError(
                Problem(f"must be a file with what was measured, got {what}", file=name)
            )
    if engine_log.recognised(engine_log.start_of(text)):
        return engine_log.read(text, name)
    if prometheus.recognised(text):
        return prometheus.read(text, name)
    if not re.search(r"[,;\t|]", text.partition("\n")[0]):
        raise _unknown(name)
    return read_csv(base, name, max_size, rest)


def _from_json(
    text: str, base: Path, name: str, max_size: float, progress: Callable[[float], None]
) -> Imported:
    first = first_document(text, name)
    for each in _JSON:
        if each.recognised(first):
            documents = parse_documents(text, name, part(progress, 0.0, PARSED))
            for other in documents:
                if not each.recognised(other):
                    message = f"must be of {each.FORMAT} as the first document, got another"
                    raise other.fail(f"{message}; cut the file")
            return each.read(documents)
    if first.get("kind").value == "header" and first.has("rates", "requests"):
        message = (
            "must be measured requests, got the journal of a sweep; import its rows.csv instead"
        )
        raise first.fail(message)
    if first.has("output_tokens") or first.has("osl"):
        return read_csv(base, name, max_size, progress)
    raise _unknown(name)


def _unknown(name: str) -> InputError:
    return InputError(Problem(f"must be of a known format, got none of {_KNOWN}", file=name))
