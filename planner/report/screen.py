"""A report on the terminal: one screen of 80 columns, the same words in a pipe."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group

from planner.report.plain import laid_out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

#: Narrowest report: below it columns would lose digits.
MIN_WIDTH = 80
#: Widest report: wider lines are hard to follow.
MAX_WIDTH = 100
#: What an output that cannot show a character gets instead.
_ASCII = str.maketrans(
    {"–": "-", "·": "|", "─": "-", "≤": "<=", "≥": ">=", "×": "x", "→": "->"}  # noqa: RUF001 - those
)


def write_screen(parts: Iterable[RenderableType], stream: TextIO) -> None:
    """Write a report to `stream`: in colour on a terminal, unless ``NO_COLOR`` is set.

    Parameters
    ----------
    parts : iterable of RenderableType
        Of the report, from top to bottom.
    stream : TextIO
        A terminal, a pipe or a file. A pipe gets 80 columns, or ``COLUMNS``.
    """
    terminal = stream.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    text = render_screen(parts, width=Console(file=stream).width, colour=colour)
    if "utf" not in (stream.encoding or "utf-8").lower():
        text = text.translate(_ASCII).encode("ascii", "replace").decode()
    stream.write(text)


def render_screen(
    parts: Iterable[RenderableType], *, width: int = MIN_WIDTH, colour: bool = False
) -> str:
    """Return a report as text of at most `width` columns (80 to 100 are used).

    Parameters
    ----------
    parts : iterable of RenderableType
        Of the report, from top to bottom.
    width : int
        Columns of the terminal.
    colour : bool
        Whether to use colours.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        width=min(max(width, MIN_WIDTH), MAX_WIDTH),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(Group(*parts))
    return laid_out(out.getvalue())
