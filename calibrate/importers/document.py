"""JSON documents of strangers: parsed within bounds, read with the place in every message."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import InputError, Problem, shown
from planner.report.progress import silent
from planner.resources import require_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from calibrate.importers.imported import Setting, Statistics
    from calibrate.importers.rows import FloatArray

#: Memory that a container and an item of it take at most once parsed. [B]
_CONTAINER, _ITEM = 240.0, 48.0
#: Names of statistics in use.
_STATISTIC = re.compile(r"(?:mean|std|min|max|p\d{1,2}(?:\.\d{1,3})?)")
_ALIASES = {"avg": "mean", "median": "p50", "std_dev": "std"}
_BLANK = re.compile(r"\s*")


@dataclass(frozen=True)
class Node:
    """A value of a document, and where it is.

    Parameters
    ----------
    value : object
        What ``json`` makes of it.
    file : str
        The file as the user named it.
    path : str
        Keys that lead to it, as ``benchmarks.0.requests``.
    line : int
        Line on which its document begins.
    """

    value: Any
    file: str
    path: str = ""
    line: int = 0

    def problem(self, message: str, path: str = "") -> Problem:
        """Return a problem at this value, or at `path` below it."""
        return Problem(message, self._below(path), self.file, self.line)

    def fail(self, message: str) -> InputError:
        """Return an error at this value."""
        return InputError(self.problem(message))

    def _below(self, path: str) -> str:
        return ".".join(part for part in (self.path, path) if part)

    def get(self, *keys: str) -> Node:
        """Return what is below `keys`, None where a key or an object is missing."""
        value = self.value
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return Node(value, self.file, self._below(".".join(keys)), self.line)

    def has(self, *keys: str) -> bool:
        """Return whether it is an object with all these keys."""
        return isinstance(self.value, dict) and all(key in self.value for key in keys)

    def items(self) -> list[Node]:
        """Return the values of a list; none of null.

        Raises
        ------
        InputError
            If it is no list.
        """
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.fail(f"must be a list, got {shown(self.value)}")
        return [
            Node(value, self.file, self._below(str(k)), self.line)
            for k, value in enumerate(self.value)
        ]

    def number(self) -> float:
        """Return a number, NaN for null.

        Raises
        ------
        InputError
            If it is no number.
        """
        value = self.value
        if value is None:
            return float("nan")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(f"must be a number, got {shown(value)}")
        try:
            return float(value)
        except OverflowError:
            return float("inf")

    def numbers(self, length: int | None = None) -> FloatArray:
        """Return a list of numbers, NaN for null, shape ``(n,)``.

        Raises
        ------
        InputError
            If it is no list of `length` numbers.
        """
        if not isinstance(self.value, list):
            raise self.fail(f"must be a list of numbers, got {shown(self.value)}")
        if length is not None and len(self.value) != length:
            raise self.fail(
                f"must have {length:,} items as the other lists, got {len(self.value):,}"
            )
        return np.array([each.number() for each in self.items()], np.float64)

    def setting(self) -> Setting:
        """Return a plain value; None for anything else, and for what JSON has no number for."""
        if isinstance(self.value, float):
            return self.value if np.isfinite(self.value) else None
        return self.value if isinstance(self.value, bool | int | str) else None

    def statistics(self, scale: float = 1.0) -> Statistics:
        """Return the named statistics of an object, multiplied by `scale`; others are left out.

        ``avg`` and ``median`` become ``mean`` and ``p50``; a nested ``percentiles`` is read too.

        Raises
        ------
        InputError
            If one of them is negative or no number.
        """
        found: Statistics = {}
        for part in (self, self.get("percentiles")):
            for key in part.value if isinstance(part.value, dict) else ():
                name = _ALIASES.get(key) or str(key)
                if _STATISTIC.fullmatch(name):
                    value = part.get(key).checked()
                    if value is not None:
                        found[name] = value * scale
        return found

    def first(self, names: tuple[str, ...]) -> Node:
        """Return the first of `names` that is not null, the last of them if all are."""
        return next(
            (self.get(each) for each in names if self.get(each).value is not None),
            self.get(names[-1]),
        )

    def checked(self) -> float | None:
        """Return a number >= 0, None where it is null or not finite, as of no requests.

        Raises
        ------
        InputError
            If it is negative or no number.
        """
        value = self.number()
        if value < 0:
            raise self.fail(f"must be >= 0, got {value:g}")
        return value if np.isfinite(value) else None


def parse_documents(text: str, file: str, progress: Callable[[float], None] = silent) -> list[Node]:
    """Return the JSON documents of a text, one after another as in JSON Lines.

    Parameters
    ----------
    text : str
        What the file holds.
    file : str
        The file as the user named it.
    progress : callable
        Called with the share of the text that is read.

    Raises
    ------
    InputError
        If it is no JSON, nested too deeply, or would not fit into memory.
    """
    _require_memory_for(text, file)
    return list(_documents(text, file, progress))


def first_document(text: str, file: str) -> Node:
    """Return the first of the JSON documents of a text, which holds one.

    Raises
    ------
    InputError
        If it is no JSON, nested too deeply, or would not fit into memory.
    """
    _require_memory_for(text, file)
    return next(_documents(text, file))


def _require_memory_for(text: str, file: str) -> None:
    """Refuse text whose values would not fit into memory, before it is parsed."""
    containers = text.count("[") + text.count("{")
    items = containers + text.count(",") + text.count(":")
    needed = _CONTAINER * containers + _ITEM * items + 4.0 * len(text)
    require_memory(needed, "its values; cut the file", file)


def _documents(text: str, file: str, progress: Callable[[float], None] = silent) -> Iterator[Node]:
    decoder = json.JSONDecoder()
    at, line, counted = _skip(text, 0), 1, 0
    while at < len(text):
        line += text.count("\n", counted, at)
        counted = at
        progress(at / len(text))
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            cut = "; the file ends here: was it cut?" if error.pos >= len(text.rstrip()) - 1 else ""
            raise InputError(
                Problem(f"must be JSON, got {error.msg}{cut}", file=file, line=error.lineno)
            ) from None
        except RecursionError:
            raise InputError(
                Problem("must be JSON of a usual depth, got a deeper one", file=file, line=line)
            ) from None
        except ValueError as error:  # a number of thousands of digits
            raise InputError(Problem(f"must be JSON, got {error}", file=file, line=line)) from None
        yield Node(value, file, "", line)
        at = _skip(text, at)


def _skip(text: str, at: int) -> int:
    """Return where the next value begins."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


def known(**values: float | None) -> dict[str, float]:
    """Return the values that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def unique(names: list[str]) -> tuple[str, ...]:
    """Return names with a number behind those that come again."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(found) if len(set(found)) == len(found) else tuple(map(str, range(len(found))))
