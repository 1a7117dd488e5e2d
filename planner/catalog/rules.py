"""Rules between the keys of a spec: all that are broken are reported at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from planner.spec import Spec


class Rule(NamedTuple):
    """What a value must be, and whether it is.

    Parameters
    ----------
    key : str
        Dotted path, from the spec that has the rule, of the key to point at.
    text : str
        What the value must be, without "must be".
    holds : bool
        Whether it is so.
    """

    key: str
    text: str
    holds: bool


class Broken(NamedTuple):
    """A rule that a value breaks: the key to point at, and ``must be <rule>, got <value!r>``."""

    key: str
    message: str


def check(spec: Spec, rules: Iterable[Rule]) -> None:
    """Do nothing if all `rules` hold, as a spec's validator.

    Raises
    ------
    PydanticCustomError
        If some do not; its context has them as ``broken``.
    """
    found = tuple(
        Broken(rule.key, f"must be {rule.text}, got {getattr(spec, rule.key)!r}")
        for rule in rules
        if not rule.holds
    )
    if found:
        message = "; ".join(f"{each.key} {each.message}" for each in found)
        raise PydanticCustomError(
            "broken_rules", "{message}", {"message": message, "broken": found}
        )
