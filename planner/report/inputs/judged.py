"""The result of ``planner calibrate quality``, as a report reads it back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from planner.report.inputs.simulated import Count, Found, Text

#: Most variants of one study.
_VARIANTS = 1_000


class Measured(Found):
    """A number with its 95 % interval and standard error."""

    value: float
    low: float
    high: float
    stderr: float


class Quality(Found):
    """How good one variant is."""

    perplexity: Measured
    ratio: Measured
    agreement: Measured
    tokens: Count


class Variant(Found):
    """One variant of the model; the word ``unknown`` where its quality is not known."""

    variant: Text
    weight_bytes: Count
    quality: Quality | Literal["unknown"]


class Judged(Found):
    """What ``planner calibrate quality`` printed or wrote."""

    schema_version: Literal[1]
    about: Text
    text: Text
    rows: Annotated[list[Variant], Field(min_length=1, max_length=_VARIANTS)]
