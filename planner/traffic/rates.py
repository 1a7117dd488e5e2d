"""Reading tables of rates over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.errors import InputError, Notice, Problem, did_you_mean
from planner.traffic.table import fail_all, number, open_table

if TYPE_CHECKING:
    from pathlib import Path

    from planner.traffic.intensity import FloatArray

_TIME, _RATE, _SERIES = "t_s", "rate_rps", "model"


def read_rates(
    base: Path, name: str, series: str | None = None
) -> tuple[FloatArray, FloatArray, list[Notice]]:
    """Return times from 0 [s] and rates [1/s] of a table with columns ``t_s, rate_rps[, model]``.

    Parameters
    ----------
    base : pathlib.Path
        Folder that a relative `name` starts from.
    name : str
        The file as the user named it.
    series : str
        Which of the tables that column ``model`` tells apart.

    Raises
    ------
    InputError
        If a column is missing, a cell is no number >= 0, the series is not there, or there are
        several and none is chosen.
    """
    with open_table(base, name) as table:
        wanted = [_TIME, _RATE] + ([_SERIES] if _SERIES in table.header else [])
        for column in wanted[:2]:
            if column not in table.header:
                message = f"must have a column {column!r}, got {', '.join(table.header)}"
                message += did_you_mean(column, table.header)
                raise InputError(Problem(message, file=name, line=table.header_line))
        rows: dict[str, list[tuple[float, float]]] = {}
        problems: list[Problem] = []
        for lines, cells in table.chunks([table.header.index(column) for column in wanted]):
            keys = map(str, cells[2]) if len(cells) > 2 else [""] * len(lines)
            for line, key, *pair in zip(lines, keys, *cells[:2], strict=True):
                try:
                    at, rate = (number(c, decimal_comma=table.decimal_comma) for c in pair)
                    if not (np.isfinite(at) and 0 <= rate < np.inf):
                        raise ValueError  # noqa: TRY301 - the same message as for text
                    rows.setdefault(key.strip(), []).append((at, rate))
                except ValueError:
                    message = f"must be a time and a rate >= 0, got {pair[0]!r} and {pair[1]!r}"
                    problems.append(Problem(message, file=name, line=line))
        fail_all(problems)
    chosen = np.array(rows[_choose(rows, name, series)])
    return _sorted(chosen[:, 0], chosen[:, 1], name)


def _choose(rows: dict[str, list[tuple[float, float]]], name: str, series: str | None) -> str:
    known = ", ".join(sorted(rows))
    if not rows:
        raise InputError(Problem("must hold rates, got only a header", file=name))
    if series is not None:
        if series not in rows:
            message = f"must be one of {known}, got {series!r}{did_you_mean(series, rows)}"
            raise InputError(Problem(message, path="arrivals.series", file=name))
        return series
    if len(rows) > 1:
        message = f"must be given, since the file holds {known}"
        raise InputError(Problem(message, path="arrivals.series", file=name))
    return next(iter(rows))


def _sorted(
    times: FloatArray, rates: FloatArray, name: str
) -> tuple[FloatArray, FloatArray, list[Notice]]:
    notices = []
    late = int(np.count_nonzero(np.diff(times) < 0))
    if late:
        order = np.argsort(times, kind="stable")
        times, rates = times[order], rates[order]
        notices.append(Notice(f"rows of {name} out of order, sorted by time", late))
    if times[0] != 0:
        notices.append(Notice(f"times of {name} shifted to begin at 0 instead of {times[0]:g} s"))
    return times - times[0], rates, notices
