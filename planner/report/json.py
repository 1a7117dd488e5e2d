"""The result as JSON: the same result gives the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.results.summary import Result


def dumps(result: Result) -> str:
    """Return the result as indented JSON with a final newline, keys in their fixed order.

    Raises
    ------
    ValueError
        If a number is not finite: JSON has none, undefined values are null.
    """
    return json.dumps(result.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
