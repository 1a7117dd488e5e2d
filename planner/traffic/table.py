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
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planner.errors import InputError
from planner.traffic.textfile import MAX_SIZE, Lines, open_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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

    def chunks(self, columns: Sequence[int]) -> Iterator[tuple[list[int], list[list[Any]]]]:
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
        try:
            while chunk := list(islice(self.rows, CHUNK)):
                yield [line for line, _ in chunk], [[row[k] for _, row in chunk] for k in columns]
        except csv.Error as error:
            raise _csv_error(self.lines, error) from None


@contextmanager
def open_table(
    base: Path,
    name: str,
    max_size: float = MAX_SIZE,
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Iterator[Table]:
    """Open a CSV or JSON Lines file; parameters and errors as of ``open_lines``.

    Raises
    ------
    InputError
        If it has no header or a column name twice, here; if a row is malformed, while reading.
    """
    with open_lines(base, name, max_size, progress) as lines:
        text = iter(lines)
        first = next((line for line in text if line.strip()), "")
        if not first:
            lines.fail("must hold a header and rows, got only blank lines")
        start = first.lstrip()
        if start.startswith("["):
            lines.fail("must be JSON Lines, one object per line, got a JSON array; try jq -c '.[]'")
        yield (_json_table if start.startswith("{") else _csv_table)(lines, first, text)


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
        raise ValueError(f"{cell!r} is no number")  # noqa: TRY004 - as for text
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
        if bool not in set(map(type, cells)):
            return np.fromiter(map(float, cells), np.float64, len(cells))
    except (ValueError, TypeError, OverflowError):
        pass  # something is not plain
    try:
        parsed = (number(cell, decimal_comma=decimal_comma) for cell in cells)
        return np.fromiter(parsed, np.float64, len(cells))
    except ValueError:
        return None


def fail_all(problems: Sequence[Problem]) -> None:
    """Raise an InputError with the first :data:`MAX_PROBLEMS` problems, if there are any."""
    if problems:
        raise InputError(problems[:MAX_PROBLEMS])


def _csv_table(lines: Lines, first: str, text: Iterator[str]) -> Table:
    separator = max(_SEPARATORS, key=lambda mark: len(_split(first, mark)))
    offset = lines.number - 1  # the reader counts from the header
    reader = csv.reader(chain([first], text), delimiter=separator, strict=True)
    try:
        header = tuple(cell.strip() for cell in next(reader))
    except csv.Error as error:
        raise _csv_error(lines, error) from None
    header_line = offset + reader.line_num
    _check_header(lines, header, header_line)
    width = len(header)

    def is_row(cells: Sequence[str]) -> bool:
        if len(cells) != width and "".join(cells).strip():
            message = f"must have {width} cells as the header has, got {len(cells)}"
            lines.fail(message, offset + reader.line_num)
        return len(cells) == width

    rows = ((offset + reader.line_num, cells) for cells in reader if is_row(cells))
    return Table(lines.name, header, header_line, separator != ",", lines, rows)


def _split(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


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


def _json_table(lines: Lines, first: str, text: Iterator[str]) -> Table:
    start = lines.number
    pairs = _parse(lines, first, keep_pairs=True)
    header = tuple(str(key).strip() for key, _ in pairs)
    _check_header(lines, header, start)
    keys = tuple(key for key, _ in pairs)

    def rows() -> Iterator[Row]:
        for line in chain([first], text):
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
