"""Tables in text files, in whatever dialect: CSV with any usual separator, or JSON Lines.

A :class:`Table` gives its header and then chunks of cells with their line numbers. What the
cells mean is for the callers to say.
"""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planner.errors import InputError
from planner.traffic.textfile import MAX_SIZE, Lines, open_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from planner.errors import Problem

#: Rows converted at a time.
CHUNK = 50_000
#: Problems reported at once for one file.
MAX_PROBLEMS = 20
_SEPARATORS = (",", ";", "\t", "|")

Row = tuple[int, "Sequence[Any]"]


@dataclass(frozen=True)
class Table:
    """An open table.

    Parameters
    ----------
    name : str
        The file as the user named it.
    header : tuple of str
        Names of the columns, without surrounding blanks.
    header_line : int
        Line of the header.
    decimal_comma : bool
        Whether a comma may be the decimal separator, since another character parts the columns.
    lines : Lines
        The text after the header.
    rows : iterator
        Line number and cells of each row, blank lines left out; JSON values as they are, None
        where a key is missing.
    """

    name: str
    header: tuple[str, ...]
    header_line: int
    decimal_comma: bool
    lines: Lines
    rows: Iterator[Row]

    def chunks(self, columns: Sequence[int]) -> Iterator[tuple[list[int], list[tuple[Any, ...]]]]:
        """Yield, for :data:`CHUNK` rows at a time, line numbers and the cells of each column.

        Parameters
        ----------
        columns : sequence of int
            Which columns, as indices into the header.

        Raises
        ------
        InputError
            If a row has another number of cells than the header.
        """
        pick = itemgetter(*columns, columns[0])  # one more, so that one column gives tuples too
        while chunk := list(islice(self.rows, CHUNK)):
            lines, rows = zip(*chunk, strict=True)
            cells = list(zip(*map(pick, rows), strict=True))
            yield list(lines), cells[:-1]


@contextmanager
def open_table(base: Path, name: str, max_size: float = MAX_SIZE) -> Iterator[Table]:
    """Open a CSV or JSON Lines file; parameters and errors as of ``open_lines``.

    Raises
    ------
    InputError
        If it has no header or a column name twice, here; if a row is malformed, while reading.
    """
    with open_lines(base, name, max_size) as lines:
        first = next((line for line in lines if line.strip()), "")
        if not first:
            lines.fail("must hold a header and rows, got only blank lines")
        start = first.lstrip()
        if start.startswith("["):
            lines.fail("must be JSON Lines, one object per line, got a JSON array; try jq -c '.[]'")
        yield (_json_table if start.startswith("{") else _csv_table)(lines, first)


def number(cell: object, *, decimal_comma: bool) -> float:
    """Return a cell as a float, NaN where it is empty or null.

    Raises
    ------
    ValueError
        If it is no number.
    """
    if cell is None:
        return float("nan")
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise ValueError(f"{cell!r} is no number")
    if isinstance(cell, str):
        text = cell.strip()
        if text.lower() in {"", "na", "n/a", "null", "none"}:
            return float("nan")
        return float(text.replace(",", ".") if decimal_comma else text)
    try:
        return float(cell)
    except OverflowError:
        return float("inf")


def numbers(cells: Sequence[Any], *, decimal_comma: bool) -> npt.NDArray[np.float64] | None:
    """Return cells as floats, or None if one of them is no number (see :func:`number`)."""
    try:
        if not any(map(_is_bool, cells)):
            return np.fromiter(map(float, cells), np.float64, len(cells))
    except (ValueError, TypeError, OverflowError):
        pass
    try:
        parsed = (number(cell, decimal_comma=decimal_comma) for cell in cells)
        return np.fromiter(parsed, np.float64, len(cells))
    except ValueError:
        return None


def _is_bool(cell: object) -> bool:
    return cell is True or cell is False


def fail_all(problems: Sequence[Problem]) -> None:
    """Raise an InputError with the first :data:`MAX_PROBLEMS` problems, if there are any."""
    if problems:
        raise InputError(problems[:MAX_PROBLEMS])


def _csv_table(lines: Lines, first: str) -> Table:
    separator = max(_SEPARATORS, key=lambda mark: len(_split(first, mark)))
    offset = lines.number - 1  # the reader counts from the header
    reader = csv.reader(chain([first], lines), delimiter=separator, strict=True)
    header = tuple(cell.strip() for cell in _guarded(reader, lines, offset, first))
    header_line = offset + reader.line_num
    _check_header(lines, header, header_line)

    def rows() -> Iterator[Row]:
        width = len(header)
        try:
            for row in reader:
                if len(row) == width:
                    yield offset + reader.line_num, row
                elif row and (len(row) > 1 or row[0].strip()):
                    lines.fail(
                        f"must have {width} cells as the header has, got {len(row)}",
                        offset + reader.line_num,
                    )
        except csv.Error as error:
            raise _csv_error(lines, error) from None

    return Table(lines.name, header, header_line, separator != ",", lines, rows())


def _split(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _guarded(reader: Any, lines: Lines, offset: int, first: str) -> list[str]:  # noqa: ANN401, ARG001
    try:
        cells: list[str] = next(reader)
    except csv.Error as error:
        raise _csv_error(lines, error) from None
    return cells


def _csv_error(lines: Lines, error: csv.Error) -> InputError:
    return lines.error(f"must be CSV, got a malformed row ({error})")


def _check_header(lines: Lines, header: Sequence[str], line: int) -> None:
    seen: dict[str, int] = {}
    for column, name in enumerate(header, 1):
        if name in seen and name:
            lines.fail(
                f"must have each column name once, got {name!r} in columns {seen[name]} and "
                f"{column}; rename one",
                line,
            )
        seen[name] = column


def _json_table(lines: Lines, first: str) -> Table:
    start = lines.number
    pairs = _parse(lines, first, keep_pairs=True)
    header = tuple(str(key).strip() for key, _ in pairs)
    _check_header(lines, header, start)
    keys = tuple(key for key, _ in pairs)

    def rows() -> Iterator[Row]:
        for line in chain([first], lines):
            if line.strip():
                entry = _parse(lines, line)
                yield lines.number, [entry.get(key) for key in keys]

    return Table(lines.name, header, start, False, lines, rows())


def _parse(lines: Lines, line: str, *, keep_pairs: bool = False) -> Any:  # noqa: ANN401 - JSON
    try:
        value = json.loads(line, object_pairs_hook=list if keep_pairs else None)
    except (ValueError, RecursionError) as error:
        raise lines.error(f"must be one JSON object per line, got {error}") from None
    if not isinstance(value, list if keep_pairs else dict):
        lines.fail(f"must be one JSON object per line, got {type(value).__name__}")
    return value
