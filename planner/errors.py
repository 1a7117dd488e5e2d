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


def shown(value: object, limit: int = 60) -> str:
    """Return ``repr(value)``, cut in the middle if it is longer than `limit` characters."""
    text = repr(value)
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return ``; did you mean 'x' or 'y'?`` for the options nearest to `word`, or ``""``.

    Options that contain a word of three letters or more come first, then those spelled alike.
    """
    by_lower = {option.lower(): option for option in options}
    word = word.lower()
    near = [name for name in by_lower if word in name] if len(word) >= 3 else []
    near += difflib.get_close_matches(
        word, [each for each in by_lower if each not in near], n=3, cutoff=0.6
    )
    if not near:
        return ""
    return "; did you mean " + " or ".join(repr(by_lower[name]) for name in near[:3]) + "?"
