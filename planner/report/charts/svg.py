"""A chart as SVG to stand in a page or alone, or as PNG; the same chart gives the same bytes."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from planner.report.charts.style import PAPER, VARIABLES, entitle, figure, styled

if TYPE_CHECKING:
    from planner.report.document import Chart

#: Dots per inch of a PNG: sharp on paper and on a dense screen.
DPI = 200
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)
_OPENING = re.compile(r"<svg [^>]*viewBox=\"([^\"]+)\"[^>]*>")
_ID = re.compile(r" id=\"([^\"]*)\"")
_REFERENCE = re.compile(r"(?<=[\"(])#([\w.-]+)(?=[\")])")
_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_FAMILY = re.compile(r"(font: [\d.]+px|font-family:) [^;\"]+")
_PLACE = re.compile(r" (?:d|x|y|width|height|transform)=\"[^\"]*\"")
_LONG = re.compile(r"-?\d+\.\d{3,}(?![\de])")
_COLOUR = re.compile(r"(?<=: )#[0-9a-f]{6}(?=[;\"])")


def svg_element(chart: Chart) -> str:
    """Return a chart as an element of a page, with a title and a description to be read aloud.

    Its colours are variables of the page's style sheet, and its ids start with the chart's name.
    """
    body = _COMMENT.sub("", _METADATA.sub("", _drawn(chart, "svg", titled=False).decode()))
    body = body[body.index("<svg") :]
    used = set(_REFERENCE.findall(body))
    body = _ID.sub(lambda at: f' id="{chart.name}-{at[1]}"' if at[1] in used else "", body)
    body = _REFERENCE.sub(rf"#{chart.name}-\1", body)
    body = _FAMILY.sub(r"\1 sans-serif", _STYLE.sub("", body, count=1))
    body = _PLACE.sub(lambda at: _LONG.sub(lambda number: f"{float(number[0]):.2f}", at[0]), body)
    body = _COLOUR.sub(lambda at: f"var({VARIABLES[at[0]]})" if at[0] in VARIABLES else at[0], body)
    title, description = html.escape(chart.title), html.escape(chart.description)
    head = rf'<svg viewBox="\1" role="img" aria-labelledby="{chart.name}-title {chart.name}-desc">'
    body = _OPENING.sub(head, body, count=1)
    start = body.index(">") + 1
    words = (
        f'<title id="{chart.name}-title">{title}</title>'
        f'<desc id="{chart.name}-desc">{description}</desc>'
    )
    return re.sub(r"\s*\n\s*", "\n", body[:start] + words + body[start:]).strip()


def svg_file(chart: Chart) -> bytes:
    """Return a chart, titled, as an SVG file."""
    return _drawn(chart, "svg", titled=True)


def png_file(chart: Chart) -> bytes:
    """Return a chart, titled, as a PNG file on white."""
    return _drawn(chart, "png", titled=True)


def _drawn(chart: Chart, form: str, *, titled: bool) -> bytes:
    """Return a drawn chart as a file without dates."""
    out = io.BytesIO()
    with styled():
        drawn = figure(chart.height)
        chart.draw(drawn)
        if titled:
            entitle(drawn, chart.title)
        if form == "svg":
            paper = PAPER if titled else "none"
            drawn.savefig(out, format="svg", facecolor=paper, metadata={"Date": None})
        else:
            drawn.savefig(out, format="png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})
    return out.getvalue()
