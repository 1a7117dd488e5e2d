"""Whether one of many simulations meets its objectives, in a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.document import Cell

if TYPE_CHECKING:
    from planner.report.document import State
    from planner.report.inputs.swept import Point


def verdict(cell: Point) -> Cell:
    """Return whether a cell meets its objectives."""
    if cell.steady is False:
        return Cell("no steady state", "no steady state", "bad")
    if not cell.objectives:
        return Cell("none set", "none set")
    missed = sum(not each.met for each in cell.objectives)
    if missed:
        return Cell(f"{missed} of {len(cell.objectives)} missed", f"{missed} missed", "bad")
    state: State = "good" if all(each.sure for each in cell.objectives) else "unsure"
    return Cell("met" if state == "good" else "met, not sure", "met", state)
