"""Charts of a calibration: residuals, speedups with errors, correlations, what quality costs."""

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
    name_decades,
    plain_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Mark of each kind of step: told apart without colour.
KINDS = {"prefill": "o", "decode": "^", "mixed": "s", "served": "P"}
#: Errors within it are drawn on a band [-].
BAND = 0.1
#: Points nearer to each other than this share of the axes hide each other.
_STEP = 0.006
#: Area of the disc of a correlation of 1 [point^2].
_DISC = 340.0


def residuals(
    figure: Figure, by_kind: Mapping[str, Sequence[tuple[float, float]]], label: str
) -> None:
    """Draw relative errors over something, a mark for each kind of step.

    Parameters
    ----------
    figure : Figure
        Empty.
    by_kind : mapping of str to sequence of (float, float)
        Where on the axis, > 0, and the error [-].
    label : str
        Of the axis.
    """
    axes = figure.subplots()
    axes.axhspan(-100 * BAND, 100 * BAND, color=GRID, alpha=0.5, linewidth=0)
    axes.axhline(0, color=INK, linewidth=1)
    errors = [error for points in by_kind.values() for _, error in points]
    most = max([abs(each) for each in errors] + [BAND]) * 1.05
    for k, (kind, points) in enumerate(by_kind.items()):
        kept = {(round(math.log10(x) / _STEP / 3), round(y / most / _STEP)): (x, 100 * y)
                for x, y in points}  # fmt: skip
        axes.plot(
            *zip(*kept.values(), strict=True), linestyle="none", markersize=4, markeredgewidth=0,
            alpha=0.75, marker=KINDS.get(kind, "D"), color=SERIES[k % len(SERIES)],
            label=f"{legible(kind)} ({len(points):,})",
        )  # fmt: skip
    axes.set_xscale("log")
    name_decades(axes.xaxis)
    axes.set_ylim(-100 * most, 100 * most)
    axes.set_xlabel(label)
    axes.set_ylabel("error, %")
    legend_above(axes, 2)


def spreads(figure: Figure, rows: Mapping[str, Sequence[float]]) -> None:
    """Draw for each row where half and 90 % of its errors lie, and their median.

    Parameters
    ----------
    figure : Figure
        Empty.
    rows : mapping of str to sequence of float
        Errors by row. [-]
    """
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=1)
    for k, found in enumerate(rows.values()):
        for low, high, width, alpha in ((0.05, 0.95, 2.5, 1.0), (0.25, 0.75, 8, 0.55)):
            ends = [100 * quantile(found, low), 100 * quantile(found, high)]
            axes.plot(
                ends, [k, k], color=SERIES[0], linewidth=width, alpha=alpha, solid_capstyle="butt",
                label="_" if k else f"{100 * (high - low):.0f} % of the steps",
            )  # fmt: skip
        axes.plot([100 * quantile(found, 0.5)], [k], color=SERIES[1], marker="D", markersize=6,
                  linestyle="none", label="_" if k else "median")  # fmt: skip
    _rows(axes, list(rows))
    axes.set_xlabel("error, %")
    legend_above(axes, 3)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of `values` lies, between neighbours on a line.

    Examples
    --------
    >>> quantile([3.0, 1.0, 2.0], 0.75)
    2.5
    """
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


@dataclass(frozen=True)
class Known:
    """A number with its standard error.

    Parameters
    ----------
    label : str
        What it is.
    value : float
        The number.
    stderr : float or None
        None where it is not known.
    """

    label: str
    value: float
    stderr: float | None


def known_numbers(
    figure: Figure, found: Sequence[Known], label: str, line: float | None = None
) -> None:
    """Draw numbers below each other, each with two standard errors either way.

    Parameters
    ----------
    figure : Figure
        Empty.
    found : sequence of Known
        From top to bottom.
    label : str
        Of the axis.
    line : float or None
        Where a setting makes no difference.
    """
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415 - start-up

    axes = figure.subplots()
    if line is not None:
        axes.axvline(line, color=INK, linewidth=1)
    for k, each in enumerate(found):
        if each.stderr is not None:
            ends = [each.value - 2 * each.stderr, each.value + 2 * each.stderr]
            axes.plot(ends, [k, k], color=SERIES[0], linewidth=2.5, solid_capstyle="butt")
        axes.plot([each.value], [k], color=SERIES[0], marker="o", markersize=6, linestyle="none")
    _rows(axes, [each.label for each in found])
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.set_xlabel(label)


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a chart from top to bottom."""
    axes.set_yticks(range(len(labels)), [legible(each) for each in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)


def correlations(figure: Figure, names: Sequence[str], matrix: Sequence[Sequence[float]]) -> None:
    """Draw each pair's correlation as a disc of that area, the number in it where it is large.

    Parameters
    ----------
    figure : Figure
        Empty.
    names : sequence of str
        Of rows and columns.
    matrix : sequence of sequence of float
        Correlations, -1 to 1.
    """
    axes = figure.subplots()
    for sign, colour, word in ((1, SERIES[0], "rise together"), (-1, SERIES[1], "trade off")):
        at = [(k, i, abs(value)) for i, row in enumerate(matrix)
              for k, value in enumerate(row[:i]) if sign * value > 0]  # fmt: skip
        if at:
            xs, ys, sizes = zip(*at, strict=True)
            axes.scatter(xs, ys, s=[_DISC * each for each in sizes], color=colour, alpha=0.6,
                         linewidths=0)  # fmt: skip
        axes.plot([], [], marker="o", linestyle="none", color=colour, alpha=0.6, label=word)
    for i, row in enumerate(matrix):
        for k, value in enumerate(row[:i]):
            if abs(value) >= 0.6:  # a smaller dot has no room for a number
                text = f"{value:.1f}".replace("0.", ".")
                axes.text(k, i, text, ha="center", va="center", fontsize=8)
    n = len(names)
    axes.set_xticks(range(n - 1), [legible(each) for each in names[:-1]], rotation=40, ha="right")
    axes.set_yticks(range(1, n), [legible(each) for each in names[1:]])
    axes.set(xlim=(-0.6, n - 1.4), ylim=(n - 0.4, 0.4))
    axes.tick_params(labelsize=9)
    legend_above(axes, 2)


def quality(figure: Figure, points: Sequence[tuple[str, float, float]], label: str) -> None:
    """Draw what quality is left over the bytes that the weights keep.

    Parameters
    ----------
    figure : Figure
        Empty.
    points : sequence of (str, float, float)
        Variant, bits per weight of the layers, and quality.
    label : str
        Of the quality.
    """
    axes = figure.subplots()
    for k, (name, bits, value) in enumerate(points):
        axes.plot([bits], [value], marker="o", markersize=6, linestyle="none", color=SERIES[0])
        axes.annotate(
            legible(name), (bits, value), xytext=(5, 4 if k % 2 else -11),
            textcoords="offset points", fontsize=9,
        )  # fmt: skip
    axes.set_xlim(0, 1.25 * max(bits for _, bits, _ in points))
    axes.set_xlabel("bits kept per weight of the layers")
    axes.set_ylabel(label)
