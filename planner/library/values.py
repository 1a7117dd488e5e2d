"""Values of keys, as the library takes them and as ``--set`` and ``--vary`` write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.scenario.document import parse_yaml
from planner.scenario.locate import placed
from planner.scenario.overrides import apply_overrides

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from planner.planning.grid import Source

#: What the problem of an override has as its place, before the override.
_SET = "--set "


def override_texts(values: Mapping[str, object] | Sequence[str]) -> list[str]:
    """Return keys and values as ``--set`` takes them; what is no text is written as JSON.

    Raises
    ------
    InputError
        If a value is nothing that YAML holds, or one text was given instead of several.

    Examples
    --------
    >>> override_texts({"fleet.replicas": 3, "traffic.rate": "5 req/s"})
    ['fleet.replicas=3', 'traffic.rate="5 req/s"']
    """
    if isinstance(values, str):
        raise InputError(f"values: must be a mapping or a list of texts, got {values!r:.60}")
    if isinstance(values, Mapping):
        return [f"{key}={value_text(key, value)}" for key, value in values.items()]
    return [str(each) for each in values]


def value_text(key: str, value: object) -> str:
    """Return a value as YAML in one line.

    Raises
    ------
    InputError
        If YAML does not hold it.
    """
    if hasattr(value, "tolist"):  # a number or an array of numpy
        value = value.tolist()
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        rule = "must be a number, text, boolean, None, list or mapping of such"
        raise InputError(f"{key}: {rule}, got {value!r:.60}") from error


def axis_texts(vary: Mapping[str, Iterable[object] | str] | Sequence[str]) -> list[str]:
    """Return the axes of a grid as ``--vary`` takes them.

    Raises
    ------
    InputError
        If a value is nothing that YAML holds, or one text was given instead of several.

    Examples
    --------
    >>> axis_texts({"fleet.replicas": range(1, 4), "traffic.rate": "1:50:1"})
    ['fleet.replicas=1,2,3', 'traffic.rate=1:50:1']
    """
    if isinstance(vary, str):
        raise InputError(f"vary: must be a mapping or a list of texts, got {vary!r:.60}")
    if not isinstance(vary, Mapping):
        return list(vary)
    return [
        f"{key}={values}"
        if isinstance(values, str)
        else f"{key}={','.join(value_text(key, each) for each in values)}"
        for key, values in vary.items()
    ]


@contextmanager
def located(source: Source) -> Iterator[None]:
    """Give problems their place: the line of the text, or the key that was set."""
    try:
        yield
    except InputError as error:
        document = parse_yaml(source.text, source.file)
        if all(each.file for each in error.problems):
            found = list(error.problems)
        else:
            apply_overrides(document, source.overrides)
            found = [placed(each, document) for each in error.problems]
        raise InputError(
            [replace(each, file=each.file.removeprefix(_SET)) for each in found]
        ) from None
