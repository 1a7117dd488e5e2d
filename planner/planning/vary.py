"""``--vary key=values``: one axis of a grid, as ``traffic.rate=1:50:1`` or ``a.b=bf16,fp8``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.errors import InputError, Problem, shown
from planner.scenario.document import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

#: Most cells of a grid.
MOST_CELLS = 100_000
#: Values of a range are counted up to here.
COUNTED = 10**15
#: Unit of a bare number at a key that wants a rate.
BARE_RATE = "req/s"

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
_UNIT = r"[^\W\d_][\w/]*|/\w+|%"
_PART = rf"(\$?)\s*({_NUMBER})(\s*)({_UNIT}|)"
_RANGE = re.compile(rf"\s*{_PART}\s*:\s*{_PART}\s*(?::\s*{_PART}\s*)?", re.ASCII)
_QUANTITY = re.compile(rf"\s*{_PART}\s*", re.ASCII)


class Value(NamedTuple):
    """One value of an axis.

    Parameters
    ----------
    data : object
        As tables show it: a number without its unit where the axis has one, else what YAML reads.
    text : str
        As an override sets it.
    """

    data: Any
    text: str


@dataclass(frozen=True)
class Axis:
    """A key of the scenario and the values that it takes.

    Parameters
    ----------
    key : str
        As in ``--set``, e.g. ``fleet.replicas``.
    choices : tuple of Value
        Its values: at least one, all different.
    unit : str
        Unit of all values where they are numbers, else empty.
    """

    key: str
    choices: tuple[Value, ...]
    unit: str = ""

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(
            isinstance(each.data, int | float) and not isinstance(each.data, bool)
            for each in self.choices
        )


class Range(NamedTuple):
    """Numbers from a first to a last one in equal steps, both ends included where they are hit."""

    first: Decimal
    last: Decimal
    step: Decimal
    prefix: str
    gap: str
    unit: str
    written: str

    @property
    def size(self) -> int:
        """How many numbers there are, without making them; of very many, fewer, but too many."""
        return int(min((self.last - self.first) / self.step, Decimal(COUNTED))) + 1

    def texts(self) -> list[str]:
        """Return each number as it is written in a scenario."""
        return [
            f"{self.prefix}{_plain(self.first + k * self.step)}{self.gap}{self.unit}"
            for k in range(self.size)
        ]


Item = str | Range


def parse_vary(text: str) -> tuple[str, tuple[Item, ...]]:
    """Return the key of ``key=values`` and its values, ranges not yet expanded.

    Parameters
    ----------
    text : str
        ``key=`` and values separated by commas: YAML, or ranges ``first:last`` or
        ``first:last:step`` of numbers, with a unit if the key wants one. A comma inside brackets
        or quotes belongs to a value, and quotes keep a value from being read as a range.

    Raises
    ------
    InputError
        If it does not read so, or a range is empty.

    Examples
    --------
    >>> key, items = parse_vary("fleet.replicas=1:3,8")
    >>> key, items[0].texts(), items[1]
    ('fleet.replicas', ['1', '2', '3'], '8')
    """
    key, equals, rest = text.partition("=")
    key = key.strip()
    if not equals or not all(step.strip() for step in key.split(".")):
        message = "must read key=values, as in --vary fleet.replicas=1:8 or --vary a.b=x,y"
        raise InputError(Problem(message, file=_source(text)))
    pieces = [piece.strip() for piece in _split(rest)]
    if not all(pieces):
        message = f"must be values separated by commas, got {shown(rest)}"
        raise InputError(Problem(message, key, _source(text)))
    return key, tuple(_item(piece, key, text) for piece in pieces)


def resolve(
    key: str, items: tuple[Item, ...], accepts: Callable[[str], bool], source: str = ""
) -> Axis:
    """Return the axis that `items` are, decided by what the key accepts.

    What looks like a range is one unless the key accepts it as text, as the pruning pattern
    ``2:4``. A bare number at a key that wants a rate is in req/s.

    Parameters
    ----------
    key : str
        The key.
    items : tuple of str or Range
        As :func:`parse_vary` returns them.
    accepts : callable
        Whether the scenario takes this text, YAML, as the value of the key.
    source : str
        What the user wrote, for messages.

    Raises
    ------
    InputError
        If an item is no YAML.
    """
    texts: list[str] = []
    for item in items:
        if isinstance(item, str):
            texts.append(item)
        elif accepts(quoted := json.dumps(item.written)):
            texts.append(quoted)
        else:
            texts += item.texts()
    texts = list(dict.fromkeys(texts))
    bare = [text for text in texts if re.fullmatch(_NUMBER, text)]
    if bare and not accepts(bare[0]) and accepts(f"{bare[0]} {BARE_RATE}"):
        texts = [f"{text} {BARE_RATE}" if text in bare else text for text in texts]
    unit = _common_unit(texts)
    values = [Value(_data(text, unit, key, source), text) for text in texts]
    return Axis(key, tuple(values), unit)


def _source(text: str) -> str:
    return f"--vary {text}" if len(text) <= 80 else f"--vary {text[:77]}..."


def _split(text: str) -> list[str]:
    """Return `text` cut at the commas that stand outside brackets and quotes."""
    pieces, depth, quote = [""], 0, ""
    for each in text:
        if quote:
            quote = "" if each == quote else quote
        elif each in "\"'" and not pieces[-1].strip().strip("[{"):
            quote = each
        elif each in "[{":
            depth += 1
        elif each in "]}":
            depth -= 1
        elif each == "," and depth == 0:
            pieces.append("")
            continue
        pieces[-1] += each
    return pieces


def _item(piece: str, key: str, text: str) -> Item:
    match = _RANGE.fullmatch(piece)
    if match is None:
        return piece
    marks = {match[k] for k in (1, 5, 9) if match[k]}
    units = {match[k] for k in (4, 8, 12) if match[k]}
    if len(units) > 1:
        message = f"must have one unit in a range, got {' and '.join(sorted(units))} in {piece!r}"
        raise InputError(Problem(message, key, _source(text)))
    gap = next((match[k - 1] for k in (4, 8, 12) if match[k]), "")
    first, last, step = (Decimal(match[k] or "1") for k in (2, 6, 10))
    if step == 0 or (last - first) * step < 0:
        message = (
            f"must be a range first:last:step that its step leads along, got {piece!r}; "
            "for falling values write a negative step"
        )
        raise InputError(Problem(message, key, _source(text)))
    unit = next(iter(units), "")
    return Range(first, last, step, "".join(marks), gap, unit, piece)


def _plain(number: Decimal) -> str:
    """Return a number without an exponent and without zeros behind it."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _common_unit(texts: list[str]) -> str:
    """Return the unit that all of `texts` are numbers in; empty if there is none."""
    matches = [_QUANTITY.fullmatch(text) for text in texts]
    units = {f"{match[1]}{match[4]}" if match else "" for match in matches}
    return units.pop() if len(units) == 1 else ""


def _data(text: str, unit: str, key: str, source: str) -> Any:  # noqa: ANN401 - what YAML has
    match = _QUANTITY.fullmatch(text)
    if unit and match:
        number = Decimal(match[2])
        whole = number == number.to_integral_value() and abs(number) < 10**15
        return int(number) if whole else float(number)
    try:
        document = parse_yaml(text, source)
    except InputError as error:
        message = f"{error.problems[0].message}; put the value in quotes"
        raise InputError(Problem(message, key, source)) from error
    if document.problems:
        raise InputError([Problem(each.message, key, source) for each in document.problems])
    return document.data
