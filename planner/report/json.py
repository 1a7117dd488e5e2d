"""The result as JSON: the same result gives the same bytes."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.results.summary import Result


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
    return json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n"
