"""Latency charts: how many requests were faster, and what the time was spent on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.report.charts.style import (
    BAD,
    GOOD,
    INK,
    PAPER,
    SERIES,
    legend_above,
    legible,
    milliseconds_axis,
    style,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Percentiles that the axis of shares names.
TICKS = (0.5, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Curve:
    """The distribution of a latency.

    Parameters
    ----------
    label : str
        Whose it is.
    shares : sequence of float
        Shares of the values, in (0, 1).
    seconds : sequence of float or None
        The quantiles at them; None where one is not known. [s]
    """

    label: str
    shares: Sequence[float]
    seconds: Sequence[float | None]

    def points(self) -> list[tuple[float, float]]:
        """Return milliseconds and height of the quantiles that are known and above zero."""
        pairs = zip(self.seconds, self.shares, strict=False)
        return [
            (1000 * each, tail(share)) for each, share in pairs if each is not None and each > 0
        ]


@dataclass(frozen=True)
class Mark:
    """An objective on a distribution.

    Parameters
    ----------
    text : str
        The objective.
    share : float or None
        Share of the values that must be below it; None for the mean.
    seconds : float
        Its bound. [s]
    met : bool or None
        Whether it is met; None where curves differ in that.
    """

    text: str
    share: float | None
    seconds: float
    met: bool | None


def tail(share: float) -> float:
    """Return the height of a share on an axis that gives each nine of a percentile equal room.

    Examples
    --------
    >>> [round(tail(share), 3) for share in (0.0, 0.9, 0.99, 0.999)]
    [0.0, 1.0, 2.0, 3.0]
    """
    return -math.log10(1 - share)


def cdf(figure: Figure, curves: Sequence[Curve], marks: Sequence[Mark]) -> None:
    """Draw distributions, and a mark where each objective asks them to pass on the left."""
    axes = figure.subplots()
    for index, curve in enumerate(curves):
        points = curve.points()
        if points:
            axes.plot(*zip(*points, strict=True), label=legible(curve.label), **style(index))
    for mark in marks:
        _mark(axes, mark)
    shares = [share for curve in curves for share in curve.shares]
    highest = max(shares, default=0.999)
    ticks = [share for share in TICKS if share <= highest + 1e-9]
    axes.set_yticks([tail(share) for share in ticks], [f"p{100 * share:g}" for share in ticks])
    axes.set_ylim(0, tail(highest) * 1.03)
    axes.set_ylabel("percentile")
    milliseconds_axis(axes)
    legend_above(axes, 2)


def _mark(axes: Axes, mark: Mark) -> None:
    """Draw one objective: a line at its bound, and a point at its percentile."""
    colour, word, sign = {
        True: (GOOD, " met", "o"),
        False: (BAD, " missed", "X"),
        None: (INK, "", "d"),
    }[mark.met]
    bound = 1000 * mark.seconds
    axes.axvline(bound, color=colour, linewidth=1.2, linestyle=(0, (4, 3)))
    at = [] if mark.share is None else [tail(mark.share)]
    axes.plot(
        [bound] * len(at), at, color=colour, marker=sign, markersize=9, linewidth=1.2,
        linestyle=(0, (4, 3)), label=legible(mark.text + word), clip_on=False, zorder=5,
    )  # fmt: skip


def parts(figure: Figure, names: Sequence[str], rows: Mapping[str, Sequence[float | None]]) -> None:
    """Draw what each statistic is made of, as bars of parts that add up to it.

    Parameters
    ----------
    figure : Figure
        Empty.
    names : sequence of str
        The parts.
    rows : mapping of str to sequence of float or None
        By statistic the parts [s], in the order of `names`.
    """
    axes = figure.subplots()
    lefts = dict.fromkeys(rows, 0.0)
    for k, name in enumerate(names):
        values = {row: 1000 * max(each[k] or 0.0, 0.0) for row, each in rows.items()}
        axes.barh(
            list(rows), list(values.values()), left=list(lefts.values()), height=0.62, label=name,
            color=SERIES[k % len(SERIES)], edgecolor=PAPER, linewidth=1,
        )  # fmt: skip
        lefts = {row: lefts[row] + values[row] for row in rows}
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    milliseconds_axis(axes, log=False)
    legend_above(axes)
