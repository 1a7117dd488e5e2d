"""Requests in a plain table: CSV or JSON Lines, a row each, columns by their names.

Known are the canonical columns and others of the same meaning, as ``sent_s``, ``ttft_ms``,
``error``. A time must say its unit in its name: seconds for milliseconds are too easily believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrate.importers.checks import MAX_PROBLEMS, RawRows, checked_rows
from calibrate.importers.imported import Imported, measured_runs
from calibrate.importers.rows import RUN, BoolArray, FloatArray
from planner.errors import InputError, Notice, Problem, did_you_mean, shown
from planner.report.progress import part, silent
from planner.traffic.clock import EPOCH_S, Clock
from planner.traffic.columns import KNOWN, SECONDS, Layout, split_unit
from planner.traffic.table import number, numbers, open_table
from planner.traffic.textfile import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from planner.traffic.table import Table

#: Names of columns besides those of traces; units are cut off first.
MEASURED: dict[str, tuple[str, ...]] = {
    "ttft": ("ttft", "time_to_first_token", "first_token_latency"),
    "e2e": ("e2e", "e2el", "e2e_latency", "end_to_end_latency", "request_latency", "latency"),
    "tpot": ("tpot", "time_per_output_token"),
    "run": ("run", "run_id"),
    "ok": ("ok", "success", "succeeded"),
    "error": ("error", "errors", "error_message"),
}
#: Share of the time that the lines take; the rest is what they say.
READ = 0.8
ROLES = KNOWN | MEASURED
_TRUE, _FALSE = {"1", "true", "yes", "ok"}, {"0", "false", "no", "failed"}
_NONE = {"", "none", "null", "na", "n/a", "nan"}


def read_csv(
    base: Path,
    name: str,
    max_size: float = MAX_SIZE,
    progress: Callable[[float], None] = silent,
) -> Imported:
    """Read requests from a table.

    Parameters
    ----------
    base : pathlib.Path
        Folder that a relative `name` starts from.
    name : str
        The file as the user named it; messages use this.
    max_size : float
        Most bytes of text once unpacked. [B]
    progress : callable
        Called with the share that is done.

    Raises
    ------
    InputError
        If columns are missing or without a unit, or cells are wrong; carries up to 20 problems.
    """
    with open_table(base, name, max_size, part(progress, 0.0, READ)) as table:
        found = _Columns.of(table)
        cells, lines = _read(table, found)
    if not lines:
        raise InputError(Problem("must hold requests, got only a header", file=name))
    raw, notices = _converted(table, found, cells, lines)

    def place(row: int, message: str) -> Problem:
        return Problem(message, file=name, line=lines[row])

    rows, more = checked_rows(raw, place)
    unread = [each for k, each in enumerate(table.header) if k not in found.index.values()]
    if unread:
        more.append(Notice(f"columns not read: {', '.join(unread)[:200]}"))
    return Imported("table", rows, measured_runs(rows), notices=(*notices, *more))


@dataclass(frozen=True)
class _Columns:
    """Which column is what, and the unit of each that is a time."""

    index: dict[str, int]
    units: dict[str, str | None]

    @classmethod
    def of(cls, table: Table) -> _Columns:
        """Return the columns of `table`; refuse what is missing, double or without unit."""
        split = [split_unit(name) for name in table.header]
        index: dict[str, int] = {}
        problems = []
        for role, names in ROLES.items():
            matching = [k for k, (base, _) in enumerate(split) if base in names]
            if len(matching) > 1:
                both = " and ".join(repr(table.header[k]) for k in matching)
                problems.append(f"must have one column for {role}, got {both}; rename one")
            elif matching:
                index[role] = matching[0]
        units = {role: split[k][1] for role, k in index.items()}
        problems += [
            f"must have the unit in the column's name, as {role}_ms or {role}_s, got "
            f"{table.header[index[role]]!r}; rename it"
            for role in ("ttft", "e2e", "tpot")
            if role in index and units[role] is None
        ]
        problems += _missing(index, table.header)
        if problems:
            place = {"file": table.name, "line": table.header_line}
            raise InputError([Problem(each, **place) for each in problems])  # type: ignore[arg-type]
        return cls(index, units)


def _missing(index: dict[str, int], header: Sequence[str]) -> list[str]:
    """Return what a table of measured requests lacks."""
    wanted = {"prompt": "prompt_tokens", "output": "output_tokens"}
    if "e2e" not in index and not {"ttft", "tpot"} <= set(index):
        wanted["e2e"] = "e2e_s"
    return [
        f"must have a column for {role} such as {example!r}"
        + (did_you_mean(example, header) or f"; it has {', '.join(map(repr, header))}")[:300]
        for role, example in wanted.items()
        if role not in index
    ]


def _read(table: Table, found: _Columns) -> tuple[dict[str, list[Any]], list[int]]:
    """Return the cells of each role, and the lines of the rows."""
    cells: dict[str, list[Any]] = {role: [] for role in found.index}
    lines: list[int] = []
    for numbered, columns in table.chunks(list(found.index.values())):
        lines += numbered
        for role, column in zip(found.index, columns, strict=True):
            cells[role] += column
    return cells, lines


def _converted(
    table: Table, found: _Columns, cells: dict[str, list[Any]], lines: list[int]
) -> tuple[RawRows, list[Notice]]:
    """Return cells as numbers."""
    problems: list[Problem] = []
    n = len(lines)
    values = {
        role: _numbers(table, role, cells[role], lines, problems)
        * SECONDS[found.units[role] or "s"]
        for role in ("ttft", "e2e", "tpot", "prompt", "output")
        if role in cells
    }
    nothing = np.full(n, np.nan)
    ttft = values.get("ttft", nothing)
    e2e = values.get("e2e")
    notices: list[Notice] = []
    if e2e is None:
        e2e = ttft + values["tpot"] * (values["output"] - 1)
        e2e = np.where(values["output"] == 1, ttft, e2e)
        notices.append(Notice("e2e is ttft + tpot (output_tokens - 1): the file has none"))
    failed = _failed(table, cells, lines, problems)
    names = [str(each).strip() or RUN for each in cells.get("run", [RUN] * n)]
    run_names = tuple(dict.fromkeys(names))
    number_of = {each: k for k, each in enumerate(run_names)}
    arrival, absolute = nothing, False
    if "arrival" in cells:
        arrival, absolute, more = _arrivals(table, found, cells["arrival"], lines, problems)
        notices += more
    if problems:
        raise InputError(sorted(problems, key=lambda each: each.line)[:MAX_PROBLEMS])
    run = np.array([number_of[each] for each in names], np.int64)
    lengths = values["prompt"], values["output"]
    return RawRows(arrival, ttft, e2e, *lengths, failed, run, run_names, absolute), notices


def _numbers(
    table: Table, role: str, cells: list[Any], lines: list[int], problems: list[Problem]
) -> FloatArray:
    """Return cells as floats, NaN where empty; what is wrong goes to `problems`."""
    found = numbers(cells, decimal_comma=table.decimal_comma)
    if found is not None:
        return found
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        try:
            values[row] = number(cell, decimal_comma=table.decimal_comma)
        except ValueError:
            message = f"must have a number as {role}, got {shown(cell)}"
            problems.append(Problem(message, file=table.name, line=lines[row]))
    return values


def _arrivals(
    table: Table,
    found: _Columns,
    cells: list[Any],
    lines: list[int],
    problems: list[Problem],
) -> tuple[FloatArray, bool, list[Notice]]:
    """Return arrivals [s], and whether they count from an epoch; read as those of a trace."""
    unit = found.units["arrival"]
    clock = Clock(
        table.name,
        Layout({"arrival": found.index["arrival"]}, unit or "s", said=unit is not None),
        decimal_comma=table.decimal_comma,
    )
    times = clock.seconds(cells, lines, problems)
    there = ~np.isnan(times)
    if problems or not there.any():
        return times, False, []
    absolute = clock.has_dates or bool((times[there] >= EPOCH_S).all())
    settled = times.copy()
    settled[there], notices = clock.settle(times[there], np.array(lines)[there])
    return settled, absolute, [] if absolute else notices


def _failed(
    table: Table, cells: dict[str, list[Any]], lines: list[int], problems: list[Problem]
) -> BoolArray:
    """Return which requests the file says failed."""
    failed = np.zeros(len(lines), np.bool_)
    for row, cell in enumerate(cells.get("error", ())):
        failed[row] = cell is not None and str(cell).strip().lower() not in _NONE
    for row, cell in enumerate(cells.get("ok", ())):
        word = str(cell).strip().lower()
        failed[row] |= word in _FALSE
        if word not in _TRUE | _FALSE:
            message = f"must have true or false as ok, got {shown(cell)}"
            problems.append(Problem(message, file=table.name, line=lines[row]))
    return failed
