"""The result as JSON: the same result gives the same bytes."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.results.result import Result

#: An array of numbers over several lines. No string holds a line end: JSON escapes them.
_NUMBER = r"(?:-?[\d.eE+-]+|null)"
_NUMBERS = re.compile(rf"\[\n\s+({_NUMBER}(?:,\n\s+{_NUMBER})*)\n\s+\]")


def result_schema_text(command: str = "simulate") -> str:
    """Return the JSON Schema of what a command prints with ``--json``, as text.

    Definitions that it shares with ``simulate`` or ``capacity`` are taken from there.

    Parameters
    ----------
    command : str
        One whose schema is in this package, as ``sweep``; ``points`` is ``validate`` of a table.
    """
    text = _schema_file(command)
    schema, shared = json.loads(text), _shared()
    definitions = schema.setdefault("$defs", {})
    while missing := _referred(schema) - definitions.keys():
        definitions |= {name: shared[name] for name in sorted(missing)}
    return text if command == "simulate" else json.dumps(schema, indent=1) + "\n"


def _shared() -> dict[str, Any]:
    """Return the definitions that schemas have in common, a whole simulation among them."""
    whole, capacity = json.loads(_schema_file("simulate")), json.loads(_schema_file("capacity"))
    simulation = {key: value for key, value in whole.items() if key not in {"$schema", "$defs"}}
    shared: dict[str, Any] = capacity["$defs"] | whole["$defs"] | {"simulation": simulation}
    return shared


def _schema_file(command: str) -> str:
    return files(__package__).joinpath(f"{command}.schema.json").read_text(encoding="utf-8")


def _referred(schema: object) -> set[str]:
    """Return the names of the definitions that a schema refers to."""
    return set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))


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
