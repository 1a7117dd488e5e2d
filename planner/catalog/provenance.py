"""Where a number comes from."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from planner.spec import Spec

#: How a number came about. ``datasheet``: its maker says so. ``measured``: somebody measured it.
#: ``fitted``: estimated from measurements, with a standard error. ``assumed``: judgement, to be
#: replaced by a measurement. ``memory``: common knowledge without a document at hand. ``given``:
#: written by the user. ``computed``: follows from other numbers by a formula.
Provenance = Literal["datasheet", "measured", "fitted", "assumed", "memory", "given", "computed"]


class Origin(Spec):
    """Provenance of one number and the document or reasoning behind it.

    Parameters
    ----------
    provenance : str
        One of :data:`Provenance`.
    source : str
        Document, log or sentence that a reader can follow up.
    """

    provenance: Provenance
    source: Annotated[str, Field(min_length=1)]


#: Origin of what a user wrote without saying where it comes from.
GIVEN = Origin(provenance="given", source="written in the scenario")


class SourcedNumber(NamedTuple):
    """A number as the output lists it.

    Parameters
    ----------
    name : str
        What it is, e.g. ``peaks.bf16``.
    value : float
        In `unit`.
    unit : str
        SI unit, or ``-``.
    provenance : str
        One of :data:`Provenance`.
    source : str
        Document, log or sentence behind it.
    """

    name: str
    value: float
    unit: str
    provenance: Provenance
    source: str
