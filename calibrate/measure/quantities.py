"""What records are made of: durations and numbers of tokens, each within what can be."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from calibrate.measure.points import StepPoint
from planner.spec import Spec

Text = Annotated[str, Field(min_length=1)]
#: A duration, from a nanosecond to eleven days. [s]
Seconds = Annotated[float, Field(ge=1e-9, le=1e6, strict=True)]
#: A standard error as a share of what it is of. [-]
Spread = Annotated[float, Field(ge=0, le=1e6, strict=True)]
#: Tokens cached before a step, and tokens that a step processes.
Cached = Annotated[int, Field(ge=0, le=10**9, strict=True)]
Tokens = Annotated[int, Field(ge=1, le=10**9, strict=True)]
#: Bytes; things that there are some of; things that there may be none of.
Bytes = Annotated[int, Field(ge=1, le=10**15, strict=True)]
Count = Annotated[int, Field(ge=1, le=10**6, strict=True)]
Number = Annotated[int, Field(ge=0, le=10**6, strict=True)]


class Timed(Spec):
    """A duration that was measured several times.

    Parameters
    ----------
    seconds : float
        Median. [s]
    spread : float
        Standard error of the median over it, from the middle half of the samples. [-]
    samples : tuple of float
        In the order in which they were taken, without warm-up. [s]
    pulse : float, optional
        Mean of the pulses meanwhile, see :mod:`calibrate.pulse`; None if none were taken. [s]
    """

    seconds: Seconds
    spread: Spread
    samples: tuple[Seconds, ...]
    pulse: Seconds | None = None


class StepContent(Spec):
    """What was in one step of the engine, at least one sequence.

    Parameters
    ----------
    prefill : tuple of (int, int)
        See :class:`~calibrate.measure.points.StepPoint`.
    decode : tuple of int
        The same.
    """

    prefill: tuple[tuple[Tokens, Cached], ...] = ()
    decode: tuple[Cached, ...] = ()

    @model_validator(mode="after")
    def _has_a_sequence(self) -> Self:
        if not self.prefill and not self.decode:
            raise ValueError("must have a sequence in prefill or decode, got a step of none")
        return self

    @property
    def point(self) -> StepPoint:
        """The same, as what is measured next is written."""
        return StepPoint(self.prefill, self.decode)
