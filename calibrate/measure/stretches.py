"""Consecutive steps of the engine under load, timed from token to token.

A step measured alone, again and again, leaves out what happens between two steps of a server:
scheduling, handing out tokens, caches that something else has used. A stretch of steps has all of
it, and is what a simulation must reproduce.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from calibrate.measure.quantities import Count, Seconds, StepContent, Text
from planner.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    pulse : float, optional
        Mean over its steps, see :func:`step_pulses`; None if none were taken. [s]
    """

    steps: Annotated[tuple[StepContent, ...], Field(min_length=1)]
    seconds: Seconds
    pulse: Seconds | None = None


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


def pulses_of(served: Iterable[ServedRecord]) -> list[float]:
    """Return the pulses of all stretches [s]; none where none were taken."""
    stretches = [each for record in served for each in record.stretches]
    return [each.pulse for each in stretches if each.pulse is not None]


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
    pulses = step_pulses(steps)
    return tuple(
        _stretch(steps[first:stop], before, pulses[first:stop])
        for first, stop, before in _cut(steps)
    )


def step_pulses(steps: Sequence[StepLog]) -> list[float]:
    """Return the pulse while each of `steps` ran: the mean of those before and after it [s].

    After a step comes the pulse before the next one, however long the engine waited for it.
    """
    taken = [each.pulse for each in steps]
    return [
        (before + after) / 2 for before, after in zip(taken, [*taken[1:], *taken[-1:]], strict=True)
    ]


def thinned(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Return at most :data:`MOST` of `stretches`, evenly over their time."""
    every = -(-len(stretches) // MOST) or 1
    return tuple(stretches[::every])


def _cut(steps: Sequence[StepLog]) -> Iterator[tuple[int, int, float]]:
    """Yield runs of steps without a pause inside: first, stop, when what it begins with began."""
    first = 0
    for i in range(1, len(steps) + 1):
        paused = i == len(steps) or steps[i].start - steps[i - 1].end > IDLE_S
        if not paused and i - first < STEPS:
            continue
        before = steps[first].start
        if first and before - steps[first - 1].end <= IDLE_S:
            before = steps[first - 1].end
        yield first, i, before
        first = i


def _stretch(steps: Sequence[StepLog], before: float, pulses: Sequence[float]) -> Stretch:
    pulse = math.fsum(pulses) / len(pulses)
    return Stretch(
        steps=tuple(_served(each) for each in steps),
        seconds=steps[-1].end - before,
        pulse=None if math.isnan(pulse) else pulse,
    )


def _served(step: StepLog) -> StepContent:
    """Return what was in a step: one token after others is a decoding sequence."""
    decode = tuple(done for tokens, done, _ in step.chunks if tokens == 1 and done)
    prefill = tuple((n, done) for n, done, _ in step.chunks if n > 1 or not done)
    return StepContent(prefill=prefill, decode=decode)
