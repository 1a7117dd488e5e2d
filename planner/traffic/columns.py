"""Which column of a trace is what: known names, units in names, and the user's own mapping."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from planner.errors import InputError, Problem, did_you_mean
from planner.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What is read: arrivals and lengths, arrivals alone, or lengths alone.
Need = Literal["requests", "arrivals", "lengths"]
Unit = Literal["s", "ms", "us", "ns"]
Name = Annotated[str, Field(min_length=1)]

#: Units in seconds.
SECONDS: dict[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

#: Column names in use, lower case with blanks and dashes as underscores; units are cut off first.
KNOWN: dict[str, tuple[str, ...]] = {
    "arrival": (
        "arrival", "arrival_time", "arrived_at", "arrival_timestamp", "timestamp", "time", "t",
        "ts", "start_time", "request_time", "request_timestamp", "relative_time", "sent", "sent_at",
    ),
    "prompt": (
        "prompt_tokens", "input_tokens", "context_tokens", "contexttokens", "request_tokens",
        "prefill_tokens", "num_prompt_tokens", "num_input_tokens", "num_prefill_tokens",
        "input_length", "prompt_length", "input_len", "prompt_len", "input_sequence_length", "isl",
    ),
    "output": (
        "output_tokens", "completion_tokens", "generated_tokens", "generatedtokens",
        "response_tokens", "decode_tokens", "num_output_tokens", "num_generated_tokens",
        "num_decode_tokens", "output_length", "response_length", "output_len", "response_len",
        "output_sequence_length", "osl",
    ),
}  # fmt: skip

_UNITS = {
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "ms": "ms", "msec": "ms", "millis": "ms", "milliseconds": "ms",
    "us": "us", "usec": "us", "micros": "us", "microseconds": "us",
    "ns": "ns", "nsec": "ns", "nanos": "ns", "nanoseconds": "ns",
}  # fmt: skip


class Columns(Spec):
    """Names of a trace's columns, where they are not the known ones.

    Parameters
    ----------
    arrival, prompt, output : str
        Columns of the arrival times and of the tokens in prompt and output.
    unit : {"s", "ms", "us", "ns"}
        Unit of the times. Without it the column's name says (``sent_ms``, ``time (us)``), else
        they are seconds; dates need none.
    """

    arrival: Name | None = None
    prompt: Name | None = None
    output: Name | None = None
    unit: Unit | None = None


@dataclass(frozen=True)
class Layout:
    """Where in a table the trace is.

    Parameters
    ----------
    index : dict of str to int
        Column number of each of ``arrival``, ``prompt``, ``output`` that is needed.
    unit : str
        Unit of the times.
    said : bool
        Whether the unit was stated, by the mapping, the name or the format.
    """

    index: dict[str, int]
    unit: str = "s"
    said: bool = False


def split_unit(name: str) -> tuple[str, str | None]:
    """Return a column's name in the form of :data:`KNOWN` without its unit, and the unit.

    >>> split_unit("Arrival Time (ms)")
    ('arrival_time', 'ms')
    >>> split_unit("t_s"), split_unit("timestamp")
    (('t', 's'), ('timestamp', None))
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    base, _, last = plain.rpartition("_")
    return (base, _UNITS[last]) if base and last in _UNITS else (plain, None)


def find_columns(
    header: Sequence[str], columns: Columns, need: Need, *, file: str, line: int
) -> Layout:
    """Return where the needed columns are.

    Parameters
    ----------
    header : sequence of str
        The table's column names.
    columns : Columns
        The user's mapping; what it leaves out is recognised by name.
    need : {"requests", "arrivals", "lengths"}
        What is wanted.
    file, line : str, int
        For messages.

    Raises
    ------
    InputError
        If a column is missing or two could be meant; all such problems at once.
    """
    index: dict[str, int] = {}
    problems = []
    for role in KNOWN:
        if (role == "arrival" and need == "lengths") or (role != "arrival" and need == "arrivals"):
            continue
        found = _find(header, role, getattr(columns, role))
        if isinstance(found, str):
            problems.append(Problem(found, file=file, line=line))
        else:
            index[role] = found
    if problems:
        raise InputError(problems)
    if "arrival" not in index:
        return Layout(index)
    unit = columns.unit or split_unit(header[index["arrival"]])[1]
    if unit is None and _is_mooncake(header):
        unit = "ms"
    return Layout(index, unit or "s", unit is not None or _is_burstgpt(header))


def _is_mooncake(header: Sequence[str]) -> bool:
    """Whether it is the format of Mooncake's traces, whose ``timestamp`` is in milliseconds."""
    return {"timestamp", "input_length", "output_length"} <= set(header)


def _is_burstgpt(header: Sequence[str]) -> bool:
    """Whether it is the format of BurstGPT's traces, whose ``Timestamp`` is in seconds."""
    return {"Timestamp", "Request tokens", "Response tokens"} <= set(header)


def _find(header: Sequence[str], role: str, wanted: str | None) -> int | str:
    """Return the column of `role`, or what is wrong."""
    if wanted is not None:
        if wanted.strip() in header:
            return header.index(wanted.strip())
        near = did_you_mean(wanted, header)
        return f"must have the column {wanted!r} that columns.{role} names{near or _has(header)}"
    bases = [split_unit(name)[0] for name in header]
    found = [number for number, base in enumerate(bases) if base in KNOWN[role]]
    if len(found) == 1:
        return found[0]
    if found:
        both = " and ".join(repr(header[number]) for number in found)
        return f"must have one column for {role}, got {both}; choose with columns: {{{role}: ...}}"
    example = KNOWN[role][0] + ("_s" if role == "arrival" else "")
    near = did_you_mean(example, header) or did_you_mean(role, header) or _has(header)
    return (
        f"must have a column for {role} such as {example!r}{near}"
        f" Map it with columns: {{{role}: ...}}"
    )


def _has(header: Sequence[str]) -> str:
    names = ", ".join(repr(name) for name in header[:12])
    return f"; it has {names}{', ...' if len(header) > 12 else ''}."
