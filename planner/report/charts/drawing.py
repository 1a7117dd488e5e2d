"""A chart as a figure of matplotlib that a notebook shows by itself."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from planner.report.charts.style import PAPER, WIDTH, entitle, styled

if TYPE_CHECKING:
    from planner.report.document import Chart

#: Dots per inch of the picture in a notebook.
SCREEN_DPI = 110


class Drawing(Figure):
    """A figure with words for those who do not see it.

    It is made without pyplot, so that nothing stays open; change it, or save it with ``savefig``,
    as any other.
    """

    #: What it shows, in words.
    alternative: str = ""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        """Return the picture for a notebook, on white, and its alternative text."""
        out = io.BytesIO()
        with styled():
            self.savefig(out, format="png", dpi=SCREEN_DPI, facecolor=PAPER)
        return out.getvalue(), {"alt": self.alternative}


def drawing(chart: Chart) -> Drawing:
    """Return a chart, titled, as a figure."""
    with styled():
        drawn = Drawing(figsize=(WIDTH, WIDTH * chart.height), layout="constrained")
        chart.draw(drawn)
        entitle(drawn, chart.title)
    drawn.alternative = f"{chart.title}. {chart.description}"
    return drawn
