"""A sweep as the library hands it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.library.shown import Computed
from planner.report.document import Answer, Cell, Column, Document, Section, Table
from planner.report.html.fragment import render_fragment
from planner.report.numbers import count
from planner.report.sweep import render_sweep, sweep_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from planner.planning.sweep import Sweep as Found


@dataclass(frozen=True, repr=False)
class Sweep(Computed):
    """A scenario at every point of a grid; made by :func:`planner.sweep`.

    Parameters
    ----------
    found : planner.planning.sweep.Sweep
        The grid and its cells.
    """

    found: Found

    @property
    def cells(self) -> tuple[dict[str, Any], ...]:
        """One for each point, as the JSON has them; the last key varies fastest."""
        return self.found.cells

    def to_json(self) -> dict[str, Any]:
        """Return what ``planner sweep --json`` prints, as ``planner schema sweep`` says."""
        return self.found.to_json()

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each point: the varied keys, then columns as ``ttft_p95_s``."""
        return self.found.to_frame()

    def plot(self) -> Figure:
        """Return latencies and load over the longest axis, a line for each value of the others."""
        from planner.report.sweep_plot import sweep_drawing  # noqa: PLC0415 - imports matplotlib

        return sweep_drawing(self.found)

    def __str__(self) -> str:
        return render_sweep(self.found)

    def __repr__(self) -> str:
        keys = ", ".join(axis.key for axis in self.found.axes)
        return f"<Sweep {self.found.title!r}: {count(len(self.cells), 'cell')}, {keys}>"

    def _repr_html_(self) -> str:
        """Return the table, for a notebook."""
        shown = sweep_table(self.found, len(self.cells))
        columns = tuple(
            Column(name, name, numeric=k not in shown.texts) for k, name in enumerate(shown.head)
        )
        rows = tuple(tuple(Cell(text) for text in row) for row in shown.rows)
        varied = " x ".join(axis.key for axis in self.found.axes)
        table = Table("sweep", varied, columns, rows, " ".join(shown.notes))
        answer = Answer(count(len(self.cells), "cell"))
        sections = (Section("sweep", "", (table,)),)
        return render_fragment(Document(self.found.title, "sweep", answer, sections))
