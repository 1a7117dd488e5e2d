"""Render a document as a part of someone else's page: what a notebook shows of a result."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from planner.report import document as nouns
from planner.report.html.render import environment

if TYPE_CHECKING:
    from jinja2 import Template

#: Rows of a table that are shown.
MOST_ROWS = 50


def render_fragment(document: nouns.Document) -> str:
    """Return answer, facts and tables of `document` as an element without script or charts.

    Its few styles hold for itself alone. Tables end after :data:`MOST_ROWS` rows and say so;
    those that a page folds are left out.

    Parameters
    ----------
    document : Document
        What to show; every text in it is escaped.
    """
    blocks = [_cut(block) for block in document.blocks()]
    return _template().render(
        document=document,
        facts=[block for block in blocks if isinstance(block, nouns.Facts) and block.large],
        tables=[block for block in blocks if isinstance(block, nouns.Table) and not block.folded],
    )


def _cut(block: nouns.Block) -> nouns.Block:
    if not isinstance(block, nouns.Table):
        return block
    block = block.shown()
    if len(block.rows) <= MOST_ROWS:
        return block
    more = f"and {len(block.rows) - MOST_ROWS:,} more rows"
    note = f"{block.note} {more}." if block.note else f"{more}."
    return replace(block, rows=block.rows[:MOST_ROWS], note=note)


@lru_cache(maxsize=1)
def _template() -> Template:
    return environment().get_template("fragment.html.j2")
