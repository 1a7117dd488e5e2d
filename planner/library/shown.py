"""What every result of the library can do: be saved, show itself, and draw its charts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from planner.errors import InputError, did_you_mean
from planner.report.document import Chart
from planner.report.exports import write_page
from planner.report.html.fragment import render_fragment
from planner.report.pages.choose import document_of_json

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from planner.report.document import Document


class Shown(ABC):
    """Something with a report of its own."""

    #: Sections of the report that a notebook shows the tables of.
    in_notebook: ClassVar[tuple[str, ...]] = ()

    @cached_property
    @abstractmethod
    def _document(self) -> Document:
        """The report."""

    def save(self, path: str | Path) -> None:
        """Write the report: a page, ``.html``, or Markdown, ``.md``.

        Raises
        ------
        InputError
            If it has another ending or cannot be written.
        """
        from pathlib import Path  # noqa: PLC0415 - only for types above

        write_page(self._document, Path(path), "path")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._document.title!r}: {self._document.answer.text}>"

    def _repr_html_(self) -> str:
        """Return the answer and the tables that matter most, for a notebook."""
        document = self._document
        sections = [
            replace(each, blocks=tuple(b for b in each.blocks if not isinstance(b, Chart)))
            for each in document.sections
            if each.name in self.in_notebook
        ]
        return render_fragment(replace(document, sections=tuple(sections)))


class Drawn(Shown):
    """Something whose report has charts that can be had one by one."""

    @property
    def charts(self) -> tuple[str, ...]:
        """Names of the charts that :meth:`plot` draws."""
        return tuple(self._charts)

    def plot(self, chart: str | None = None) -> Figure:
        """Return a chart as a figure of matplotlib.

        Parameters
        ----------
        chart : str, optional
            One of :attr:`charts`; the first of them if it is not given.

        Raises
        ------
        InputError
            If there is no such chart.
        """
        from planner.report.charts.drawing import drawing  # noqa: PLC0415 - imports matplotlib

        name = next(iter(self._charts), "") if chart is None else chart
        if name not in self._charts:
            known = ", ".join(self._charts) or "none: nothing was measured"
            near = did_you_mean(name, self._charts)
            raise InputError(f"chart: must be one of {known}, got {name!r:.60}{near}")
        return drawing(self._charts[name])

    @cached_property
    def _charts(self) -> dict[str, Chart]:
        return {each.name: each for each in self._document.blocks() if isinstance(each, Chart)}


class Computed(Shown):
    """What a command computes, and prints as JSON."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what the command prints with ``--json``."""

    @cached_property
    def _document(self) -> Document:
        """The report."""
        return document_of_json(self.to_json())
