"""JSON Schema of the scenario file, for editors: completion, units, and what each key means."""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

from planner.scenario.model import Scenario
from planner.units import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A parameter in a NumPy docstring: names, type, and the indented lines below.
_PARAMETER = re.compile(r"^(\S[^\n:]*?)(?: : [^\n]*)?\n((?:[ ]+[^\n]*\n?)+)", re.MULTILINE)
#: Quantities by the pattern of their spelling in a file.
_QUANTITIES = {each.schema()["pattern"]: each for each in QUANTITIES}
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scenario file."""
    schema = {"$schema": _DRAFT, **Scenario.model_json_schema(mode="validation")}
    for node in [schema, *schema["$defs"].values()]:
        _describe(node)
        _spell_defaults(node)
    for union in _unions(schema):  # a kind has a default in Python, but tells members apart here
        union["required"] = [union["discriminator"]["propertyName"]]
    return schema


def schema_text() -> str:
    """Return :func:`scenario_schema` as the text of the schema file."""
    return json.dumps(scenario_schema(), indent=1, ensure_ascii=False) + "\n"


def _describe(node: dict[str, Any]) -> None:
    """Split a class's docstring into its summary and the descriptions of its properties."""
    text = re.sub(r" \[\d\]_|``", "", inspect.cleandoc(node.get("description", "")))
    summary, _, rest = text.partition("\nParameters\n")
    if text:
        node["description"] = " ".join(summary.partition("\nReferences\n")[0].split())
    parameters = rest.partition("\n")[2].split("\n\n")[0]
    for match in _PARAMETER.finditer(parameters):
        for name in match[1].split(", "):
            if name in node.get("properties", {}):
                node["properties"][name]["description"] = " ".join(match[2].split())


def _spell_defaults(node: dict[str, Any]) -> None:
    """Give defaults of quantities their units, as a file has to write them."""
    for each in node.get("properties", {}).values():
        quantity = _QUANTITIES.get(each.get("pattern"))
        if quantity is not None and "default" in each:
            each["default"] = quantity.text(each["default"])


def _unions(node: object) -> Iterator[dict[str, Any]]:
    """Yield every part of a schema that tells alternatives apart by a discriminator."""
    if isinstance(node, dict):
        if "discriminator" in node:
            yield node
        for child in node.values():
            yield from _unions(child)
    elif isinstance(node, list):
        for child in node:
            yield from _unions(child)
