"""Canonical rows: one measured request each, whatever tool measured it.

Definitions, those of the glossary: ``ttft`` is the first token minus the arrival, ``e2e`` the last
token minus the arrival, ``tpot`` is ``(e2e - ttft)/(output_tokens - 1)``. The arrival is the
moment at which the client sent the request.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, Notice, Problem, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: Columns of the CSV, in order.
COLUMNS = ("run", "arrival_s", "prompt_tokens", "output_tokens", "ttft_s", "e2e_s", "ok")
#: Largest number of tokens, and longest time, that is believed. [tokens], [s]
MAX_TOKENS, MAX_SECONDS = 100_000_000, 1e9
#: By how much a clock's rounding may put the last token before the first. [s]
ROUNDING_S = 1e-3
#: What a run is called that has no name.
RUN = "run"
#: Problems reported at once.
MAX_PROBLEMS = 20
#: Rows formatted at a time.
CHUNK = 10_000


@dataclass(frozen=True)
class RequestRows:
    """Measured requests, by run and arrival; made by :func:`checked_rows`.

    Parameters
    ----------
    arrival_s : array of float
        When the client sent the request, since the start of its run, >= 0, non-decreasing within
        a run; NaN where the tool did not record it. Shape ``(n,)``. [s]
    ttft_s : array of float
        First token minus arrival; NaN where the request failed or was not streamed. Shape
        ``(n,)``. [s]
    e2e_s : array of float
        Last token minus arrival, >= ``ttft_s``; NaN where the request failed. Shape ``(n,)``. [s]
    prompt_tokens : array of int
        Shape ``(n,)``; 0 where not known. [tokens]
    output_tokens : array of int
        Shape ``(n,)``; >= 1 where ``ok``, 0 where the request failed. [tokens]
    ok : array of bool
        Whether the request was answered in full. Shape ``(n,)``.
    run : array of int
        Index into `run_names` of the run that the request belongs to; each run has its own clock
        and starts with an idle server. Shape ``(n,)``.
    run_names : tuple of str
        Names of the runs, each once.
    """

    arrival_s: FloatArray
    ttft_s: FloatArray
    e2e_s: FloatArray
    prompt_tokens: IntArray
    output_tokens: IntArray
    ok: BoolArray
    run: IntArray
    run_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ok)

    @property
    def tpot_s(self) -> FloatArray:
        """Mean time per output token after the first, NaN for one token, shape ``(n,)`` [s]."""
        gaps = np.where(self.output_tokens > 1, self.output_tokens - 1, np.nan)
        return np.asarray((self.e2e_s - self.ttft_s) / gaps, np.float64)

    def select(self, keep: BoolArray) -> RequestRows:
        """Return the rows where `keep`, shape ``(n,)``, is true; the runs stay the same."""
        return RequestRows(
            self.arrival_s[keep],
            self.ttft_s[keep],
            self.e2e_s[keep],
            self.prompt_tokens[keep],
            self.output_tokens[keep],
            self.ok[keep],
            self.run[keep],
            self.run_names,
        )

    def of_run(self, name: str) -> RequestRows:
        """Return the rows of one run, as the only run there is.

        Raises
        ------
        KeyError
            If there is no such run.
        """
        if name not in self.run_names:
            raise KeyError(name)
        rows = self.select(self.run == self.run_names.index(name))
        return RequestRows(
            rows.arrival_s,
            rows.ttft_s,
            rows.e2e_s,
            rows.prompt_tokens,
            rows.output_tokens,
            rows.ok,
            np.zeros(len(rows), np.int64),
            (name,),
        )

    def csv_chunks(self) -> Iterator[str]:
        """Yield the rows as CSV with the header :data:`COLUMNS`; what is not known is empty.

        Times have nine decimals. A failed request has no times and 0 output tokens, so that a
        scenario which replays the file as a trace leaves it out and says so.
        """
        yield ",".join(COLUMNS) + "\n"
        names = [_quoted(name) for name in self.run_names]
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            columns = (
                self.run, self.arrival_s, self.prompt_tokens, self.output_tokens,
                self.ttft_s, self.e2e_s, self.ok,
            )  # fmt: skip
            yield "".join(
                f"{names[run]},{_time(arrival)},{prompt},{output},{_time(ttft)},{_time(e2e)},{ok:d}\n"
                for run, arrival, prompt, output, ttft, e2e, ok in zip(
                    *(each[part].tolist() for each in columns), strict=True
                )
            )


def _time(seconds: float) -> str:
    return "" if seconds != seconds else f"{seconds:.9f}"  # noqa: PLR0124 - NaN


def _quoted(name: str) -> str:
    """Return `name` as a cell of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([name])
    return line.getvalue()


@dataclass(frozen=True)
class RawRows:
    """What an importer read, before it is checked: floats, NaN where there is nothing.

    Parameters
    ----------
    arrival_s, ttft_s, e2e_s, prompt_tokens, output_tokens : array of float
        As of :class:`RequestRows`, unsorted, shape ``(n,)``.
    failed : array of bool
        What the tool itself says failed, shape ``(n,)``.
    run : array of int
        Shape ``(n,)``.
    run_names : tuple of str
        Names of the runs.
    absolute : bool
        Whether arrivals count from an origin of the tool's own, to be taken from the first
        arrival of the run instead.
    """

    arrival_s: FloatArray
    ttft_s: FloatArray
    e2e_s: FloatArray
    prompt_tokens: FloatArray
    output_tokens: FloatArray
    failed: BoolArray
    run: IntArray
    run_names: tuple[str, ...]
    absolute: bool


def checked_rows(
    raw: RawRows, place: Callable[[int, str], Problem]
) -> tuple[RequestRows, list[Notice]]:
    """Return canonical rows, sorted by run and arrival, and what was left out.

    Parameters
    ----------
    raw : RawRows
        What was read.
    place : callable
        ``place(row, message)`` returns the problem with file and line of that row.

    Raises
    ------
    InputError
        If a time is negative, infinite or absurdly long, a number of tokens is not whole, a last
        token comes before the first, or there is no request; carries up to 20 problems.
    """
    if not len(raw.failed):
        raise InputError(place(0, "must hold requests, got none"))
    arrival = _from_start(raw) if raw.absolute else raw.arrival_s
    problems = list(_problems(raw, arrival, place))
    if problems:
        raise InputError(problems[:MAX_PROBLEMS])
    ok, notices = _answered(raw)
    order = np.lexsort((arrival, raw.run))
    lost = int(np.count_nonzero(np.isnan(arrival)))
    if lost:
        notices.append(Notice("requests without arrival time: they cannot be replayed", lost))
    unknown = int(np.count_nonzero(ok & ~(raw.prompt_tokens > 0)))
    if unknown:
        notices.append(Notice("requests without prompt tokens", unknown))
    plain = int(np.count_nonzero(ok & np.isnan(raw.ttft_s)))
    if plain:
        notices.append(Notice("requests without ttft: they were not streamed", plain))
    e2e = np.fmax(raw.e2e_s, raw.ttft_s)  # a clock's rounding
    return (
        RequestRows(
            arrival[order] + 0.0,  # -0 becomes 0
            np.where(ok, raw.ttft_s, np.nan)[order],
            np.where(ok, e2e, np.nan)[order],
            np.nan_to_num(raw.prompt_tokens)[order].astype(np.int64),
            np.where(ok, raw.output_tokens, 0)[order].astype(np.int64),
            ok[order],
            raw.run[order],
            raw.run_names,
        ),
        notices,
    )


def _problems(
    raw: RawRows, arrival_s: FloatArray, place: Callable[[int, str], Problem]
) -> Iterator[Problem]:
    """Yield what is wrong, row by row within each rule, few of each."""
    for name, values in {"arrival": arrival_s, "ttft": raw.ttft_s, "e2e": raw.e2e_s}.items():
        rule = f"must have {name} >= 0 and at most {MAX_SECONDS:g} s"
        yield from _said((values < 0) | (values > MAX_SECONDS), values, rule, place, unit=" s")
    for name, values in {"prompt": raw.prompt_tokens, "output": raw.output_tokens}.items():
        broken = (np.floor(values) != values) & ~np.isnan(values)
        bad = broken | (values < 0) | (values > MAX_TOKENS)
        rule = f"must have a whole number of {name} tokens from 0 to {MAX_TOKENS:,}"
        yield from _said(bad, values, rule, place)
    early = ~raw.failed & (raw.e2e_s < raw.ttft_s - ROUNDING_S)
    yield from _said(early, raw.e2e_s, "must have e2e >= ttft", place, unit=" s")


def _said(
    bad: BoolArray,
    values: FloatArray,
    rule: str,
    place: Callable[[int, str], Problem],
    unit: str = "",
) -> Iterator[Problem]:
    for row in np.flatnonzero(bad)[:MAX_PROBLEMS]:
        yield place(int(row), f"{rule}, got {values[row]:.9g}{unit}")


def _answered(raw: RawRows) -> tuple[BoolArray, list[Notice]]:
    """Return which requests were answered in full, and notices about the others."""
    reasons = {
        "failed requests: not in any statistic": raw.failed,
        "requests without e2e, taken as failed": np.isnan(raw.e2e_s),
        "requests without output tokens, taken as failed": ~(raw.output_tokens > 0),
    }
    ok = np.ones(len(raw.failed), np.bool_)
    notices = []
    for message, bad in reasons.items():
        count = int(np.count_nonzero(bad & ok))
        if count:
            notices.append(Notice(message, count))
        ok &= ~bad
    return ok, notices


def _from_start(raw: RawRows) -> FloatArray:
    """Return arrivals since the first of each run [s]."""
    first = np.full(len(raw.run_names), np.inf)
    known = ~np.isnan(raw.arrival_s)
    np.minimum.at(first, raw.run[known], raw.arrival_s[known])
    with np.errstate(invalid="ignore"):  # of infinite times, which are refused later
        since: FloatArray = raw.arrival_s - first[raw.run]
    since[~known] = np.nan
    return since


def as_float(value: Any) -> float:  # noqa: ANN401 - JSON
    """Return a number of a JSON document, NaN for null.

    Raises
    ------
    ValueError
        If it is no number; ``str`` of it says what it is.
    """
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, got {shown(value)}")  # noqa: TRY004 - as for text
    try:
        return float(value)
    except OverflowError:
        return float("inf")
