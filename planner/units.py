"""Quantities with units: text in files, SI floats inside.

In a scenario file a bare number where a unit belongs is refused, since nobody can tell whether
``500`` means milliseconds or seconds; in Python a float is taken as SI.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from planner.errors import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationInfo

#: Validation context of values that come from a file, where units are compulsory.
FROM_FILE: Mapping[str, bool] = {"units_required": True}

_NUMBER = r"[+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"


@dataclass(frozen=True)
class Quantity:
    """A kind of quantity: what it is called and its units in SI.

    Parameters
    ----------
    name : str
        With its article, as in ``a duration``.
    units : mapping of str to float
        Spelling of a unit to its value in SI. The first is used when writing files.
    likely : tuple of str
        Two units that people mean when they leave the unit out.
    prefix : str
        Currency sign before the number, or empty.
    """

    name: str
    units: Mapping[str, float]
    likely: tuple[str, str]
    prefix: str = ""

    def parse(self, value: object, *, units_required: bool = True) -> float:
        """Return `value` in SI.

        Parameters
        ----------
        value : object
            Text with a number and a unit, or a number, which is in SI already.
        units_required : bool
            Whether a bare number is refused.

        Raises
        ------
        PydanticCustomError
            If it is no such quantity; a ValueError whose message shows likely spellings.
        """
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self._error(value, f"write for instance '{self.example(self.likely[0])}'")
        if isinstance(value, int | float):
            if units_required:
                raise self._error(value, f"write {self._both(value)}")
            try:
                return float(value)
            except OverflowError:  # a whole number beyond all floats
                return math.inf
        match = re.fullmatch(
            rf"\s*{re.escape(self.prefix)}\s*({_NUMBER})\s*(\S.*|)", value, flags=re.ASCII
        )
        if match is None:
            raise self._error(value, f"write for instance '{self.example(self.likely[0])}'")
        number, unit = float(match[1].replace("_", "")), match[2].strip()
        if not unit:
            raise self._error(value, f"write {self._both(match[1])}")
        if unit not in self.units:
            known = ", ".join(self.units)
            raise self._error(value, f"{shown(unit)} is no unit of it; known: {known}")
        return number * self.units[unit]

    def validate(self, value: Any, info: ValidationInfo) -> float:  # noqa: ANN401 - a validator sees anything
        """Return `value` in SI; units are required where the context is :data:`FROM_FILE`."""
        return self.parse(value, units_required=bool((info.context or {}).get("units_required")))

    def example(self, unit: str, number: object = 1) -> str:
        """Return `number` written with `unit`."""
        space = "" if unit.startswith("/") and self.prefix else " "
        return f"{self.prefix}{number}{space}{unit}"

    def text(self, value: float) -> str:
        """Return a short spelling of `value` (SI) that :meth:`parse` reads back exactly."""
        number = _short(value)
        best, cost = self.example(next(iter(self.units)), number), len(number) - 1
        for unit, factor in self.units.items():
            number = _short(value / factor)
            if number == "inf":
                continue
            if len(number) < cost and self.parse(self.example(unit, number)) == value:
                best, cost = self.example(unit, number), len(number)
        return best

    def _both(self, number: object) -> str:
        """Return the two spellings that a bare `number` may have been meant as."""
        return " or ".join(f"'{self.example(unit, number)}'" for unit in self.likely)

    def _error(self, value: object, what_to_do: str) -> PydanticCustomError:
        return PydanticCustomError(
            "quantity",
            "must be {name} with a unit, got {value}; {what_to_do}",
            {"name": self.name, "value": shown(value), "what_to_do": what_to_do},
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the quantity's spelling in a file."""
        units = "|".join(re.escape(unit) for unit in self.units)
        return {
            "type": "string",
            "pattern": rf"^\s*{re.escape(self.prefix)}\s*{_NUMBER}\s*({units})\s*$",
            "examples": [self.example(unit) for unit in self.likely],
        }


DURATION = Quantity(
    "a duration",
    {
        "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0,
        "d": 86400.0, "days": 86400.0, "week": 604800.0, "weeks": 604800.0,
    },
    ("ms", "s"),
)  # fmt: skip
RATE = Quantity(
    "a rate",
    {
        "req/s": 1.0, "req/min": 1 / 60, "req/h": 1 / 3600, "requests/s": 1.0,
        "requests/min": 1 / 60, "requests/h": 1 / 3600, "/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600,
    },
    ("req/s", "req/min"),
)  # fmt: skip
SIZE = Quantity(
    "a size in bytes",
    {
        "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
        "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40,
    },
    ("GiB", "GB"),
)  # fmt: skip
BANDWIDTH = Quantity(
    "a bandwidth",
    {
        "B/s": 1.0, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12,
        "MiB/s": 2.0**20, "GiB/s": 2.0**30, "TiB/s": 2.0**40,
        "Mbit/s": 1e6 / 8, "Gbit/s": 1e9 / 8,
    },
    ("GB/s", "TB/s"),
)  # fmt: skip
COMPUTE = Quantity(
    "an arithmetic rate",
    {
        "FLOP/s": 1.0, "GFLOP/s": 1e9, "TFLOP/s": 1e12, "PFLOP/s": 1e15,
        "GFLOPS": 1e9, "TFLOPS": 1e12, "TOP/s": 1e12, "TOPS": 1e12,
    },
    ("TFLOP/s", "GFLOP/s"),
)  # fmt: skip
PRICE = Quantity("a price", {"/h": 1.0, "/d": 1 / 24, "/month": 1 / 730}, ("/h", "/month"), "$")
POWER = Quantity("a power", {"W": 1.0, "kW": 1e3}, ("W", "kW"))
QUANTITIES = (DURATION, RATE, SIZE, BANDWIDTH, COMPUTE, PRICE, POWER)


def _short(value: float) -> str:
    """Return the shortest text of `value` that reads back as the same float."""
    return repr(float(value)).removesuffix(".0")


def _annotations(quantity: Quantity) -> tuple[Any, ...]:
    """Return the pydantic annotations that make a float field a `quantity`."""
    return (
        BeforeValidator(quantity.validate),
        PlainSerializer(quantity.text, return_type=str, when_used="json"),
        WithJsonSchema(quantity.schema()),
    )


#: Longest duration, 30,000 years, and highest rate: sums and squares of them stay exact enough.
MAX_DURATION, MAX_RATE = 1e12, 1e12
#: Most bytes, an exabyte: their number of KV blocks is still a 64-bit integer.
MAX_SIZE = 1e18

#: Seconds, >= 0.
Duration = Annotated[float, Field(ge=0, le=MAX_DURATION), *_annotations(DURATION)]
#: Seconds, > 0.
PositiveDuration = Annotated[float, Field(gt=0, le=MAX_DURATION), *_annotations(DURATION)]
#: Events per second, > 0.
Rate = Annotated[float, Field(gt=0, le=MAX_RATE), *_annotations(RATE)]
#: Events per second, >= 0 (a profile may rest at night).
RateOrZero = Annotated[float, Field(ge=0, le=MAX_RATE), *_annotations(RATE)]
#: Bytes, > 0.
Size = Annotated[float, Field(gt=0, le=MAX_SIZE), *_annotations(SIZE)]
#: Bytes, >= 0.
SizeOrZero = Annotated[float, Field(ge=0, le=MAX_SIZE), *_annotations(SIZE)]
#: Bytes per second, > 0.
Bandwidth = Annotated[float, Field(gt=0), *_annotations(BANDWIDTH)]
#: Operations per second, > 0.
ComputeRate = Annotated[float, Field(gt=0), *_annotations(COMPUTE)]
#: US dollars per hour, >= 0.
Price = Annotated[float, Field(ge=0), *_annotations(PRICE)]
#: Watts, > 0.
Power = Annotated[float, Field(gt=0), *_annotations(POWER)]


def _parse_fraction(value: Any) -> Any:  # noqa: ANN401 - a validator sees anything
    """Turn ``"5%"`` into 0.05; leave everything else to pydantic."""
    match = re.fullmatch(rf"\s*({_NUMBER})\s*%\s*", value) if isinstance(value, str) else None
    return float(match[1].replace("_", "")) / 100 if match else value


#: JSON Schema of a share: a number or a percentage.
_SHARE_SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*%\s*$"},
    ],
    "examples": [0.05, "5%"],
}

#: A share from 0 to 1, written ``0.05`` or ``5%``.
Fraction = Annotated[
    float, Field(ge=0, le=1), BeforeValidator(_parse_fraction), WithJsonSchema(_SHARE_SCHEMA)
]
#: A share above 0, up to 1.
PositiveFraction = Annotated[
    float, Field(gt=0, le=1), BeforeValidator(_parse_fraction), WithJsonSchema(_SHARE_SCHEMA)
]
#: A share above 0 and below 1.
OpenFraction = Annotated[
    float, Field(gt=0, lt=1), BeforeValidator(_parse_fraction), WithJsonSchema(_SHARE_SCHEMA)
]

#: A whole number >= 1; neither ``true`` nor ``2.0`` is one.
Count = Annotated[int, Field(ge=1, strict=True)]
#: A whole number >= 0.
CountOrZero = Annotated[int, Field(ge=0, strict=True)]
