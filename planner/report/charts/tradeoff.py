"""Charts of choices: latency against load with its knee, cost against latency with its front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.report.charts.style import (
    BAD,
    GOOD,
    GRID,
    INK,
    SERIES,
    legend_above,
    legible,
    milliseconds_axis,
    style,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class LoadCurve:
    """A latency at several rates.

    Parameters
    ----------
    label : str
        Which latency.
    points : sequence of (float, float)
        Rate and latency, by increasing rate. [1/s], [s]
    """

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class At:
    """Loads that a chart marks.

    Parameters
    ----------
    today : float or None
        As it is.
    capacity : float or None
        The highest at which every objective holds.
    interval : (float, float) or None
        Around it.
    saturation : float or None
        Beyond it there is no steady state.
    unit : str
        ``req/s`` or ``clients``.
    """

    today: float | None = None
    capacity: float | None = None
    interval: tuple[float, float] | None = None
    saturation: float | None = None
    unit: str = "req/s"

    def marks(self) -> list[tuple[str, float]]:
        """Return what is marked, in words, and where."""
        return [
            (f"{name}, {value:.3g} {self.unit}", value)
            for name in _LINES
            if (value := getattr(self, name)) is not None
        ]


#: Depth of a bend, as a share of the chart, up to which a curve has no knee.
STRAIGHT = 0.15
#: How the loads of a chart are marked.
_LINES: dict[str, dict[str, Any]] = {
    "today": {"color": INK, "linestyle": (0, (1, 2)), "linewidth": 1.6},
    "capacity": {"color": GOOD, "linestyle": "-", "linewidth": 1.6},
    "saturation": {"color": BAD, "linestyle": (0, (6, 2)), "linewidth": 1.6},
}


def knee(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the rate at which a latency turns upwards; None where it does not.

    The point farthest below the chord from first to last, both axes scaled to 1 [1]_.

    Parameters
    ----------
    points : sequence of (float, float)
        Rate and latency, by increasing rate.

    References
    ----------
    .. [1] V. Satopää et al., "Finding a 'Kneedle' in a haystack: detecting knee points in system
       behavior," ICDCS Workshops, 2011, doi:10.1109/ICDCSW.2011.20.

    Examples
    --------
    >>> knee([(1, 0.1), (2, 0.11), (3, 0.13), (4, 0.9)])
    3
    """
    if len(points) < 3:
        return None
    (x0, y0), (x1, y1) = points[0], points[-1]
    if not (x1 > x0 and y1 > y0):
        return None
    below = [((x - x0) / (x1 - x0) - (y - y0) / (y1 - y0), x) for x, y in points[1:-1]]
    depth, at = max(below, key=lambda each: each[0])
    return at if depth > STRAIGHT else None


def load(
    figure: Figure,
    curves: Sequence[LoadCurve],
    *,
    bounds: Sequence[tuple[str, float]],
    at: At,
) -> None:
    """Draw latencies against the load.

    Parameters
    ----------
    figure : Figure
        Empty.
    curves : sequence of LoadCurve
        The knee of each is marked.
    bounds : sequence of (str, float)
        Objectives and their bounds. [s]
    at : At
        Loads to mark.
    """
    axes = figure.subplots()
    for index, curve in enumerate(curves):
        xs, ys = zip(*curve.points, strict=True)
        heights = [1000 * each for each in ys]
        axes.plot(xs, heights, marker="o", markersize=4, label=legible(curve.label), **style(index))
        turn = knee(curve.points)
        if turn is not None:
            height = heights[xs.index(turn)]
            label = f"knee at {turn:.3g} {at.unit}" if len(curves) <= 2 else "knee"
            _, labels = axes.get_legend_handles_labels()
            axes.plot(
                [turn], [height], marker="D", markersize=9, color=style(index)["color"],
                linestyle="none", label=f"_{label}" if label in labels else label,
            )  # fmt: skip
    for text, seconds in bounds:
        axes.axhline(
            1000 * seconds, color=GOOD, linestyle=(0, (4, 3)), linewidth=1.2, label=legible(text)
        )
    if at.interval is not None:  # behind the curves
        axes.axvspan(*at.interval, color=GRID, linewidth=0, label="interval of the capacity")
    for label, x in at.marks():
        axes.axvline(x, label=label, **_LINES[label.partition(",")[0]])
    axes.set_xlim(left=0)
    axes.set_xlabel("clients" if at.unit == "clients" else "requests per second")
    _latency_axis(axes)
    legend_above(axes, 2)


@dataclass(frozen=True)
class Choice:
    """One candidate.

    Parameters
    ----------
    cost : float
        Per hour. [$/h]
    seconds : float
        Its latency. [s]
    met : bool
        Whether it meets every objective.
    front : bool
        Whether none that meets as much is both cheaper and faster.
    chosen : str
        What to call it, if it is recommended; else empty.
    """

    cost: float
    seconds: float
    met: bool
    front: bool
    chosen: str = ""


def front_of(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return which points no other beats in both numbers, equal ones kept.

    Examples
    --------
    >>> front_of([(1, 5), (2, 3), (3, 4), (2, 3)])
    [True, True, False, True]
    """
    front = front_points(points)
    return [point in front for point in points]


def front_points(points: Sequence[tuple[float, float]]) -> set[tuple[float, float]]:
    """Return the points that no other beats in both numbers."""
    best, front = float("inf"), set()
    for x, y in sorted(set(points)):
        if y < best:
            best = y
            front.add((x, y))
    return front


def choices(
    figure: Figure, points: Sequence[Choice], latency: str, bound: float | None = None
) -> None:
    """Draw cost against latency: what meets the objectives, what does not, and the front.

    Parameters
    ----------
    figure : Figure
        Empty.
    points : sequence of Choice
        The candidates.
    latency : str
        Which latency.
    bound : float or None
        What is asked of it. [s]
    """
    axes = figure.subplots()
    for met, marker, colour, word in (
        (False, "x", BAD, "misses an objective"),
        (True, "o", SERIES[0], "meets all"),
    ):
        at = [(each.cost, 1000 * each.seconds) for each in points if each.met is met]
        if at:
            axes.plot(
                *zip(*at, strict=True), marker=marker, color=colour, markersize=6,
                linestyle="none", label=f"{word} ({len(at)})",
            )  # fmt: skip
    front = sorted((each.cost, 1000 * each.seconds) for each in points if each.front)
    if len(front) > 1:
        axes.step(*zip(*front, strict=True), where="post", color=INK, linewidth=1.2, label="front")
    for each in points:
        if each.chosen:
            axes.plot(
                [each.cost], [1000 * each.seconds], marker="*", markersize=16, color=GOOD,
                linestyle="none", label=legible(each.chosen), zorder=5,
            )  # fmt: skip
    if bound is not None:
        dashes = (0, (4, 3))
        axes.axhline(1000 * bound, color=GOOD, linestyle=dashes, linewidth=1.2, label="bound")
    axes.set_xlabel("dollars per hour")
    axes.set_xlim(left=0)
    _latency_axis(axes)
    axes.set_ylabel(f"{latency}, milliseconds")
    legend_above(axes, 2)


def _latency_axis(axes: Axes) -> None:
    """Label the upright axis in milliseconds; from zero on where it is not logarithmic."""
    milliseconds_axis(axes, "y")
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)
