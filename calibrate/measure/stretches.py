"""Consecutive steps of the engine under load, timed from token to token.

A step measured alone, again and again, leaves out what happens between two steps of a server:
scheduling, handing out tokens, caches that something else has used. A stretch of steps has all of
it, and is what a simulation must reproduce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from calibrate.measure.quantities import Count, Seconds, StepContent, Text
from planner.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calibrate.engine import StepLog

#: Steps in a stretch.
STEPS = 4
#: Stretches of a record; of more, every second, third, ... is kept.
MOST = 80
#: A pause between two steps that is longer means that the engine had nothing to do. [s]
IDLE_S = 1e-3


class Stretch(Spec):
    """Steps that followed each other without a pause.

    Parameters
    ----------
    steps : tuple of StepContent
        In order, at least one.
    seconds : float
        From the end of the step before, or from its own start after a pause, to its end. [s]
    """

    steps: Annotated[tuple[StepContent, ...], Field(min_length=1)]
    seconds: Seconds


class ServedRecord(Spec):
    """Stretches of steps with which the engine served so many clients.

    Parameters
    ----------
    variant : str
        Name of the setting.
    clients : int
        Each sends its next request a moment after the answer to the one before.
    reference : float
        Median of the base's shortest step, before and after. [s]
    stretches : tuple of Stretch
        In order.
    """

    kind: Literal["served"] = "served"
    variant: Text
    clients: Count
    reference: Seconds
    stretches: tuple[Stretch, ...]

    @property
    def key(self) -> str:
        """What tells it apart."""
        return served_key(self.variant, self.clients)


def served_key(variant: str, clients: int) -> str:
    """Return what tells the stretches of a variant and so many clients apart from others."""
    return f"served {variant}: {clients} clients"


def stretches_of(steps: Sequence[StepLog]) -> tuple[Stretch, ...]:
    """Return the stretches that `steps` are made of.

    Parameters
    ----------
    steps : sequence of StepLog
        All steps of a replay, in order.
    """
    return tuple(_stretch(part, before) for part, before in _cut(steps))


def thinned(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Return at most :data:`MOST` of `stretches`, evenly over their time."""
    every = -(-len(stretches) // MOST) or 1
    return tuple(stretches[::every])


def _cut(steps: Sequence[StepLog]) -> Iterator[tuple[Sequence[StepLog], float]]:
    """Yield runs of steps without a pause inside, and when what each begins with began."""
    first = 0
    for i in range(1, len(steps) + 1):
        paused = i == len(steps) or steps[i].start - steps[i - 1].end > IDLE_S
        if not paused and i - first < STEPS:
            continue
        before = steps[first].start
        if first and before - steps[first - 1].end <= IDLE_S:
            before = steps[first - 1].end
        yield steps[first:i], before
        first = i


def _stretch(steps: Sequence[StepLog], before: float) -> Stretch:
    return Stretch(steps=tuple(_served(each) for each in steps), seconds=steps[-1].end - before)


def _served(step: StepLog) -> StepContent:
    """Return what was in a step: one token after others is a decoding sequence."""
    decode = tuple(done for tokens, done, _ in step.chunks if tokens == 1 and done)
    prefill = tuple((n, done) for n, done, _ in step.chunks if n > 1 or not done)
    return StepContent(prefill=prefill, decode=decode)
