"""Errors that tell a user what to do, and notices that count what was left out."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class PlannerError(Exception):
    """Base of every error that the command line turns into a message and an exit code."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input.

    Parameters
    ----------
    message : str
        ``must be <rule>, got <value!r>; <what to do>``.
    path : str
        Key path such as ``fleet.replicas``, or empty.
    file : str
        File as the user named it, or empty.
    line, column : int
        Position, counted from 1; 0 where there is none.
    """

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


class InputError(PlannerError):
    """Input that cannot be used; carries every problem found, not only the first.

    Parameters
    ----------
    problems : str or Problem or sequence of Problem
        What is wrong.
    """

    exit_code = 2

    def __init__(self, problems: str | Problem | Sequence[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems: tuple[Problem, ...] = (
            (problems,) if isinstance(problems, Problem) else tuple(problems)
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True)
class Notice:
    """Something a reader or a model left out, changed or assumed, with how often.

    Parameters
    ----------
    message : str
        A sentence without its count, e.g. ``rows with zero output tokens left out``.
    count : int
        How often; 0 where counting makes no sense.
    """

    message: str
    count: int = 0

    def __str__(self) -> str:
        return f"{self.count:,} {self.message}" if self.count else self.message


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return ``; did you mean 'x' or 'y'?`` for the options nearest to `word`, or ``""``."""
    by_lower = {option.lower(): option for option in options}
    near = difflib.get_close_matches(word.lower(), by_lower, n=3, cutoff=0.5)
    if not near:
        return ""
    return "; did you mean " + " or ".join(repr(by_lower[name]) for name in near) + "?"
