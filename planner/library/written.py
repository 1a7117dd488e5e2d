"""Results that commands wrote, read back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from planner.library.shown import Drawn
from planner.report.markdown import render_markdown
from planner.report.pages.choose import document_of

if TYPE_CHECKING:
    from planner.report.document import Document


@dataclass(frozen=True, repr=False)
class Report(Drawn):
    """The report of what commands wrote; made by :func:`planner.read`.

    Parameters
    ----------
    report : planner.report.document.Document
        What it says.
    """

    report: Document

    in_notebook = (
        "answer", "latency", "plan", "choices", "capacity", "runs", "cells",
        "errors", "coefficients", "residuals", "evidence", "settings", "quality",
    )  # fmt: skip

    def __str__(self) -> str:
        return render_markdown(self.report)

    @cached_property
    def _document(self) -> Document:
        return self.report


def read(*runs: str | Path) -> Report:
    """Return the report of what commands wrote, as ``planner report`` makes it.

    Parameters
    ----------
    *runs : str or Path
        Folders that ``--out`` wrote, or files with the JSON that a command printed: a simulation, a
        sweep, a plan, a capacity, a validation, a calibration; or several simulations, which stand
        side by side.

    Raises
    ------
    InputError
        If there is none, one cannot be read, or they cannot stand side by side.
    """
    return Report(document_of([Path(each) for each in runs]))
