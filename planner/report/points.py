"""Predictions of measured points and their errors, as tables or as JSON values."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from planner import __version__
from planner.report.numbers import duration, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.validation.points.compare import Errors, Outcome, Row

#: Columns of the output, and rows shown of the worst.
WIDTH, WORST = 100, 10


def render_points(outcome: Outcome, by: str | None = None) -> str:
    """Return the errors of all metrics, by group if asked for, and the worst rows.

    Parameters
    ----------
    outcome : Outcome
        Predictions of a table.
    by : str, optional
        Kind of group.
    """
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, no_color=True, highlight=False, markup=False)
    unsupported = outcome.points - outcome.predicted
    console.print(
        f"{outcome.points:,} points · {outcome.predicted:,} predicted · {unsupported:,} unsupported"
    )
    console.print(Text())
    console.print(_errors({"all": outcome.errors()} | (outcome.by(by) if by else {})))
    console.print(Text())
    console.print(_worst(outcome.worst(WORST)))
    if outcome.unsupported:
        console.print(Text())
        console.print(_reasons(outcome.unsupported))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for k, name in enumerate(columns):
        table.add_column(name, justify="left" if k < left else "right", no_wrap=k >= left)
    return table


def _errors(groups: Mapping[str, Mapping[str, Errors]]) -> Table:
    """Return a table of errors: one line per group and metric."""
    table = _table("", "metric", "n", "MAPE", "median", "bias", left=2)
    for group, metrics in groups.items():
        for k, (metric, each) in enumerate(metrics.items()):
            table.add_row(
                Text("" if k else group),
                metric,
                f"{each.n:,}",
                percent(each.mape, 1),
                percent(each.median_ape, 1),
                f"{100 * each.bias:+.1f} %",
            )
    return table


def _worst(rows: list[Row]) -> Table:
    """Return a table of rows."""
    table = _table("worst", "metric", "measured", "predicted", left=2)
    for row in rows:
        table.add_row(
            Text(row.id),
            row.metric,
            _shown(row.metric, row.measured),
            _shown(row.metric, row.predicted),
        )
    return table


def _shown(metric: str, value: float) -> str:
    return f"{value:,.0f} tok/s" if metric == "throughput" else duration(value)


def _reasons(unsupported: Mapping[str, int]) -> Table:
    """Return a table of what was not simulated, and why."""
    table = _table("unsupported", "points")
    for reason, n in unsupported.items():
        table.add_row(Text(reason), f"{n:,}")
    return table


def points_json(outcome: Outcome, by: str | None = None, command: str = "") -> dict[str, Any]:
    """Return the JSON values of ``planner validate POINTS --json``.

    Parameters
    ----------
    outcome : Outcome
        Predictions of a table.
    by : str, optional
        Kind of group.
    command : str
        That made them.
    """
    return {
        "schema_version": 1,
        "tool_version": __version__,
        "command": command,
        "points": outcome.points,
        "predicted": outcome.predicted,
        "unsupported": dict(outcome.unsupported),
        "metrics": _metrics(outcome.errors()),
        "by": {group: _metrics(errors) for group, errors in outcome.by(by).items()} if by else {},
        "worst": [
            {
                "id": row.id,
                "metric": row.metric,
                "measured": row.measured,
                "predicted": row.predicted,
            }
            for row in outcome.worst(WORST)
        ],
        "rows": _columns(outcome.rows),
    }


def _columns(rows: Sequence[Row]) -> dict[str, Any]:
    """Return every prediction, column by column."""
    kinds = rows[0].groups if rows else ()
    return {
        "id": [row.id for row in rows],
        "metric": [row.metric for row in rows],
        "measured": [row.measured for row in rows],
        "predicted": [row.predicted for row in rows],
        "groups": {kind: [row.groups[kind] for row in rows] for kind in kinds},
    }


def _metrics(errors: Mapping[str, Errors]) -> dict[str, dict[str, float | int]]:
    return {
        metric: {
            "n": each.n,
            "mape": each.mape,
            "median_ape": each.median_ape,
            "bias": each.bias,
        }
        for metric, each in errors.items()
    }
