"""The table of measured points: a CSV with one row per load that an engine was put under."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError, Problem, did_you_mean
from planner.traffic.textfile import open_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Columns without which a row says nothing.
REQUIRED = ("model", "engine", "load_type", "load")
#: Columns of text.
TEXTS = (
    "id", "dataset", "kind", "model", "catalogue_model", "gpu", "catalogue_device", "dtype",
    "engine", "engine_version", "len_note", "load_type", "measured_date", "notes", "source",
)  # fmt: skip
#: Columns of numbers.
NUMBERS = (
    "n_gpus", "tp", "pp", "dp", "ep", "isl", "osl", "load", "n_requests", "tput_req_s",
    "tput_out_tok_s", "tput_total_tok_s", "ttft_ms", "tpot_ms", "e2e_ms",
)  # fmt: skip
#: Ways a load can be given.
LOAD_TYPES = ("concurrency", "qps", "poisson_qps", "batch", "offline")
#: Most rows.
MAX_POINTS = 100_000


@dataclass(frozen=True)
class Point:
    """A row: what was measured, on what, under which load.

    Parameters
    ----------
    row : int
        Number of its line.
    texts : dict of str to str
        By column, see :data:`TEXTS`; empty where the table has nothing.
    numbers : dict of str to float
        By column, see :data:`NUMBERS`; NaN where the table has nothing.
    """

    row: int
    texts: Mapping[str, str]
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its id, or the number of its line."""
        return self.texts["id"] or f"line {self.row}"

    @property
    def model(self) -> str:
        """The model's name in the catalogue, or else as its source calls it."""
        return self.texts["catalogue_model"] or self.texts["model"]

    @property
    def device(self) -> str:
        """The device's name in the catalogue, or else as its source calls it."""
        return self.texts["catalogue_device"] or self.texts["gpu"]

    def number(self, name: str) -> float | None:
        """Return a number, or None where the table has none."""
        value = self.numbers[name]
        return None if math.isnan(value) else value


def read_points(path: Path) -> list[Point]:
    """Read a table of points, plain or gzipped.

    Raises
    ------
    InputError
        If it is no such table, or a row has no number where one belongs; names file and line.
    """
    with open_lines(Path(), str(path)) as lines:
        reader = csv.DictReader(lines, restkey="", restval="")
        _check_columns(reader.fieldnames or (), str(path))
        points: list[Point] = []
        try:
            for cells in reader:
                if len(points) == MAX_POINTS:
                    raise InputError(
                        Problem(
                            f"must hold at most {MAX_POINTS:,} points, got more", file=str(path)
                        )
                    )
                points.append(_point(cells, reader.line_num, str(path)))
        except csv.Error as error:
            raise InputError(
                Problem(f"must be a table, got {error}", file=str(path), line=reader.line_num)
            ) from None
    if not points:
        raise InputError(Problem("must hold at least one point, got none", file=str(path)))
    return points


def _check_columns(names: object, file: str) -> None:
    """Do nothing if the columns are those of points."""
    found = [str(name) for name in names] if isinstance(names, list | tuple) else []
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        near = did_you_mean(missing[0], found)
        raise InputError(
            Problem(
                f"must have the columns {', '.join(REQUIRED)}, "
                f"got none called {missing[0]!r}{near}",
                file=file,
                line=1,
            )
        )


def _point(cells: Mapping[str, str], line: int, file: str) -> Point:
    texts = {name: (cells.get(name) or "").strip() for name in TEXTS}
    numbers = {name: _number(cells.get(name) or "", name, line, file) for name in NUMBERS}
    if texts["load_type"] not in LOAD_TYPES:
        near = did_you_mean(texts["load_type"], LOAD_TYPES)
        raise InputError(
            Problem(
                f"must be one of {', '.join(LOAD_TYPES)}, got {texts['load_type']!r:.40}{near}",
                "load_type",
                file,
                line,
            )
        )
    return Point(line, texts, numbers)


def _number(cell: str, name: str, line: int, file: str) -> float:
    """Return the number in a cell, NaN where it is empty."""
    text = cell.strip()
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise InputError(
            Problem(f"must be a number >= 0 or empty, got {text!r:.40}", name, file, line)
        )
    return value
