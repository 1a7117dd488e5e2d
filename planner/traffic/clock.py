"""Times in traces: numbers in any unit or dates, relative or since an epoch, never mixed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, Notice, Problem
from planner.traffic.columns import SECONDS, Layout
from planner.traffic.table import number, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.traffic.intensity import FloatArray

#: Times from here on are counted from an epoch: 1973 where that is 1970. [s]
EPOCH_S = 1e8
#: Times from here on are not seconds since 1970: it is the year 5138. [s]
ABSURD_S = 1e11

_DATE = re.compile(r"(19|20)\d\d-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?")
_EMPTY = {"", "na", "n/a", "nan", "null", "none", "nat"}
_LONG_SPAN_S = 100 * 86400.0
_LONG_GAP_S = 50.0


class Clock:
    """Converts the time cells of one file, chunk by chunk, and checks them as a whole.

    Parameters
    ----------
    file : str
        For messages.
    layout : Layout
        Unit of the times, and whether it was stated.
    decimal_comma : bool
        Whether a comma may be the decimal separator.
    """

    def __init__(self, file: str, layout: Layout, *, decimal_comma: bool) -> None:
        self._file, self._layout, self._decimal_comma = file, layout, decimal_comma
        self._dates: bool | None = None  # not known before the first cell that is not empty
        self._first_line = 0
        self._origin: int | None = None  # of dates [ns since 1970]

    @property
    def has_dates(self) -> bool:
        """Whether the cells read so far are dates."""
        return bool(self._dates)

    def seconds(
        self, cells: Sequence[Any], lines: Sequence[int], problems: list[Problem]
    ) -> FloatArray:
        """Return cells as seconds, NaN where empty or wrong; what is wrong goes to `problems`."""
        if self._dates is None:
            self._learn(cells, lines)
        if self._dates:
            return self._from_dates(cells, lines, problems)
        values = numbers(cells, decimal_comma=self._decimal_comma)
        if values is None:
            values = self._one_by_one(cells, lines, problems)
        return values * SECONDS[self._layout.unit]

    def _learn(self, cells: Sequence[Any], lines: Sequence[int]) -> None:
        """Find out from the first cell that is not empty whether times are dates."""
        for cell, line in zip(cells, lines, strict=True):
            if cell is not None and str(cell).strip().lower() not in _EMPTY:
                self._dates, self._first_line = _nanoseconds(cell) is not None, line
                return

    def _one_by_one(
        self, cells: Sequence[Any], lines: Sequence[int], problems: list[Problem]
    ) -> FloatArray:
        values = np.full(len(cells), np.nan)
        for row, (cell, line) in enumerate(zip(cells, lines, strict=True)):
            try:
                values[row] = number(cell, decimal_comma=self._decimal_comma)
            except ValueError:
                if _nanoseconds(cell) is None:
                    message = f"must have a number or an ISO 8601 date as time, got {cell!r}"
                else:
                    message = self._mixed(f"the date {cell!r}", "numbers")
                problems.append(Problem(message, file=self._file, line=line))
        return values

    def _mixed(self, got: str, others: str) -> str:
        return (
            f"must not mix clocks, got {got} where line {self._first_line} on has {others}; "
            "split the file or convert one kind"
        )

    def _from_dates(
        self, cells: Sequence[Any], lines: Sequence[int], problems: list[Problem]
    ) -> FloatArray:
        stamps = np.empty(len(cells), np.int64)
        bad = np.zeros(len(cells), np.bool_)
        fast = _fast_nanoseconds(cells)
        if fast is not None:
            stamps = fast
        else:
            for row, (cell, line) in enumerate(zip(cells, lines, strict=True)):
                stamp = _nanoseconds(cell)
                bad[row] = stamp is None
                stamps[row] = stamp or 0
                if stamp is None and str(cell).strip().lower() not in _EMPTY | {"None"}:
                    message = self._why_no_date(cell)
                    problems.append(Problem(message, file=self._file, line=line))
        if self._origin is None and not bad.all():
            self._origin = int(stamps[~bad][0])
        seconds: FloatArray = (stamps - (self._origin or 0)) / 1e9
        seconds[bad] = np.nan
        return seconds

    def _why_no_date(self, cell: object) -> str:
        try:
            number(cell, decimal_comma=self._decimal_comma)
        except ValueError:
            return f"must have an ISO 8601 date as time, got {cell!r}"
        return self._mixed(f"the number {cell!r}", "dates")

    def settle(
        self, times: FloatArray, lines: npt.NDArray[np.int64]
    ) -> tuple[FloatArray, list[Notice]]:
        """Return all times of the file [s], from 0 where the clock is absolute, and notices.

        Raises
        ------
        InputError
            If clocks are mixed, times negative or infinite, or evidently in another unit.
        """
        if self._dates:
            return times - times.min(), []
        self._refuse(np.isinf(times), lines, times, "must have finite times")
        absolute = times >= EPOCH_S
        if absolute.any() and not absolute.all():
            odd = absolute != absolute[0]
            row = int(np.argmax(odd))
            self._first_line = int(lines[0])
            kinds = ("times since an epoch", "times since the start")
            message = self._mixed(f"{self._raw(times[row])}", kinds[0 if absolute[0] else 1])
            raise InputError(Problem(message, file=self._file, line=int(lines[row])))
        if absolute.any():
            self._refuse_absurd(times, lines)
            return times - times.min(), self._doubts(times)
        negative = times < 0
        self._refuse(negative, lines, times, "must have times >= 0")
        return times, self._doubts(times)

    def _raw(self, seconds: float) -> str:
        return f"{seconds / SECONDS[self._layout.unit]:.15g}"

    def _refuse(
        self, bad: npt.NDArray[np.bool_], lines: npt.NDArray[np.int64], times: FloatArray, rule: str
    ) -> None:
        if bad.any():
            raise InputError(
                [
                    Problem(f"{rule}, got {self._raw(times[row])}", file=self._file, line=line)
                    for row in np.flatnonzero(bad)[:20]
                    for line in [int(lines[row])]
                ]
            )

    def _refuse_absurd(self, times: FloatArray, lines: npt.NDArray[np.int64]) -> None:
        row = int(np.argmax(times))
        if times[row] < ABSURD_S:
            return
        units = list(SECONDS)
        likely = next(
            (unit for unit in units if EPOCH_S <= times[row] * SECONDS[unit] < ABSURD_S), None
        )
        message = f"must have times in {self._layout.unit}, got {self._raw(times[row])}"
        if likely and self._layout.unit == "s":
            message += f", which looks like {likely} since 1970; write columns: {{unit: {likely}}}"
        else:
            message += ", which is beyond the year 5138; check the unit"
        raise InputError(Problem(message, file=self._file, line=int(lines[row])))

    def _doubts(self, times: FloatArray) -> list[Notice]:
        """Return a notice where seconds look like milliseconds."""
        first, last = float(times.min()), float(times.max())
        span = last - first
        gap = span / max(len(times) - 1, 1)
        notices = []
        if len(times) > 1 and max(0.1 * span, 10 * gap) < first < EPOCH_S:
            notices.append(
                Notice(
                    f"the first request of {self._file} comes after {first:g} s; the time before "
                    f"it counts unless you cut it with window: [{first:g} s, ...]"
                )
            )
        whole = bool((times == np.floor(times)).all())
        slow = len(times) >= 20 and whole and gap > _LONG_GAP_S
        if not self._layout.said and (span > _LONG_SPAN_S or slow):
            notices.append(
                Notice(
                    f"times of {self._file} are taken as seconds: {span / 86400:,.1f} days at "
                    f"{1 / gap:.3g} requests/s; if they are milliseconds, "
                    "write columns: {unit: ms}"
                )
            )
        return notices


def _fast_nanoseconds(cells: Sequence[Any]) -> npt.NDArray[np.int64] | None:
    """Return plain dates as ns since 1970, or None if any is not plain."""
    try:
        if all(map(_DATE.fullmatch, cells)):
            return np.array(cells, "datetime64[ns]").view(np.int64)
    except (ValueError, TypeError):
        pass
    return None


def _nanoseconds(cell: object) -> int | None:
    """Return an ISO 8601 date and time as ns since 1970 (UTC unless it says otherwise), or None."""
    if not isinstance(cell, str) or not re.match(r"\s*(19|20)\d\d-?\d\d-?\d\d[ T]", cell):
        return None
    plain = _fast_nanoseconds([cell.strip()])
    if plain is not None:
        return int(plain[0])
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return elapsed // timedelta(microseconds=1) * 1000
