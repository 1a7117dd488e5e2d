"""Traces of requests: CSV or JSON Lines, plain or gzipped, told by their content.

Known formats, by the names of their columns (:data:`planner.traffic.columns.KNOWN`):

=========  =====================================================  ===========================
format     columns                                                times
=========  =====================================================  ===========================
plain      ``arrival_s, prompt_tokens, output_tokens``            seconds; ``arrival_ms`` is ms
Azure      ``TIMESTAMP, ContextTokens, GeneratedTokens``          dates
Mooncake   ``timestamp, input_length, output_length, hash_ids``   milliseconds
BurstGPT   ``Timestamp, Model, Request tokens, Response tokens``  seconds
=========  =====================================================  ===========================

Rows are never dropped in silence. Rows without a time or a length, and rows with zero tokens, are
left out and counted in a notice. Text where a number belongs, negative and infinite numbers,
fractions of tokens and mixed clocks are errors with file and line.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, Notice, Problem
from planner.traffic.clock import Clock
from planner.traffic.columns import Columns, Need, find_columns
from planner.traffic.table import MAX_PROBLEMS, Table, fail_all, number, numbers, open_table
from planner.traffic.textfile import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from planner.traffic.intensity import FloatArray, IntArray

__all__ = ["MAX_SIZE", "MAX_TOKENS", "Columns", "Trace", "read_once", "read_trace"]

#: Largest length of a prompt or an output that is believed.
MAX_TOKENS = 100_000_000
#: Traces read so far by what was asked for, while :func:`read_once` is entered.
_KEPT: ContextVar[dict[str, Trace] | None] = ContextVar("_KEPT", default=None)
_PREFIX_COLUMNS = {"hash_ids", "prefix_hash_ids"}


@dataclass(frozen=True)
class Trace:
    """Requests of a trace, by arrival.

    Parameters
    ----------
    arrival_s : array
        Arrival, >= 0, non-decreasing, shape ``(n,)``; empty if only lengths were read. [s]
    prompt_tokens, output_tokens : array
        Lengths, >= 1, shape ``(n,)``; empty if only arrivals were read.
    end_s : float
        When the trace ends: its last arrival, or the end of its window. [s]
    notices : list of Notice
        What was left out or changed.
    name : str
        The file as the user named it.
    """

    arrival_s: FloatArray
    prompt_tokens: IntArray
    output_tokens: IntArray
    end_s: float = 0.0
    notices: list[Notice] = field(default_factory=list)
    name: str = ""

    def __len__(self) -> int:
        return max(len(self.arrival_s), len(self.prompt_tokens))

    def mean_rate(self, end_s: float | None = None) -> float:  # noqa: ARG002 - as of arrivals
        """Return arrivals per second until :attr:`end_s`; inf if that is 0 [1/s]."""
        return len(self) / self.end_s if self.end_s else float("inf")

    def scaled(self, factor: float) -> Trace:
        """Return the trace `factor` times as fast."""
        return replace(self, arrival_s=self.arrival_s / factor, end_s=self.end_s / factor)

    def times_before(self, end_s: float, rng: np.random.Generator) -> FloatArray:  # noqa: ARG002 - as of arrivals
        """Return the arrivals before `end_s` [s]."""
        return self.arrival_s[: np.searchsorted(self.arrival_s, end_s, side="left")]


@contextmanager
def read_once() -> Iterator[None]:
    """Read each trace once inside of it, for many simulations of the same traffic."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def read_trace(
    base: Path,
    name: str,
    columns: Columns | None = None,
    need: Need = "requests",
    max_size: float = MAX_SIZE,
) -> Trace:
    """Read a trace.

    Parameters
    ----------
    base : pathlib.Path
        Folder that a relative `name` starts from.
    name : str
        The file as the user named it; messages use this.
    columns : Columns
        Mapping of columns whose names are not known ones.
    need : {"requests", "arrivals", "lengths"}
        What is wanted; columns that are not needed may be missing or wrong.
    max_size : float
        Most bytes of text once unpacked. [B]

    Raises
    ------
    InputError
        If the file cannot be used; carries up to 20 problems with their lines.
    """
    kept = _KEPT.get()
    if kept is None:
        return _read_file(base, name, columns, need, max_size)
    key = repr((base, name, columns, need, max_size))
    if key not in kept:
        trace = kept[key] = _read_file(base, name, columns, need, max_size)
        for column in (trace.arrival_s, trace.prompt_tokens, trace.output_tokens):
            column.flags.writeable = False
    return replace(kept[key], notices=list(kept[key].notices))


def _read_file(
    base: Path, name: str, columns: Columns | None, need: Need, max_size: float
) -> Trace:
    """Read a trace, as :func:`read_trace` does."""
    with open_table(base, name, max_size) as table:
        layout = find_columns(
            table.header, columns or Columns(), need, file=name, line=table.header_line
        )
        clock = Clock(name, layout, decimal_comma=table.decimal_comma)
        data, lines = _read(table, layout.index, clock)
        unused = sorted(_PREFIX_COLUMNS & set(table.header))
    if not len(lines):
        raise InputError(Problem("must hold requests, got only a header", file=name))
    data, lines, notices = _leave_out(data, lines, name)
    if unused and need != "arrivals":
        notices.append(Notice(f"column {unused[0]} of {name} is not used: no prefix is shared"))
    times = data.pop("arrival", np.empty(0))
    order: npt.NDArray[np.intp] | slice = slice(None)
    if len(times):
        times, more = clock.settle(times, lines)
        notices += more
        late = int(np.count_nonzero(np.diff(times) < 0))
        if late:
            notices.append(Notice(f"rows of {name} out of order, sorted by arrival", late))
            order = np.argsort(times, kind="stable")
    prompt, output = (
        data.get(role, np.empty(0))[order if role in data else slice(None)].astype(np.int32)
        for role in ("prompt", "output")
    )
    times = times[order] + 0.0  # -0 becomes 0
    end = float(times[-1]) if len(times) else 0.0
    return Trace(times, prompt, output, end, notices, name)


def _read(
    table: Table, index: dict[str, int], clock: Clock
) -> tuple[dict[str, FloatArray], npt.NDArray[np.int64]]:
    """Return the columns as floats, NaN where empty, and the rows' lines."""
    parts: dict[str, list[FloatArray]] = {role: [] for role in index}
    numbered: list[npt.NDArray[np.int64]] = []
    problems: list[Problem] = []
    for lines, cells in table.chunks(list(index.values())):
        for role, column in zip(index, cells, strict=True):
            read = clock.seconds if role == "arrival" else _Tokens(table, role).read
            parts[role].append(read(column, lines, problems))
        numbered.append(np.array(lines, np.int64))
        if len(problems) >= MAX_PROBLEMS:
            break
    fail_all(sorted(problems, key=lambda problem: problem.line))
    if not numbered:
        return {role: np.empty(0) for role in index}, np.empty(0, np.int64)
    return {role: np.concatenate(part) for role, part in parts.items()}, np.concatenate(numbered)


@dataclass(frozen=True)
class _Tokens:
    """Converts cells that are numbers of tokens."""

    table: Table
    role: str

    def read(
        self, cells: Sequence[Any], lines: Sequence[int], problems: list[Problem]
    ) -> FloatArray:
        """Return cells as floats, NaN where empty; what is wrong goes to `problems`."""
        comma = self.table.decimal_comma
        values = numbers(cells, decimal_comma=comma)
        if values is None:
            values = np.empty(len(cells))
            for row, cell in enumerate(cells):
                try:
                    values[row] = number(cell, decimal_comma=comma)
                except ValueError:
                    values[row] = -1
        bad = (
            (values < 0) | (values > MAX_TOKENS) | (values != np.floor(values)) & ~np.isnan(values)
        )
        for row in np.flatnonzero(bad)[:MAX_PROBLEMS]:
            message = (
                f"must have a whole number of {self.role} tokens from 0 to {MAX_TOKENS:,}, "
                f"got {cells[row]!r}"
            )
            problems.append(Problem(message, file=self.table.name, line=lines[row]))
        return values


def _leave_out(
    data: dict[str, FloatArray], lines: npt.NDArray[np.int64], name: str
) -> tuple[dict[str, FloatArray], npt.NDArray[np.int64], list[Notice]]:
    """Leave out rows without a value or without tokens, counting each under its first reason."""
    notices = []
    keep = np.ones(len(lines), np.bool_)
    what = {"arrival": "arrival time", "prompt": "prompt tokens", "output": "output tokens"}
    for reason, test in (("no", np.isnan), ("zero", _is_zero)):
        for role, values in data.items():
            if role == "arrival" and reason == "zero":
                continue
            bad = test(values) & keep
            count = int(np.count_nonzero(bad))
            if count:
                keep &= ~bad
                first = int(lines[np.argmax(bad)])
                text = f"rows of {name} with {reason} {what[role]} left out (first: line {first})"
                notices.append(Notice(text, count))
    if not keep.any():
        reasons = "; ".join(str(notice) for notice in notices)
        raise InputError(Problem(f"must hold requests, got none: {reasons}", file=name))
    return {role: values[keep] for role, values in data.items()}, lines[keep], notices


def _is_zero(values: FloatArray) -> npt.NDArray[np.bool_]:
    return np.equal(values, 0)
