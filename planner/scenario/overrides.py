"""``--set key=value``: changes to a scenario's data before it is validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.errors import InputError, Problem, did_you_mean, shown
from planner.scenario.document import Document, KeyPath, Place, dotted, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Characters of an override that messages repeat.
MOST_SHOWN = 80


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Set the values of `overrides` in `document`, one after the other.

    Parameters
    ----------
    document : Document
        Changed in place; values that were set have the override as their place.
    overrides : sequence of str
        ``fleet.replicas=3``. A dotted key selects keys of mappings, and items of lists by index
        or by their ``name``; the value is YAML. Mappings that are not there are made.

    Raises
    ------
    InputError
        With a problem for each override that cannot be applied.
    """
    problems: list[Problem] = []
    for override in overrides:
        try:
            _apply(document, override)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)


def set_value(document: Document, path: KeyPath, value: object, source: str) -> None:
    """Put `value` at `path`, made of keys and indices, as given by the option `source`.

    Raises
    ------
    InputError
        If something on the way is no mapping or list with such an item.
    """
    place = Place(source)
    node: Any = document.data
    for depth, step in enumerate(path):
        here = path[:depth]
        if isinstance(node, dict):
            key: str | int = str(step)
        elif isinstance(node, list):
            key = _index(node, str(step), here, source)
        else:
            what = f"a mapping to hold {step!r}, got {shown(node)}"
            raise InputError(Problem(f"must be {what}", dotted(here), source))
        path = (*here, key, *path[depth + 1 :])
        if depth == len(path) - 1:
            node[key] = value
        elif isinstance(node, dict) and node.get(str(key)) is None:
            node[key] = {}
            document.keys[path[: depth + 1]] = document.values[path[: depth + 1]] = place
        node = node[key]
    for places in (document.keys, document.values):
        for old in [old for old in places if old[: len(path)] == path]:
            del places[old]
        places[path] = place


def _apply(document: Document, override: str) -> None:
    source = f"--set {override}" if len(override) <= MOST_SHOWN else f"--set {override[:77]}..."
    key, equals, text = override.partition("=")
    steps = tuple(step.strip() for step in key.split("."))
    if not equals or not all(steps):
        message = "must read key=value, as in --set fleet.replicas=3"
        raise InputError(Problem(message, file=source))
    try:
        value = parse_yaml(text, source)
    except InputError as error:
        problem = Problem(f"{error.problems[0].message}; put the value in quotes", key, source)
        raise InputError(problem) from error
    if value.problems:
        raise InputError([Problem(each.message, key, source) for each in value.problems])
    set_value(document, steps, value.data, source)


def _index(items: list[Any], step: str, path: KeyPath, source: str) -> int:
    """Return the index of the item that `step` selects by number or by name."""
    if step.isascii() and step.isdigit():
        if int(step) < len(items):
            return int(step)
        rule = f"an index below {len(items)}" if items else "an index into a list with items"
        raise InputError(Problem(f"must be {rule}, got {shown(step)}", dotted(path), source))
    names = [str(item.get("name", "")) if isinstance(item, dict) else "" for item in items]
    if names.count(step) == 1:
        return names.index(step)
    known = did_you_mean(step, filter(None, names))
    message = f"must be an index or the name of one item, got {shown(step)}{known}"
    raise InputError(Problem(message, dotted(path), source))
