"""Charts of a sweep: load curves with their knees, cost against latency with its front."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import tradeoff as charts
from planner.report.document import Chart
from planner.report.pages.curves import LEAST_POINTS, METRICS, STATISTICS, load_chart
from planner.report.pages.objectives import bounds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from planner.report.inputs.swept import Axis, Swept
    from planner.report.inputs.swept import Cell as Point

#: Most settings in one chart, and most whose p95 and p99 stand in the same one.
MOST_CURVES, MOST_TOGETHER = 4, 2


def shown(value: object) -> str:
    """Return a varied value as a reader sees it."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def axis_names(axes: Sequence[Axis]) -> list[str]:
    """Return a name for each axis: the end of its key where that tells it apart."""
    ends = [axis.key.rpartition(".")[2] for axis in axes]
    return [end if ends.count(end) == 1 else a.key for end, a in zip(ends, axes, strict=True)]


def axis_labels(axes: Sequence[Axis]) -> list[str]:
    """Return a name for each axis, with its unit."""
    named = zip(axis_names(axes), axes, strict=True)
    return [f"{name}, {axis.unit}" if axis.unit else name for name, axis in named]


def values_of(found: Swept, cell: Point) -> str:
    """Return the varied values of a cell in words."""
    pairs = [(axis, shown(cell.values.get(axis.key))) for axis in found.vary]
    return ", ".join(
        f"{name} {value} {axis.unit}" if axis.unit else f"{name} {value}"
        for name, (axis, value) in zip(axis_names(found.vary), pairs, strict=True)
    )


def load_charts(found: Swept) -> Iterator[Chart]:
    """Yield latencies against the rate of requests, one curve for each setting of the rest."""
    rates = {cell.offered_requests_per_s for cell in found.cells} - {None}
    if len(rates) < LEAST_POINTS:
        return
    outcomes = [each for cell in found.cells for each in cell.objectives or () if not each.class_]
    at = charts.At(today=today(found))
    for metric in METRICS[:2]:
        bounds = bounds_of(outcomes, metric)
        by = {statistic: _curves(found, metric, statistic) for statistic in STATISTICS}
        if max(map(len, by.values())) <= MOST_TOGETHER:
            curves = [
                charts.LoadCurve(f"{statistic} {curve.label}".strip(), curve.points)
                for statistic, several in by.items()
                for curve in several
            ]
            by = {" and ".join(STATISTICS): curves}
        for what, curves in by.items():
            if curves:
                name, title = f"load_{metric}_{what}", f"{metric} {what} against load"
                name = name.replace(" ", "_")
                if len(curves) > len(drawn := curves[:MOST_CURVES]):
                    title += f", {len(drawn)} of {len(curves)} settings"
                yield load_chart(name, title, drawn, bounds=bounds, at=at)


def today(found: Swept) -> float | None:
    """Return the rate of requests of the scenario as it is; None where it is not known [1/s].

    As a cell has it that is the scenario as it is; where none is, as the scenario says.
    """
    for cell in found.cells:
        values = [
            axis.values[axis.today] if axis.today is not None and axis.today < len(axis.values)
            else None
            for axis in found.vary
        ]  # fmt: skip
        kept = [
            cell.values.get(axis.key) == value
            for k, (axis, value) in enumerate(zip(found.vary, values, strict=True))
            if value is not None or _changes_rate(found, k)
        ]
        if all(kept):
            return cell.offered_requests_per_s
    return found.requests_per_s


def _curves(found: Swept, metric: str, statistic: str) -> list[charts.LoadCurve]:
    """Return a latency by rate for the settings with three rates or more."""
    by_rest: dict[str, dict[float, float]] = {}
    for cell in found.cells:
        x, y = cell.offered_requests_per_s, cell.value(metric, statistic)
        if x is None or y is None or y <= 0:
            continue
        for k in range(len(found.vary)):
            if _changes_rate(found, k):
                rest = [axis for j, axis in enumerate(found.vary) if j != k]
                words = [f"{axis.key.rpartition('.')[2]} {shown(cell.values.get(axis.key))}"
                         for axis in rest]  # fmt: skip
                by_rest.setdefault(", ".join(words), {})[x] = y
    return [
        charts.LoadCurve(label, sorted(points.items()))
        for label, points in by_rest.items()
        if len(points) >= LEAST_POINTS
    ]


def _changes_rate(found: Swept, k: int) -> bool:
    """Return whether an axis changes how many requests come: the first cells along it differ."""
    step = 1
    for axis in found.vary[k + 1 :]:
        step *= len(axis.values)
    along = found.cells[: step * len(found.vary[k].values) : step]
    rates = [cell.offered_requests_per_s for cell in along if cell.offered_requests_per_s]
    return len(rates) > 1 and max(rates) > 1.05 * min(rates)


def choice_charts(found: Swept) -> Iterator[Chart]:
    """Yield cost against latency, of the cells with the highest rate that any of them meets."""
    good = [cell.offered_requests_per_s or 0.0 for cell in found.cells if cell.objectives_met]
    top = max(good, default=None)
    cells = [
        cell
        for cell in found.cells
        if top is None or abs((cell.offered_requests_per_s or 0.0) - top) <= 1e-3 * top
    ]
    known = [(cell, cell.usd_per_hour, cell.value("ttft", "p95")) for cell in cells]
    points = [(cell, cost, y) for cell, cost, y in known if cost is not None and y]
    if len({round(cost, 2) for _, cost, _ in points}) < 2:  # to the cent, as readers see it
        return
    front = charts.front_of([(cost, y) for _, cost, y in points])
    drawn = [
        charts.Choice(cost, y, bool(cell.objectives_met), on)
        for (cell, cost, y), on in zip(points, front, strict=True)
    ]
    names = [values_of(found, cell) for (cell, _, _), on in zip(points, front, strict=True) if on]
    at = f" at {top:.3g} req/s" if top else ""
    yield Chart(
        name="cost_latency",
        title=f"Cost and ttft p95{at}",
        description=f"Each cell by cost per hour and latency. On the front: {'; '.join(names)}.",
        draw=partial(charts.choices, points=drawn, latency="ttft p95"),
    )
