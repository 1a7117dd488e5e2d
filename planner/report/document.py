"""What a report says, before it is HTML, Markdown or a file of numbers.

A page of any command is the same few nouns: an answer, then sections of facts, tables, charts and
listings. Each output draws them in its own way and knows nothing of commands.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

#: How something turned out: it decides the colour and the mark beside the words.
State = Literal["", "good", "bad", "unsure"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    title : str
        Above it.
    key : str
        Its name in a file of numbers, unit included.
    numeric : bool
        Whether it holds numbers, which stand to the right.
    filed : bool
        Whether files of numbers alone have it, as the ends of an interval that a reader sees below
        the value.
    """

    title: str
    key: str
    numeric: bool = True
    filed: bool = False


@dataclass(frozen=True)
class Cell:
    """A field of a table.

    Parameters
    ----------
    text : str
        What a reader sees.
    value : float or str or None
        What a table is sorted by and a file of numbers holds, in SI units; None where there is
        none. The text itself if it is not given.
    state : State
        How it turned out.
    """

    text: str
    value: float | str | bool | None = None
    state: State = ""


@dataclass(frozen=True)
class Table:
    """Rows that can be sorted.

    Parameters
    ----------
    name : str
        Of its file, in lower case with underscores.
    title : str
        Above it.
    columns : tuple of Column
        Its columns.
    rows : tuple of tuple of Cell
        Its rows, each of as many cells as there are columns.
    note : str
        Below it.
    folded : bool
        Whether a page shows its title only until it is opened.
    most : int
        Rows that a page shows; files of numbers have all.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False
    most: int = 600

    def shown(self) -> Table:
        """Return it as a reader sees it, without the columns that files of numbers alone have."""
        kept = [k for k, column in enumerate(self.columns) if not column.filed]
        return replace(
            self,
            columns=tuple(self.columns[k] for k in kept),
            rows=tuple(tuple(row[k] for k in kept) for row in self.rows),
        )

    @property
    def left_out(self) -> str:
        """What a page says of rows that it does not show; empty if it shows all."""
        if len(self.rows) <= self.most:
            return ""
        return f"The first {self.most:,} of {len(self.rows):,} rows; --tables writes all of them."


@dataclass(frozen=True)
class Chart:
    """A drawing, and the words for those who do not see it.

    Parameters
    ----------
    name : str
        Of its file, in lower case with underscores; differs from those of all other charts.
    title : str
        What it shows, with the unit.
    description : str
        What can be read from it, in a sentence or two.
    draw : callable
        Draws it on an empty figure of matplotlib.
    height : float
        Over its width.
    """

    name: str
    title: str
    description: str
    draw: Callable[[Figure], None]
    height: float = 0.66


@dataclass(frozen=True)
class Facts:
    """Names, each with what is known of it.

    Parameters
    ----------
    rows : tuple of (str, str)
        Name and text.
    large : bool
        Whether they are few and to be seen first.
    """

    rows: tuple[tuple[str, str], ...]
    large: bool = False


@dataclass(frozen=True)
class Listing:
    """Text as it would stand in a file, or be typed.

    Parameters
    ----------
    title : str
        What it is.
    text : str
        The text.
    folded : bool
        Whether a page shows it only when asked.
    """

    title: str
    text: str
    folded: bool = False


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Parameters
    ----------
    text : str
        The paragraph.
    """

    text: str


@dataclass(frozen=True)
class Axis:
    """What a slider of an explorer varies.

    Parameters
    ----------
    title : str
        What it is.
    values : tuple of str
        Its values, as a reader sees them, in order.
    start : int
        The value at first.
    """

    title: str
    values: tuple[str, ...]
    start: int = 0


@dataclass(frozen=True)
class Explorer:
    """Sliders over results that were computed before.

    Parameters
    ----------
    name : str
        Differs from those of all other blocks.
    title : str
        Above it.
    axes : tuple of Axis
        One slider each.
    columns : tuple of Column
        What each result says.
    results : mapping of tuple of int to tuple of Cell
        By the positions of the sliders; one that is missing was not computed.
    line : mapping of str to Any
        What to draw beside the numbers; see ``pages/sweep.py``.
    """

    name: str
    title: str
    axes: tuple[Axis, ...]
    columns: tuple[Column, ...]
    results: Mapping[tuple[int, ...], tuple[Cell, ...]]
    line: Mapping[str, Any] = field(default_factory=dict)


Block = Table | Chart | Facts | Listing | Words | Explorer


@dataclass(frozen=True)
class Section:
    """Blocks that answer one question.

    Parameters
    ----------
    name : str
        Of its anchor; differs from those of all other sections.
    title : str
        Above it.
    blocks : tuple of Block
        From top to bottom.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Answer:
    """The answer, in a line and some sentences.

    Parameters
    ----------
    text : str
        The line.
    state : State
        How it turned out.
    sentences : tuple of str
        Below it.
    """

    text: str
    state: State = ""
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A report.

    Parameters
    ----------
    title : str
        What it is about.
    subtitle : str
        What was run, and on what.
    answer : Answer
        What comes first.
    sections : tuple of Section
        The rest.
    tool_version : str
        Version of what made the results.
    """

    title: str
    subtitle: str
    answer: Answer
    sections: tuple[Section, ...]
    tool_version: str = ""

    def blocks(self) -> tuple[Block, ...]:
        """Return the blocks of all sections, in order."""
        return tuple(block for section in self.sections for block in section.blocks)
