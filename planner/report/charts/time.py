"""Charts over time: load, queue, and replicas with what happened to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.charts.style import (
    BAD,
    GOOD,
    INK,
    SERIES,
    legend_above,
    plain_number,
    style,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Mark, colour and word of each change of a fleet.
CHANGES = {
    "order": ("|", INK, "ordered"),
    "join": ("^", GOOD, "joins"),
    "leave": ("v", SERIES[4], "leaves"),
    "fail": ("X", BAD, "fails"),
}
#: Longest run whose axis is in seconds, and in minutes [s].
_SECONDS, _MINUTES = 300.0, 3 * 3600.0


def lines(
    figure: Figure,
    time_s: Sequence[float],
    columns: Mapping[str, Sequence[float | None]],
    unit: str,
    *,
    share: bool = False,
) -> None:
    """Draw columns over time.

    Parameters
    ----------
    figure : Figure
        Empty.
    time_s : sequence of float
        When. [s]
    columns : mapping of str to sequence of float or None
        By name, as long as `time_s`; None leaves a gap.
    unit : str
        Of all columns.
    share : bool
        Whether they are shares, drawn in per cent.
    """
    axes = figure.subplots()
    scale = time_axis(axes, max(time_s, default=0.0))
    factor = 100.0 if share else 1.0
    for index, (name, values) in enumerate(columns.items()):
        heights = [float("nan") if each is None else factor * each for each in values]
        axes.plot([each / scale for each in time_s], heights, label=name, **style(index))
    axes.set_ylabel(unit)
    axes.yaxis.set_major_formatter(plain_number)
    axes.set_ylim(bottom=0)
    if share:
        axes.set_ylim(0, 100 * 1.03)
    legend_above(axes, 4)


def replicas(
    figure: Figure,
    time_s: Sequence[float],
    up: Sequence[float],
    changes: Sequence[tuple[float, str, float]],
) -> None:
    """Draw how many replicas take requests, and what happened to them.

    Parameters
    ----------
    figure : Figure
        Empty.
    time_s, up : sequence of float
        When, and how many from then on. [s], [-]
    changes : sequence of (float, str, float)
        When, one of :data:`CHANGES`, and how many were up then. [s]
    """
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - start-up

    axes = figure.subplots()
    scale = time_axis(axes, max(time_s, default=0.0))
    axes.step([each / scale for each in time_s], up, where="post", color=SERIES[0])
    for kind, (marker, colour, word) in CHANGES.items():
        at = [(when / scale, count) for when, each, count in changes if each == kind]
        if at:
            axes.plot(
                *zip(*at, strict=True), marker=marker, color=colour, markersize=8, linestyle="none",
                label=f"{word} ({len(at)})", clip_on=False, zorder=5,
            )  # fmt: skip
    axes.set_ylabel("replicas up")
    axes.set_ylim(0, max([*up, 1.0]) * 1.15)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes, 2)


def time_axis(axes: Axes, end_s: float) -> float:
    """Label the axis of time in a unit that fits, and return that unit [s]."""
    scale, unit = 3600.0, "hours"
    if end_s <= _SECONDS:
        scale, unit = 1.0, "seconds"
    elif end_s <= _MINUTES:
        scale, unit = 60.0, "minutes"
    axes.set_xlabel(f"{unit} since the start")
    axes.set_xlim(0, end_s / scale or 1.0)
    return scale
