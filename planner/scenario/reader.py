"""Scenario files: YAML, overrides and validation, every problem with its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from planner.errors import InputError, Problem
from planner.scenario.document import Document, KeyPath, parse_yaml, read_text, text_of
from planner.scenario.messages import problems_of
from planner.scenario.model import Scenario
from planner.scenario.overrides import apply_overrides, set_value
from planner.units import FROM_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence


class Given(NamedTuple):
    """A value that an option gives in place of what the file says.

    Parameters
    ----------
    path : tuple of str
        Where it belongs.
    value : object
        As a file would have it.
    source : str
        The option as typed, for messages.
    """

    path: KeyPath
    value: object
    source: str


def load_scenario(
    path: str | Path,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    *,
    options: Sequence[Given] = (),
) -> Scenario:
    """Return the scenario in a file.

    Parameters
    ----------
    path : str or Path
        The file; relative paths in it start from its folder.
    overrides : sequence of str
        ``key=value`` as in ``fleet.replicas=3``, see :func:`apply_overrides`.
    seed : int, optional
        Instead of the one in the file.
    options : sequence of Given
        What other options give.

    Raises
    ------
    InputError
        With every problem of the file and of the overrides.
    """
    path = Path(path)
    return read_scenario(read_text(path), str(path), path.parent, overrides, seed, options=options)


def read_scenario(
    text: str,
    file: str = "<text>",
    base_dir: Path = Path(),
    overrides: Sequence[str] = (),
    seed: int | None = None,
    *,
    options: Sequence[Given] = (),
) -> Scenario:
    """Return the scenario in a text, as :func:`load_scenario` does for a file.

    Raises
    ------
    InputError
        With every problem of the text and of the overrides.
    """
    document = parse_yaml(text, file)
    if not isinstance(document.data, dict):
        got = "an empty file" if document.data is None else text_of(document.data)
        message = f"must be a mapping with the keys of a scenario, got {got}; see planner init"
        raise InputError([*document.problems, Problem(message, file=file)])
    problems = list(document.problems)
    try:
        apply_overrides(document, overrides)
    except InputError as error:
        problems += error.problems
    if seed is not None:
        options = [Given(("simulation", "seed"), seed, f"--seed {seed}"), *options]
    for each in options:
        try:
            set_value(document, each.path, each.value, each.source)
        except InputError as error:
            problems += error.problems
    try:
        scenario = Scenario.model_validate(document.data, context=FROM_FILE)
    except ValidationError as error:
        problems += problems_of(error, document, Scenario)
    if problems:
        raise InputError(_in_order(problems, document))
    return scenario.with_base_dir(base_dir)


def _in_order(problems: list[Problem], document: Document) -> list[Problem]:
    """Return the problems of the file by line, then those of the options."""
    return sorted(problems, key=lambda each: (each.file != document.file, each.line, each.column))
