"""The grid of a sweep: a scenario as it is written, and the axes that its values are set on."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.errors import InputError, Problem
from planner.planning.vary import COUNTED, MOST_CELLS, Axis, Range, parse_vary, resolve
from planner.scenario.document import Document, parse_yaml
from planner.scenario.overrides import apply_overrides
from planner.scenario.reader import read_scenario

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Source(NamedTuple):
    """A scenario as it is written, before the values of a cell are set.

    Parameters
    ----------
    text : str
        The file's text.
    file : str
        As the user named it.
    folder : Path
        That relative paths start from.
    overrides : tuple of str
        Of every cell.
    seed : int or None
        Instead of the scenario's.
    """

    text: str
    file: str
    folder: Path
    overrides: tuple[str, ...] = ()
    seed: int | None = None


def read_axes(source: Source, vary: Sequence[str]) -> tuple[Axis, ...]:
    """Return the axes of a grid.

    Raises
    ------
    InputError
        If there is none, one names no key of the scenario, a key is varied twice or undone by
        another axis or the seed, or there would be more than
        :data:`planner.planning.vary.MOST_CELLS` cells.
    """
    if not vary:
        raise InputError("sweep must vary something; add --vary fleet.replicas=1:8")
    parsed = [parse_vary(text) for text in vary]
    keys = [key for key, _ in parsed]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InputError(f"--vary {twice}: must be given once, with all its values; got it twice")
    _check_each_has_an_effect(keys, source)
    sizes = [
        sum(item.size if isinstance(item, Range) else 1 for item in items) for _, items in parsed
    ]
    cells = math.prod(sizes)
    if cells > MOST_CELLS:
        product = " x ".join(f"{size:,}" for size in sizes)
        got = f"{cells:,}" if cells <= COUNTED else f"more than {COUNTED:,}"
        said = f"got {got} ({product})" if len(sizes) > 1 else f"got {got}"
        raise InputError(
            f"--vary: must make at most {MOST_CELLS:,} cells, {said}; write larger steps or "
            "fewer values"
        )
    return tuple(
        _axis(source, key, items, f"--vary {text}")
        for (key, items), text in zip(parsed, vary, strict=True)
    )


def _check_each_has_an_effect(keys: Sequence[str], source: Source) -> None:
    """Refuse an axis that another one, or the seed of every cell, would undo."""
    for key in keys:
        inside = next((each for each in keys if each.startswith(f"{key}.")), None)
        if inside is not None:
            message = f"must not hold {inside}, which is varied as well; vary one of them"
            raise InputError(f"--vary {key}: {message}")
    if source.seed is not None and "simulation.seed" in keys:
        message = f"must be left out where all cells have one seed, got {source.seed} for all"
        raise InputError(f"--vary simulation.seed: {message}; leave out the one or the other")


def _axis(source: Source, key: str, items: tuple[Any, ...], written: str) -> Axis:
    """Return the axis, after a look at whether the scenario has such a key."""
    axis = resolve(key, items, partial(_accepts, source, key), written)
    problems = _problems(source, key, axis.choices[0].text)
    unknown = [each for each in problems if each.message.startswith("must be a known key")]
    try:
        apply_overrides(document_of(source), [f"{key}={axis.choices[0].text}"])
    except InputError as error:
        unknown = list(error.problems)
    if unknown:
        raise InputError([Problem(each.message, each.path, written) for each in unknown])
    return axis


def today(source: Source, axis: Axis) -> int | None:
    """Return the place of the value of an axis that leaves the scenario as it is."""
    own = read_scenario(*source)
    for k, value in enumerate(axis.choices):
        setting = f"{axis.key}={value.text}"
        try:
            changed = read_scenario(*source._replace(overrides=(*source.overrides, setting)))
        except InputError:
            continue
        if changed == own:
            return k
    return None


def document_of(source: Source) -> Document:
    """Return the scenario's data with the overrides of every cell."""
    document = parse_yaml(source.text, source.file)
    apply_overrides(document, source.overrides)
    return document


def _accepts(source: Source, key: str, text: str) -> bool:
    return not _problems(source, key, text)


def _problems(source: Source, key: str, text: str) -> list[Problem]:
    """Return what is wrong with `text` as the value of `key`; problems of others are left out."""
    try:
        read_scenario(*source._replace(overrides=(*source.overrides, f"{key}={text}")))
    except InputError as error:
        place = f"--set {key}="[:70]
        return [each for each in error.problems if each.file.startswith(place)]
    return []
