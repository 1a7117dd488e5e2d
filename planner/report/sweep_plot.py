"""A sweep drawn: each latency over one varied key, a line for each value of the others."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.errors import InputError
from planner.report.charts.style import (
    DASHES,
    PAPER,
    SERIES,
    milliseconds_axis,
    styled,
)
from planner.report.plain import plain
from planner.report.sweep import axis_labels, shown_latencies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes

    from planner.planning.sweep import Sweep
    from planner.report.charts.drawing import Drawing

#: Formats, by the end of the file's name.
FORMATS = ("svg", "png", "pdf")
#: A bound further above the curves than this factor would press them flat.
MOST_ROOM = 3
#: Most lines with an entry in the legend.
MOST_NAMED = 12


class _Line(NamedTuple):
    """The cells of one line: its name and the cell of each position on the axis."""

    name: str
    cells: list[tuple[float, dict[str, Any]]]


def plot_format(path: Path) -> str:
    """Return the format that a file's name asks for.

    Raises
    ------
    InputError
        If it is none of :data:`FORMATS`.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        known = ", ".join(f".{each}" for each in FORMATS)
        raise InputError(f"--plot: must be a file whose name ends in {known}, got {str(path)!r}")
    return suffix


def plot_sweep(sweep: Sweep, suffix: str) -> bytes:
    """Return a picture: one panel for each latency, and one for the load.

    The key with the most numbers is the horizontal axis; each combination of the others is a line.
    Where there is no steady state, or nothing could be simulated, the line has a gap. A band is
    the confidence interval; a dashed line the bound of an objective.

    Parameters
    ----------
    sweep : Sweep
        What to draw.
    suffix : str
        One of :data:`FORMATS`. The same sweep gives the same bytes.
    """
    drawn, out = sweep_drawing(sweep), io.BytesIO()
    with styled():
        dated = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[suffix]
        drawn.savefig(out, format=suffix, dpi=120, metadata=dated, facecolor=PAPER)
    return out.getvalue()


def sweep_drawing(sweep: Sweep) -> Drawing:
    """Return the same picture as a figure that a notebook shows."""
    with styled():
        drawn = _figure(sweep)
    over = axis_labels(sweep.axes)[_horizontal(sweep)]
    drawn.alternative = f"{plain(sweep.title)}: latencies and load over {over}"
    return drawn


def _figure(sweep: Sweep) -> Drawing:
    from planner.report.charts.drawing import Drawing  # noqa: PLC0415 - start-up

    latencies, across = _known(sweep), _horizontal(sweep)
    lines = list(_lines(sweep, across))
    columns = min(2, len(latencies) + 1)
    rows = math.ceil((len(latencies) + 1) / columns)
    figure = Drawing(figsize=(5.2 * columns, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for line, look in zip(lines, _looks(len(lines)), strict=True):
        for panel, (metric, statistic) in zip(panels, latencies, strict=False):
            _draw_latency(panel, line, f"{metric}_s", statistic, look)
        points = [(at, cell["load"]) for at, cell in line.cells]
        panels[len(latencies)].plot(*_columns(points), marker=".", label=line.name, **look)
    for panel, (metric, statistic) in zip(panels, latencies, strict=False):
        _bound(panel, sweep, metric, statistic)
        panel.set_ylabel(f"{metric} {statistic}, ms")
    panels[len(latencies)].set_ylabel("load, share of saturation")
    _label(panels, sweep, across, used=len(latencies) + 1)
    if 1 < len(lines) <= MOST_NAMED:
        handles, names = panels[len(latencies)].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4)
    figure.suptitle(plain(sweep.title))
    return figure


def _known(sweep: Sweep) -> list[tuple[str, str]]:
    """Return the latencies that some cell has: stages have no time per token."""
    return [
        (metric, statistic)
        for metric, statistic in shown_latencies(sweep)
        if any(
            ((cell["metrics"] or {}).get(f"{metric}_s", {}).get(statistic) or {}).get("value")
            is not None
            for cell in sweep.cells
        )
    ]


def _looks(lines: int) -> list[dict[str, Any]]:
    """Return colour and dashes of each line; many lines are shades of one scale."""
    if lines <= MOST_NAMED:
        looks = [(SERIES[k % len(SERIES)], DASHES[k // len(SERIES)]) for k in range(lines)]
        return [{"color": colour, "linestyle": dashes} for colour, dashes in looks]
    from matplotlib import colormaps  # noqa: PLC0415 - start-up

    return [{"color": colormaps["viridis"](k / (lines - 1))} for k in range(lines)]


def _horizontal(sweep: Sweep) -> int:
    """Return the number of the axis to draw across: the longest of those with numbers, if any."""
    sizes = [(axis.numeric, len(axis.choices)) for axis in sweep.axes]
    return max(range(len(sizes)), key=lambda k: sizes[k])


def _lines(sweep: Sweep, across: int) -> Iterator[_Line]:
    """Yield the lines, each the cells that differ in the horizontal axis alone."""
    labels = [label.partition(", ")[::2] for label in axis_labels(sweep.axes)]
    axis = sweep.axes[across]
    position = {
        repr(each.data): float(each.data) if axis.numeric else float(k)
        for k, each in enumerate(axis.choices)
    }
    groups: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for cell in sweep.cells:
        values = list(cell["values"].values())
        name = " · ".join(
            f"{label} {value} {unit}".rstrip()
            for k, ((label, unit), value) in enumerate(zip(labels, values, strict=True))
            if k != across
        )
        groups.setdefault(name, []).append((position[repr(values[across])], cell))
    for name, cells in groups.items():
        yield _Line(plain(name), sorted(cells, key=lambda each: each[0]))


def _draw_latency(
    panel: Axes, line: _Line, metric: str, statistic: str, look: dict[str, Any]
) -> None:
    ends: dict[str, list[tuple[float, float | None]]] = {"value": [], "low": [], "high": []}
    for at, cell in line.cells:
        estimate = (cell["metrics"] or {}).get(metric, {}).get(statistic) or {}
        for name, points in ends.items():
            value = estimate.get(name)
            points.append((at, None if value is None else 1000 * value))
    where, low = _columns(ends["low"])
    high = _columns(ends["high"])[1]
    panel.fill_between(where, low, high, color=look["color"], alpha=0.15, linewidth=0)
    panel.plot(*_columns(ends["value"]), marker=".", **look)


def _columns(points: list[tuple[float, float | None]]) -> tuple[list[float], list[float]]:
    """Return positions and values, NaN where there is none: a gap in the line."""
    return [at for at, _ in points], [math.nan if each is None else each for _, each in points]


def _bound(panel: Axes, sweep: Sweep, metric: str, statistic: str) -> None:
    """Draw the bounds that objectives of all requests put on a latency; one far above is named."""
    bounds = {
        1000 * each["bound"]
        for cell in sweep.cells
        for each in cell["objectives"] or ()
        if each["class"] is None and each["objective"].startswith(f"{metric}:{statistic}<")
    }
    milliseconds_axis(panel, "y")
    top = panel.get_ylim()[1]
    for bound in sorted(bounds):
        if bound <= MOST_ROOM * top:
            panel.axhline(bound, color="0.4", linestyle="--", linewidth=1)
        else:
            panel.set_title(f"bound {bound:,.0f} ms, far above", fontsize="small", color="0.4")


def _label(panels: Any, sweep: Sweep, across: int, used: int) -> None:  # noqa: ANN401 - an array of axes
    axis, label = sweep.axes[across], axis_labels(sweep.axes)[across]
    for panel in panels[used:]:
        panel.set_visible(False)
    for panel in panels[:used]:
        panel.set_xlabel(label)
        if panel.get_yscale() == "linear":
            panel.set_ylim(bottom=0)
        if all(isinstance(each.data, int) for each in axis.choices):
            panel.xaxis.get_major_locator().set_params(integer=True)
        if not axis.numeric:
            names = [plain(str(each.data))[:24] for each in axis.choices]
            panel.set_xticks(range(len(names)), names, rotation=30, ha="right")
