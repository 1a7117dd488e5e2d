"""Checks of what importers read: impossible values are refused, what is left out is counted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibrate.importers.rows import BoolArray, FloatArray, IntArray, RequestRows
from planner.errors import InputError, Notice, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Largest number of tokens, and longest time, that is believed. [tokens], [s]
MAX_TOKENS, MAX_SECONDS = 100_000_000, 1e9
#: By how much a clock's rounding may put the last token before the first. [s]
ROUNDING_S = 1e-3
#: Problems reported at once.
MAX_PROBLEMS = 20


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
    raw = _without_failed_times(raw)
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


def _without_failed_times(raw: RawRows) -> RawRows:
    """Return rows in which what a tool puts as times of a failed request is NaN."""
    ttft, e2e, output = (
        np.where(raw.failed, np.nan, each) for each in (raw.ttft_s, raw.e2e_s, raw.output_tokens)
    )
    return dataclasses.replace(raw, ttft_s=ttft, e2e_s=e2e, output_tokens=output)


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


@dataclass(frozen=True)
class RawRun:
    """One run as an importer read it: columns as of :class:`RawRows`, each of shape ``(n,)``."""

    arrival_s: FloatArray
    ttft_s: FloatArray
    e2e_s: FloatArray
    prompt_tokens: FloatArray
    output_tokens: FloatArray
    failed: BoolArray


def checked_runs(
    runs: Sequence[RawRun],
    names: tuple[str, ...],
    place: Callable[[int, int, str], Problem],
) -> tuple[RequestRows, list[Notice]]:
    """Return the rows of runs whose arrivals count from an origin of the tool's own.

    Parameters
    ----------
    runs : sequence of RawRun
        One or more.
    names : tuple of str
        What they are called, each once.
    place : callable
        ``place(run, row, message)`` returns the problem of that row.

    Raises
    ------
    InputError
        As of :func:`checked_rows`.
    """
    sizes = [len(each.failed) for each in runs]
    starts = np.cumsum([0, *sizes])
    raw = RawRows(
        np.concatenate([each.arrival_s for each in runs]),
        np.concatenate([each.ttft_s for each in runs]),
        np.concatenate([each.e2e_s for each in runs]),
        np.concatenate([each.prompt_tokens for each in runs]),
        np.concatenate([each.output_tokens for each in runs]),
        np.concatenate([each.failed for each in runs]),
        np.repeat(np.arange(len(runs)), sizes),
        names,
        absolute=True,
    )

    def at(row: int, message: str) -> Problem:
        run = min(int(np.searchsorted(starts, row, side="right")) - 1, len(runs) - 1)
        return place(run, row - int(starts[run]), message)

    return checked_rows(raw, at)
