"""A capacity as the library hands it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planner.report.capacity import capacity_facts, headline, render_capacity
from planner.report.document import Answer, Cell, Column, Document, Section, Table
from planner.report.html.fragment import render_fragment

if TYPE_CHECKING:
    from planner.planning.capacity_result import Capacity as Found


@dataclass(frozen=True)
class Capacity:
    """The highest rate at which all objectives hold; made by :func:`planner.capacity`.

    Parameters
    ----------
    found : planner.planning.capacity_result.Capacity
        The capacity, its interval and what ends it.
    """

    found: Found = field(repr=False)

    @property
    def value(self) -> float | None:
        """Highest rate, or number of clients, at which all hold, in :attr:`unit`; None if none."""
        return self.found.value

    @property
    def low(self) -> float | None:
        """Lower end of its interval; None where there is none, or the sample cannot bound it."""
        return self.found.interval.low

    @property
    def high(self) -> float | None:
        """Upper end of its interval; None where there is none, or the sample cannot bound it."""
        return self.found.interval.high

    @property
    def unit(self) -> str:
        """``req/s`` or ``clients``."""
        return self.found.unit

    def to_json(self) -> dict[str, Any]:
        """Return what ``planner capacity --json`` prints, as ``planner schema capacity`` says."""
        return self.found.to_json()

    def __str__(self) -> str:
        return render_capacity(self.found)

    def __repr__(self) -> str:
        return f"<Capacity {self.found.title!r}: {headline(self.found)}>"

    def _repr_html_(self) -> str:
        """Return the capacity and what ends it, for a notebook."""
        rows = tuple((Cell(name), Cell(text)) for name, text in capacity_facts(self.found))
        columns = (Column("", "name", numeric=False), Column("", "text", numeric=False))
        answer = Answer(headline(self.found), "bad" if self.value is None else "")
        sections = (Section("capacity", "", (Table("capacity", "", columns, rows),)),)
        return render_fragment(Document(self.found.title, "capacity", answer, sections))
