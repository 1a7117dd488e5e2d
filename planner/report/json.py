"""The result as JSON: the same result gives the same bytes."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.results.summary import Result

#: An array of numbers over several lines. No string holds a line end: JSON escapes them.
_NUMBER = r"(?:-?[\d.eE+-]+|null)"
_NUMBERS = re.compile(rf"\[\n\s+({_NUMBER}(?:,\n\s+{_NUMBER})*)\n\s+\]")


def result_schema_text() -> str:
    """Return the JSON Schema of what :func:`dumps` returns, as text."""
    return files(__package__).joinpath("simulate.schema.json").read_text(encoding="utf-8")


def dumps(result: Result) -> str:
    """Return the result as indented JSON with a final newline, keys in their fixed order.

    In ASCII, other characters escaped: it reads the same in any encoding and on any terminal.

    Raises
    ------
    ValueError
        If a number is not finite: JSON has none, undefined values are null.
    """
    return indented(result.to_json())


def indented(content: object) -> str:
    """Return JSON values as indented text with a final newline, arrays of numbers on one line.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(content, indent=2, allow_nan=False)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"
