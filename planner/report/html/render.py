"""Render a document as a page: everything inline, every text escaped, scripts named by hash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import lru_cache
from importlib.resources import files
from itertools import count, groupby
from typing import TYPE_CHECKING, Any

from planner.report import document as nouns
from planner.report.charts.svg import svg_element
from planner.report.plain import plain
from planner.report.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment
    from markupsafe import Markup

#: What stands between a page and what a stranger may write into it.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; script-src '{hash}'"
)

#: How the text of an objective begins.
_OBJECTIVE = re.compile(r"goodput\{|[a-z0-9]+:(p[0-9.]+|mean)[<>]")

#: Characters of a text that is given lines of a width that reads well.
LONG = 40


def render_html(document: nouns.Document, progress: Callable[[float], None] = silent) -> str:
    """Return `document` as a page; the same document gives the same bytes.

    `progress` is called with the share of the charts that are drawn.
    """
    script = _resource("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = (
        environment()
        .get_template("page.html.j2")
        .render(
            document=document,
            style=_resource("style.css"),
            script=script,
            svg_of=_drawing(document, progress),
            policy=_POLICY.format(hash=f"sha256-{digest}"),
        )
    )
    return page.lstrip()


def _drawing(
    document: nouns.Document, progress: Callable[[float], None]
) -> Callable[[nouns.Chart], str]:
    """Return what draws a chart of a page, and tells how many of them it has drawn."""
    total = sum(isinstance(block, nouns.Chart) for block in document.blocks())
    drawn = count(1)

    def draw(chart: nouns.Chart) -> str:
        svg = svg_element(chart)
        progress(next(drawn) / total)
        return svg

    return draw


_KINDS: dict[type, str] = {
    nouns.Table: "table",
    nouns.Chart: "chart",
    nouns.Facts: "facts",
    nouns.Listing: "listing",
    nouns.Words: "words",
    nouns.Explorer: "explorer",
}


def _runs(section: nouns.Section) -> list[tuple[str, list[nouns.Block]]]:
    """Return the blocks of a section in runs of one kind: charts stand beside each other."""
    shown = (each.shown() if isinstance(each, nouns.Table) else each for each in section.blocks)
    grouped = groupby(shown, key=lambda block: _KINDS[type(block)])
    return [(kind, list(blocks)) for kind, blocks in grouped]


@lru_cache(maxsize=8)
def _resource(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return what the templates of pages are rendered in: every text in them is escaped."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 - start-up
    from markupsafe import Markup  # noqa: PLC0415 - start-up

    def raw(text: str) -> Markup:
        return Markup(text)  # noqa: S704 - of this package: style, script, drawings

    made: Environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_resource),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.finalize = _shown
    made.filters |= {
        "across": across,
        "breakable": breakable,
        "runs": _runs,
        "data": lambda value: raw(embedded_json(value)),
        "long": _long,
        "raw": raw,
        "explorer": explorer_data,
        "sort": sort_value,
    }
    return made


def across(number: int) -> str:
    """Return the class of so many cards that leaves the fewest places of their last row empty.

    Examples
    --------
    >>> [across(each) for each in (3, 6, 7, 8, 9)]
    ['', 'across6', 'across4', 'across4', 'across5']
    """
    if number < 6:
        return ""
    return f"across{max(range(4, 7), key=lambda wide: (-(-number % wide), wide))}"


def breakable(text: str) -> Markup:
    """Return a text; if it is an objective, it may go on in another line within.

    Examples
    --------
    >>> print(breakable("goodput{ttft<2s,tpot<50ms}>=0.95"))
    goodput{<wbr>ttft&lt;2s,<wbr>tpot&lt;50ms}<wbr>&gt;=0.95
    >>> print(breakable("ttft:p95<1s"), breakable("a{b,c"))
    ttft:<wbr>p95&lt;1s a{b,c
    """
    from markupsafe import Markup, escape  # noqa: PLC0415 - start-up

    if not _OBJECTIVE.match(text):
        return escape(plain(text))
    parts = re.split(r"(?<=[:,{])(?=\S)|(?<=})(?=>)", plain(text))
    return Markup("<wbr>").join(escape(part) for part in parts)


def _long(table: nouns.Table) -> set[int]:
    """Return the columns whose texts need room to be read in lines, on a phone too."""
    return {k for row in table.rows for k, cell in enumerate(row) if len(cell.text) > LONG}


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template shows
    """Return a text with control characters escaped, anything else as it is."""
    return plain(value, keep="\n") if type(value) is str else value


def sort_value(cell: nouns.Cell) -> str:
    """Return what a cell is sorted by, as text."""
    value = cell.value
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:.9g}" if isinstance(value, int | float) else str(value or "")


def embedded_json(value: object) -> str:
    r"""Return JSON that can stand in a script element: no text in it can end that.

    Examples
    --------
    >>> embedded_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def explorer_data(explorer: nouns.Explorer) -> dict[str, Any]:
    """Return what the sliders of a page read."""
    return {
        "axes": [list(axis.values) for axis in explorer.axes],
        "results": {
            ",".join(map(str, at)): [[cell.text, cell.state] for cell in cells]
            for at, cells in explorer.results.items()
        },
        "line": dict(explorer.line),
    }
