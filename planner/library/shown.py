"""What every result of the library can do: be saved, and show itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from planner.report.document import Chart
from planner.report.exports import write_page
from planner.report.html.fragment import render_fragment
from planner.report.pages.choose import document_of_json

if TYPE_CHECKING:
    from pathlib import Path

    from planner.report.document import Document


class Shown(ABC):
    """A result with a report of its own."""

    #: Sections of the report that a notebook shows the tables of.
    in_notebook: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what the command prints with ``--json``."""

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

    @cached_property
    def _document(self) -> Document:
        """The report."""
        return document_of_json(self.to_json())
