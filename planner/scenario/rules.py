"""Rules that concern several keys of a scenario: all that are broken are reported at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from planner.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Type of the pydantic error that carries broken rules.
BROKEN_RULES = "broken_rules"


@dataclass(frozen=True)
class Broken:
    """A rule that a value breaks.

    Parameters
    ----------
    key : str
        Dotted path, from the model that has the rule, of the key to point at.
    message : str
        ``must be <rule>, got <value!r>; <what to do>``.
    """

    key: str
    message: str


def broken(key: str, rule: str, value: object, hint: str = "") -> Broken:
    """Return the problem of `value` at `key`, which must be `rule` (without "must be")."""
    return Broken(key, f"must be {rule}, got {shown(value)}" + (f"; {hint}" if hint else ""))


def refuse(problems: Iterable[Broken]) -> None:
    """Do nothing if there are no problems, as a model's validator.

    Raises
    ------
    PydanticCustomError
        If there are; its context has them as ``broken``.
    """
    found = tuple(problems)
    if found:
        message = "; ".join(f"{each.key}: {each.message}" for each in found)
        raise PydanticCustomError(BROKEN_RULES, "{message}", {"message": message, "broken": found})
