"""The reference of scenario files as Markdown: every key, from the same models that read them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from planner.scenario.schema import scenario_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Node = Mapping[str, Any]

_HEAD = """\
# Scenario reference

Every key of a scenario file, made from the models that read it by
`planner schema --markdown > docs/scenario-reference.md`. The JSON Schema of the same models is
`planner schema`; editors complete and check with it.

Quantities are written with their unit, as `200 ms`; `[s]` in a meaning is the unit inside.
`--set` and `--vary` name a key by its path from the top, as `fleet.replicas`.
"""
#: A name of Python in a docstring, as :class:`RequestClass`.
_ROLE = re.compile(r":\w+:`([^`]+)`")
_DEFINITIONS = "#/$defs/"


def reference_text() -> str:
    """Return the reference: the scenario first, then each part where it is first used."""
    schema = scenario_schema()
    parts = {"Scenario": schema, **schema["$defs"]}
    order = ["Scenario"]
    for name in order:  # grows while it is gone through
        order += [each for each in dict.fromkeys(_references(parts[name])) if each not in order]
    return "\n".join([_HEAD, *(_section(name, parts[name]) for name in order)])


def _references(node: object) -> Iterator[str]:
    """Yield the parts that a part of the schema refers to, in order; not its own definitions."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].removeprefix(_DEFINITIONS)
        for key, child in node.items():
            if key not in {"$defs", "discriminator"}:
                yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


def _section(name: str, node: Node) -> str:
    """Return the heading of a part, what it is, and a table of its keys."""
    lines = [f"## {name}", "", _text(node.get("description", "")), ""]
    keys = node.get("properties", {})
    if not keys:
        return "\n".join([*lines, f"Written as {value_text(node)}.", ""])
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, each in keys.items():
        needed = key in node.get("required", ())
        default = "required" if needed else _default(each)
        if key == "kind" and "const" in each:
            default = ""  # it is what tells the kind apart
        meaning = _text(each.get("description", ""))
        lines.append(f"| `{key}` | {value_text(each)} | {default} | {meaning} |")
    return "\n".join([*lines, ""])


def value_text(node: Node) -> str:
    """Return what may be written at a place of the schema, as Markdown for a table.

    Examples
    --------
    >>> value_text({"type": "integer", "minimum": 1})
    'whole number ≥ 1'
    >>> value_text({"type": "array", "items": {"$ref": "#/$defs/Stage"}})
    'list of [Stage](#stage)'
    """
    if "$ref" in node:
        name = node["$ref"].removeprefix(_DEFINITIONS)
        return f"[{name}](#{name.lower()})"
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{each}`" for each in node["enum"])
    for several in ("oneOf", "anyOf"):
        if several in node:
            ways = [value_text(each) for each in node[several] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(ways))
    return _plain_value(node)


def _plain_value(node: Node) -> str:
    """Return what may be written where there is one type."""
    kind = node.get("type")
    if kind == "array":
        items = node.get("items") or {"type": "value"}
        fixed = node.get("prefixItems")
        inside = ", ".join(map(value_text, fixed)) if fixed else value_text(items)
        return f"list of {inside}"
    if kind == "object":
        return f"mapping of names to {value_text(node.get('additionalProperties') or {})}"
    if kind == "string" and "examples" in node:
        return "text as " + ", ".join(f"`{each}`" for each in node["examples"])
    if kind == "string" and "%" in node.get("pattern", ""):
        return "text as `95%`"
    names = {"integer": "whole number", "string": "text", "boolean": "`true`, `false`"}
    return names.get(str(kind), str(kind or "value")) + _bounds(node)


def _bounds(node: Node) -> str:
    """Return the bounds of a number in words."""
    said = [
        f"{sign} {node[key]:,}" if abs(node[key]) < 1e12 else f"{sign} {node[key]:.4g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in node
    ]
    return f" {' and '.join(said)}" if said else ""


def _default(node: Node) -> str:
    """Return the default; nothing where a key that is left out has no value."""
    default = node.get("default")
    if default is None or default in ("", [], {}):
        return ""
    if isinstance(default, float):
        return f"`{default:g}`"
    if isinstance(default, dict):
        kind = default.get("kind")
        return f"`{{kind: {kind}}}`" if kind else "its own defaults"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _text(text: str) -> str:
    """Return a text that a table does not take for its own marks, nor Markdown for tags."""
    text = _ROLE.sub(r"\1", text)
    return text.replace("|", r"\|").replace("<", "&lt;")
