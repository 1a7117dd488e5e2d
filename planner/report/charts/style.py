"""How every chart looks: size, fonts, colours.

Series have the colours of Okabe and Ito, which colour-blind eyes tell apart [1]_; lines
differ in their dashes too. In a page each colour becomes a variable of its style sheet, so that
the same drawing fits light, dark and paper.

References
----------
.. [1] M. Okabe and K. Ito, "Color universal design," 2008, https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import textwrap
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from planner.report.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

#: Colours of series, in order, and their line styles.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 3)), "-")
#: Text and axes, lines behind the data, and what lies behind all.
INK, GRID, PAPER = "#1b1c1e", "#d9dbdf", "#ffffff"
#: What is met and what is missed.
GOOD, BAD = "#00734f", "#b93a00"
#: Each colour's variable in the style sheet of a page.
VARIABLES = {
    **{colour: f"--s{k}" for k, colour in enumerate(SERIES)},
    INK: "--ink",
    GRID: "--grid",
    PAPER: "--paper",
    GOOD: "--good",
    BAD: "--bad",
}
#: Characters of a title in one line.
TITLE_WIDTH = 50
#: Longest text in a legend [characters].
LONGEST = 48
#: Width of a figure [inch] of 72 points; a page scales it.
WIDTH = 4.9
#: Mathematics would be read into names with dollars; ids must be the same in every run.
_SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.0,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 11.0,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "latency-planner",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of reports, without warnings about letters that a font lacks."""
    import matplotlib as mpl  # noqa: PLC0415 - start-up

    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # not what a user's own matplotlibrc says
        mpl.rcParams.update(_SETTINGS)
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        yield


def figure(height: float) -> Figure:
    """Return an empty figure, `height` times as high as wide."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - start-up

    return Figure(figsize=(WIDTH, WIDTH * height), layout="constrained")


def style(index: int) -> dict[str, Any]:
    """Return colour and line style of a series by its number."""
    return {
        "color": SERIES[index % len(SERIES)],
        "linestyle": DASHES[index % len(DASHES)],
    }


def legible(text: str) -> str:
    """Return a text as a legend shows it: short, and none that matplotlib would leave out.

    Examples
    --------
    >>> legible("_chat"), legible("a" * 60)[-3:]
    (' _chat', 'aa…')
    """
    text = plain(text)
    text = f"{text[: LONGEST - 1]}…" if len(text) > LONGEST else text
    return f" {text}" if text.startswith("_") else text


def legend_above(axes: Axes, columns: int = 3) -> None:
    """Put the legend between title and axes, where it hides no data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.figure.legend(
            handles, labels, loc="outside upper left", ncols=columns, borderaxespad=0.2,
            columnspacing=1.2,
        )  # fmt: skip


def entitle(drawn: Figure, title: str) -> None:
    """Put a title over a figure that is drawn: over its legend, which has the top for itself."""
    title = textwrap.fill(plain(title), TITLE_WIDTH)
    if not drawn.legends:
        drawn.suptitle(title, fontsize=12, fontweight="bold", x=0.02, ha="left")
        return
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415 - start-up

    legend = drawn.legends[0]
    legend.set_title(title, prop=FontProperties(size=12, weight="bold"))
    legend.set_alignment("left")


def plain_number(value: float, _at: object = None) -> str:
    """Return a tick's number without powers.

    Examples
    --------
    >>> plain_number(1_000_000.0), plain_number(0.05)
    ('1,000,000', '0.05')
    """
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:,.6g}"


#: Up to which ratio of its ends a logarithmic axis names which numbers of each decade.
_SUBDIVISIONS = ((30.0, (1.0, 2.0, 5.0)), (1000.0, (1.0, 3.0)))


#: Numbers from here on are so wide that few of them fit beside each other.
_LONG_TICK = 5000.0
#: From which ratio of its ends on an axis of milliseconds is logarithmic: below it, one would have
#: two or three ticks, and hide where a curve turns up.
_WIDE = 10.0


def milliseconds_axis(axes: Axes, which: str = "x", *, log: bool | None = None) -> None:
    """Label an axis in milliseconds, with plain numbers where a logarithmic one has powers.

    Parameters
    ----------
    axes : Axes
        With everything drawn.
    which : str
        ``x`` or ``y``.
    log : bool or None
        Whether it is logarithmic; None for what is drawn to decide.
    """
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - start-up

    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlabel if which == "x" else axes.set_ylabel)("milliseconds")
    axis.set_major_formatter(plain_number)
    low, high = axis.get_data_interval()
    if log is False or (log is None and 0 < high < _WIDE * low):
        axis.set_major_locator(MaxNLocator(6 if high < _LONG_TICK else 4, steps=[1, 2, 2.5, 5, 10]))
        return
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    name_decades(axis)


def name_decades(axis: Axis) -> None:
    """Name the numbers of a logarithmic axis plainly, the more of each decade the fewer it has."""
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - start-up

    low, high = axis.get_view_interval()
    ratio = high / low if low > 0 else float("inf")
    subs = next((each for most, each in _SUBDIVISIONS if ratio <= most), (1.0,))
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(plain_number)
    axis.set_minor_formatter(NullFormatter())
