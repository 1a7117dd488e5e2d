"""Latency against load: the chart and the table that reports of several kinds share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import tradeoff as charts
from planner.report.document import Cell, Chart, Column, Table
from planner.report.numbers import UNBOUNDED, only_milliseconds, percent, rate
from planner.report.pages.latency import MEANINGS
from planner.report.pages.objectives import bounds_of, parsed
from planner.report.pages.verdicts import verdict
from planner.scenario.objectives import LatencyObjective

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from planner.report.inputs.limited import LoadPoint

#: Latencies that are drawn, and their statistics.
METRICS, STATISTICS = ("ttft", "tpot", "e2e"), ("p95", "p99")
#: Fewer points than these make no curve.
LEAST_POINTS = 3


def load_chart(
    name: str,
    title: str,
    curves: Sequence[charts.LoadCurve],
    *,
    bounds: Sequence[tuple[str, float]] = (),
    at: charts.At | None = None,
) -> Chart:
    """Return latencies against load, with the knee of each in words.

    Parameters
    ----------
    name, title : str
        Of the chart.
    curves : sequence of LoadCurve
        What to draw.
    bounds : sequence of (str, float)
        Objectives and their bounds. [s]
    at : At, optional
        Loads to mark.
    """
    at = at or charts.At()
    knees = [(curve.label, charts.knee(curve.points)) for curve in curves]
    turns = "; ".join(f"{label} turns up at {x:.3g}" for label, x in knees if x is not None)
    marked = "".join(f" {text}." for text, _ in at.marks())
    what = "number of clients" if at.unit == "clients" else "requests per second"
    return Chart(
        name=name,
        title=title,
        description=f"Latency by {what}. {turns or 'No knee within these loads'}.{marked}",
        draw=partial(charts.load, curves=curves, bounds=bounds, at=at),
        height=0.7,
    )


def point_charts(points: Sequence[LoadPoint], at: charts.At) -> Iterator[Chart]:
    """Yield, for each latency, p95, p99 and what objectives ask for against load.

    Parameters
    ----------
    points : sequence of LoadPoint
        By increasing load.
    at : At
        Loads to mark.
    """
    outcomes = [each for point in points for each in point.at.objectives or ()]
    for metric in METRICS:
        curves = [
            charts.LoadCurve(f"{metric} {statistic}", found)
            for statistic in STATISTICS
            if (found := _statistic(points, metric, statistic))
        ]
        curves += _others(points, metric)
        if curves:
            title = f"{metric} against load: {MEANINGS[metric]}"
            bounds = bounds_of(outcomes, metric)
            yield load_chart(f"load_{metric}", title, curves, bounds=bounds, at=at)


def _statistic(points: Sequence[LoadPoint], metric: str, name: str) -> list[tuple[float, float]]:
    """Return a statistic by load; empty if too few points have it."""
    known = [(each.value, each.at.value(metric, name)) for each in points]
    found = [(x, y) for x, y in known if y is not None and y > 0]
    return found if len(found) >= LEAST_POINTS else []


def _others(points: Sequence[LoadPoint], metric: str) -> list[charts.LoadCurve]:
    """Return what objectives are about beside p95 and p99 of all requests."""
    by: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        for each in point.at.objectives or ():
            objective = parsed(each)
            if not isinstance(objective, LatencyObjective) or objective.metric != metric:
                continue
            what = objective.text.partition("<")[0].replace(":", " ")
            if each.value and not (each.class_ is None and what.split()[-1] in STATISTICS):
                label = f"{each.class_}: {what}" if each.class_ else what
                by.setdefault(label, []).append((point.value, each.value))
    return [charts.LoadCurve(k, v) for k, v in by.items() if len(v) >= LEAST_POINTS]


def points_table(points: Sequence[LoadPoint], unit: str) -> Table:
    """Return one row a load."""
    columns = (
        Column(unit, "load_value"),
        Column("of what is sustained", "load"),
        Column("objectives", "objectives", numeric=False),
        *(Column(f"{m} {s}, ms", f"{m}_{s}_s") for m in METRICS for s in STATISTICS),
    )
    rows = []
    for each in points:
        values = [each.at.value(metric, name) for metric in METRICS for name in STATISTICS]
        head = (Cell(rate(each.value), each.value), Cell(percent(each.at.load), each.at.load))
        cells = [Cell(UNBOUNDED if v is None else only_milliseconds(v), v) for v in values]
        rows.append((*head, verdict(each.at), *cells))
    note = "*: no steady state, or not known."
    return Table("loads", f"The {len(rows)} loads simulated", columns, tuple(rows), note, True)
