"""Places of problems that are found only when a scenario is resolved or run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.scenario.document import Document, KeyPath, parse_yaml, read_text
from planner.scenario.overrides import apply_overrides, set_value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from planner.errors import Problem
    from planner.scenario.reader import Given


def locate(
    problems: Sequence[Problem],
    path: Path,
    overrides: Sequence[str],
    options: Sequence[Given] = (),
) -> list[Problem]:
    """Give problems that name a key path, but no file, the place of that key in a scenario.

    Parameters
    ----------
    problems : sequence of Problem
        As found in the resolved scenario.
    path : Path
        The scenario's file.
    overrides : sequence of str
        As for :func:`planner.scenario.reader.load_scenario`; a value that one of them set has
        it as its place.
    options : sequence of Given
        What other options give; likewise.
    """
    try:
        document = parse_yaml(read_text(path), str(path))
        apply_overrides(document, overrides)
        for each in options:
            set_value(document, each.path, each.value, each.source)
    except InputError:
        return list(problems)
    return [placed(each, document) for each in problems]


def placed(problem: Problem, document: Document) -> Problem:
    """Return a problem that names a key path, but no file, with the place of that key."""
    if not problem.path or problem.file:
        return problem
    steps: KeyPath = tuple(
        int(step) if step.isdigit() else step for step in problem.path.split(".")
    )
    return document.problem(steps, problem.message)
