"""From results to a report: which page shows which kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.report.inputs.calibrated import Calibrated
from planner.report.inputs.judged import Judged
from planner.report.inputs.limited import Limited
from planner.report.inputs.planned import Planned
from planner.report.inputs.reading import input_of, read_input
from planner.report.inputs.simulated import Simulated
from planner.report.inputs.swept import Swept
from planner.report.inputs.validated import Compared, ValidatedPoints
from planner.report.pages.calibration import calibration_document
from planner.report.pages.capacity import capacity_document
from planner.report.pages.compare import compare_document
from planner.report.pages.comparison import comparison_document
from planner.report.pages.plan import plan_document
from planner.report.pages.points import points_document
from planner.report.pages.quality import quality_document
from planner.report.pages.simulate import simulate_document
from planner.report.pages.sweep import sweep_document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from planner.report.document import Document
    from planner.report.inputs.reading import Input


def document_of(paths: Sequence[Path]) -> Document:
    """Return the report of the results at `paths`.

    Raises
    ------
    InputError
        If one cannot be read, or they cannot be shown together.
    """
    inputs = [read_input(path) for path in paths]
    if not inputs:
        raise InputError("RUN: must be one or more results, got none; give a folder or a file")
    runs = [(each.label, each.content) for each in inputs if isinstance(each.content, Simulated)]
    if len(inputs) == 1:
        return _document(inputs[0])
    if len(inputs) == len(runs):
        return compare_document(runs)
    kinds = ", ".join(each.kind for each in inputs)
    both = "make two pages, one of the runs and one of the other" if runs else "make a page of each"
    rule = "must all be of simulate to stand side by side"
    raise InputError(f"RUN: {rule}, got: {kinds}; {both}")


def _document(only: Input) -> Document:
    """Return the report of one result."""
    return _PAGES[type(only.content)](only.content)


#: What makes the page of each kind of result.
_PAGES: dict[type, Callable[[Any], Document]] = {
    Simulated: simulate_document,
    Planned: plan_document,
    Limited: capacity_document,
    Swept: sweep_document,
    ValidatedPoints: points_document,
    Compared: comparison_document,
    Calibrated: calibration_document,
    Judged: quality_document,
}


def document_of_json(content: dict[str, Any]) -> Document:
    """Return the report of a result that a command has just made, by the JSON that it prints."""
    return _document(input_of(content, "result", "result"))
