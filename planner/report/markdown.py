"""A report as Markdown: the same words and tables, charts as sentences or linked pictures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from planner.report import document as nouns
from planner.report.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What Markdown would take for markup in a text.
_MARKUP = re.compile(r"([\\`*_\[\]#|~$])")
#: Marks of states, since there are no colours.
_MARKS = {"": "", "good": "✓ ", "bad": "✗ ", "unsure": "~ "}


def render_markdown(document: nouns.Document, picture: Callable[[str], str] | None = None) -> str:
    """Return `document` as Markdown; the same document gives the same bytes.

    Parameters
    ----------
    document : Document
        What to say.
    picture : callable, optional
        Gives the address of a chart's picture by the chart's name; without it there are none.
    """
    lines = [f"# {escaped(document.title)}"]
    if document.subtitle:
        lines.append(escaped(document.subtitle))
    lines.append(f"**{_MARKS[document.answer.state]}{escaped(document.answer.text)}**")
    lines += [escaped(each) for each in document.answer.sentences if each]
    for section in document.sections:
        lines.append(f"## {escaped(section.title)}")
        for block in section.blocks:
            lines += _block(block, picture)
    lines.append(f"Made by planner {escaped(document.tool_version)}.")
    return "\n\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""Return `text` on one line, with what Markdown or HTML would obey escaped.

    Examples
    --------
    >>> print(escaped("<script> a|b *c*"))
    &lt;script&gt; a\|b \*c\*
    """
    line = _MARKUP.sub(r"\\\1", plain(" ".join(text.split())))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _block(block: nouns.Block, picture: Callable[[str], str] | None) -> Iterator[str]:
    """Yield the paragraphs of a block."""
    match block:
        case nouns.Table():
            shown = block.shown()
            yield f"**{escaped(block.title)}**"
            yield _table(shown.columns, shown.rows[: block.most])
            if block.left_out:
                yield escaped(block.left_out)
            if block.note:
                yield escaped(block.note)
        case nouns.Chart():
            if picture is not None:
                yield f"![{escaped(block.title)}]({picture(block.name)})"
            yield f"*{escaped(block.title)}.* {escaped(block.description)}"
        case nouns.Facts():
            yield "\n".join(f"- {escaped(name)}: {escaped(text)}" for name, text in block.rows)
        case nouns.Listing():
            yield f"**{escaped(block.title)}**"
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", block.text)), default=0))
            yield f"{fence}\n{plain(block.text, keep=chr(10)).rstrip()}\n{fence}"
        case nouns.Words():
            yield escaped(block.text)
        case nouns.Explorer():
            yield f"**{escaped(block.title)}**"
            yield "The page of this report has sliders for it; the table below has the results."


def _table(columns: tuple[nouns.Column, ...], rows: tuple[tuple[nouns.Cell, ...], ...]) -> str:
    lines = [
        [escaped(column.title) for column in columns],
        ["--:" if column.numeric else ":--" for column in columns],
        *([_cell(cell) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: nouns.Cell) -> str:
    first, *more = cell.text.split("\n")
    rest = f" ({escaped(', '.join(more))})" if more else ""
    return f"{_MARKS[cell.state]}{escaped(first)}{rest}"
