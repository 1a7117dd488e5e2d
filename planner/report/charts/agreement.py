"""Charts of predictions beside measurements: scatter, how many are near, runs and their spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.report.charts.style import (
    GRID,
    INK,
    SERIES,
    legend_above,
    legible,
    milliseconds_axis,
    plain_number,
    style,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A point hides those that are nearer to it than this [decades]: half its width in a chart.
_STEP = 0.02
#: Marks of a scatter's groups: told apart without colour.
MARKERS = ("o", "s", "^", "D", "v", "P")
#: Error that counts as near, which a scatter draws beside the diagonal [-].
NEAR = 0.2
#: Largest error on the axis of errors [-].
_MOST_ERROR = 1.0


def scatter(figure: Figure, groups: Mapping[str, Sequence[tuple[float, float]]], unit: str) -> None:
    """Draw predictions over measurements, both logarithmic, with the diagonal where they agree.

    Parameters
    ----------
    figure : Figure
        Empty.
    groups : mapping of str to sequence of (float, float)
        Measured and predicted, by what tells them apart. [unit]
    unit : str
        Of both.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    axes = figure.subplots()
    for k, (name, points) in enumerate(groups.items()):
        shown = thinned(points)
        if shown:
            axes.plot(
                *zip(*shown, strict=True), linestyle="none", marker=MARKERS[k % len(MARKERS)],
                markersize=3.5, markeredgewidth=0, alpha=0.65, color=SERIES[k % len(SERIES)],
                label=f"{legible(name)} ({len(points):,})",
            )  # fmt: skip
    values = [value for points in groups.values() for point in points for value in point]
    low, high = min(values) / 1.5, max(values) * 1.5
    axes.plot([low, high], [low, high], color=INK, linewidth=1.2, label="equal")
    for factor, label in ((1 + NEAR, f"{100 * NEAR:.0f} % off"), (1 - NEAR, "_")):
        axes.plot(
            [low, high], [factor * low, factor * high], color=INK, linewidth=1,
            linestyle=(0, (4, 3)), label=label,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator())
        axis.set_major_formatter(FuncFormatter(plain_number))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"measured, {unit}")
    axes.set_ylabel(f"predicted, {unit}")
    legend_above(axes, 2)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points without those that another one hides, so that thousands stay a small drawing.

    Examples
    --------
    >>> thinned([(1.0, 1.0), (1.001, 1.001), (2.0, 1.0)])
    [(1.0, 1.0), (2.0, 1.0)]
    """
    kept: dict[tuple[int, int], tuple[float, float]] = {}
    for x, y in points:
        at = (round(math.log10(x) / _STEP), round(math.log10(y) / _STEP))
        kept.setdefault(at, (x, y))
    return list(kept.values())


def shares_within(figure: Figure, errors: Mapping[str, Sequence[float]]) -> None:
    """Draw the share of predictions that are off by at most so much.

    Parameters
    ----------
    figure : Figure
        Empty.
    errors : mapping of str to sequence of float
        By metric the absolute relative errors. [-]
    """
    axes = figure.subplots()
    grid = [_MOST_ERROR * k / 100 for k in range(101)]
    for k, (name, found) in enumerate(errors.items()):
        shares = [100 * sum(each <= at for each in found) / len(found) for at in grid]
        axes.plot([100 * at for at in grid], shares, label=legible(name), **style(k))
    axes.set(xlim=(0, 100 * _MOST_ERROR), ylim=(0, 103))
    axes.set_xlabel("off by at most, %")
    axes.set_ylabel("share of predictions, %")
    legend_above(axes, 4)


@dataclass(frozen=True)
class Pair:
    """A number that was predicted and measured.

    Parameters
    ----------
    label : str
        Which load and statistic.
    predicted : float or None
        Seconds, or per second; None where it is not known.
    runs : tuple of float
        Measured, one per run that measured it.
    """

    label: str
    predicted: float | None
    runs: tuple[float, ...]


def pairs(figure: Figure, found: Sequence[Pair], unit: str) -> None:
    """Draw each prediction beside the runs that it was made for, one below the other.

    Parameters
    ----------
    figure : Figure
        Empty.
    found : sequence of Pair
        From top to bottom.
    unit : {"s", "1/s"}
        Of the values; seconds are drawn in milliseconds.
    """
    axes = figure.subplots()
    factor = 1000.0 if unit == "s" else 1.0
    for k, each in enumerate(found):
        runs = [factor * run for run in each.runs]
        if len(runs) > 1:
            axes.plot([min(runs), max(runs)], [k, k], color=SERIES[0], linewidth=5, alpha=0.35,
                      solid_capstyle="butt", label=_once(axes, "range of the runs"))  # fmt: skip
        axes.plot(runs, [k] * len(runs), linestyle="none", marker="o", markersize=5,
                  color=SERIES[0], label=_once(axes, "measured"))  # fmt: skip
        if each.predicted is not None:
            axes.plot([factor * each.predicted], [k], linestyle="none", marker="D", markersize=7,
                      color=SERIES[1], label=_once(axes, "predicted"))  # fmt: skip
    axes.set_yticks(range(len(found)), [legible(each.label) for each in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.grid(axis="y", color=GRID)
    _value_axis(axes, unit, [v for each in found for v in (*each.runs, each.predicted) if v])
    legend_above(axes, 3)


def _value_axis(axes: Axes, unit: str, values: Sequence[float]) -> None:
    """Label the axis of values; logarithmic where they differ by more than ten times."""
    wide = bool(values) and max(values) > 10 * min(values)
    if unit == "s":
        milliseconds_axis(axes, log=wide)
    else:
        axes.set_xlabel("per second")
    if not wide:
        axes.set_xlim(left=0)


def _once(axes: Axes, label: str) -> str:
    """Return a label for the first of many, and none for those after it."""
    _, labels = axes.get_legend_handles_labels()
    return f"_{label}" if label in labels else label
