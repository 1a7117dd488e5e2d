"""A comparison of predictions with measurements, as a table or as JSON."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from planner import __version__
from planner.report.numbers import NOTHING, UNBOUNDED, milliseconds, percent, rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.validation.compare import Comparison, Row

#: Columns of the table.
WIDTH = 80


def render_comparisons(
    comparisons: Sequence[Comparison], facts: Mapping[str, str], tolerance: float | None = None
) -> str:
    """Return a table of every comparison, and what was run below it.

    Parameters
    ----------
    comparisons : sequence of Comparison
        In the order to show.
    facts : mapping of str to str
        What to say below, by name.
    tolerance : float, optional
        Error that is allowed, if any is asked about. [-]
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("load", no_wrap=True)
    both = any(row.by_profile is not None for each in comparisons for row in each.rows)
    columns = [*(["by profile"] if both else []), "predicted", "measured", "spread", "error"]
    for name in columns if tolerance is None else [*columns, "allowed", ""]:
        table.add_column(name, justify="right", no_wrap=True)
    for comparison in comparisons:
        label = comparison.label
        if math.isfinite(comparison.rate):
            label += f", {rate(comparison.rate)} req/s"
        table.add_row(label)
        for row in comparison.rows:
            table.add_row(*_cells(row, tolerance, both=both))
    below = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    below.show_header = False
    below.add_column(no_wrap=True)
    below.add_column(overflow="fold")
    for name, said in facts.items():
        below.add_row(name, Text(said))
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, no_color=True, highlight=False, markup=False)
    if console.measure(table, options=console.options.update(width=2 * WIDTH)).maximum > WIDTH:
        table.padding = (0, 1, 0, 0)
    console.print(table, Text(), below)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _cells(row: Row, tolerance: float | None, *, both: bool) -> list[str]:
    """Return name, values, spread and error of a row; with a tolerance also the verdict."""
    if row.unit == "s":
        name, show = f"  {row.metric} {row.statistic}, ms", _milliseconds
    else:
        name, show = f"  {row.metric}/s", _rate
    error = NOTHING if math.isnan(row.error) else f"{100 * row.error:+.1f} %"
    spread = NOTHING if math.isnan(row.spread) else percent(row.spread, 1)
    by_profile = NOTHING if row.by_profile is None else show(row.by_profile)
    cells = [name, *([by_profile] if both else [])]
    cells += [show(row.predicted), show(row.measured), spread, error]
    if tolerance is None:
        return cells
    return [*cells, percent(row.allowed(tolerance)), "" if row.met(tolerance) else "missed"]


def _milliseconds(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return UNBOUNDED if math.isinf(value) else milliseconds(value)


def _rate(value: float) -> str:
    return NOTHING if math.isnan(value) else rate(value)


def comparisons_json(
    comparisons: Sequence[Comparison],
    facts: Mapping[str, str],
    tolerance: float | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Return the JSON values of ``planner validate --json``; undefined numbers are None."""
    return {
        "schema_version": 1,
        "tool_version": __version__,
        "command": command,
        "facts": dict(facts),
        "tolerance": tolerance,
        "comparisons": [_comparison(each, tolerance) for each in comparisons],
    }


def _comparison(comparison: Comparison, tolerance: float | None) -> dict[str, Any]:
    return {
        "label": comparison.label,
        "requests_per_s": _finite(comparison.rate),
        "requests": comparison.requests,
        "rows": [_row(row, tolerance) for row in comparison.rows],
    }


def _row(row: Row, tolerance: float | None) -> dict[str, Any]:
    return {
        "metric": row.metric,
        "statistic": row.statistic or None,
        "unit": row.unit,
        "predicted": _finite(row.predicted),
        "by_profile": None if row.by_profile is None else _finite(row.by_profile),
        "measured": _finite(row.measured),
        "runs": [_finite(run) for run in row.runs],
        "predicted_runs": [_finite(each) for each in row.of_runs],
        "spread": _finite(row.spread),
        "error": _finite(row.error),
        "met": None if tolerance is None else row.met(tolerance),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
