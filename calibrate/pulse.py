"""How quick a core is at this very moment: a small piece of work, always the same, timed.

A virtual CPU is often half a core. Whenever the other half, somebody else's, is busy, everything
here takes some forty per cent longer, for a tenth of a second or for minutes; nothing that the
operating system counts shows it. A pulse does: it takes some thousandths of the time of the steps
between which it is taken, and is slower when they are. It knows nothing of what the steps do.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

#: Additions in a pulse: enough to tell the states of a core apart, few enough not to matter.
_ADDITIONS = 2000
#: Share of the pulses that are as quick as those of an undisturbed core, or quicker. [-]
_UNDISTURBED = 0.1
#: Slowness beyond which a core is disturbed. [-]
DISTURBED = 0.2
#: Pulses that a watch remembers.
_REMEMBERED = 1000
#: A pulse more than this many times as long as an undisturbed one was interrupted as well, and
#: counts as no longer than that. [-]
_LONGEST = 2.0
#: So few times as long is quicker than any core gets: the clock was read wrong.
_SHORTEST = 0.75
#: Steps that are delayed by more times as much as pulses are delayed by something else. [-]
MOST_SLOWING = 3.0


def beat() -> float:
    """Take a pulse of the core that this runs on; return how long it took [s]."""
    started = time.perf_counter()
    total = 0
    for number in range(_ADDITIONS):
        total += number
    return time.perf_counter() - started


def no_beat() -> float:
    """Take none; return NaN."""
    return math.nan


def pulse_of(device: torch.device) -> Callable[[], float]:
    """Return what tells how quick `device` is: of a GPU nothing does, it is nobody else's."""
    return beat if device.type == "cpu" else no_beat


def undisturbed(pulses: Iterable[float]) -> float:
    """Return how long a pulse takes while nothing else slows the core; NaN of none [s].

    Parameters
    ----------
    pulses : iterable of float
        Taken over as long as there is; NaN for one that was not taken. [s]
    """
    taken = np.array([each for each in pulses if not math.isnan(each)])
    return float(np.quantile(taken, _UNDISTURBED)) if len(taken) else math.nan


class Watch:
    """Waits for a core to be undisturbed, and tells how it was while something ran.

    Parameters
    ----------
    pulse : callable
        Takes a pulse and returns how long it took, NaN if there is none to take. [s]
    patience : float
        How long to wait for an undisturbed moment before something runs. [s]
    clock : callable
        Seconds since some moment.
    """

    def __init__(
        self,
        pulse: Callable[[], float],
        patience: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pulse, self._patience, self._clock = pulse, patience, clock
        self._taken: deque[float] = deque(maxlen=_REMEMBERED)

    def during(self, run: Callable[[], float]) -> tuple[float, float]:
        """Return what `run` returns, and the mean of the pulses just before and after it [s]."""
        before = self._quiet_pulse()
        result = run()
        after = self._pulse()
        self._taken += (before, after)  # not those while it waited: they are many, and slow
        return result, (before + after) / 2

    def _quiet_pulse(self) -> float:
        """Return the first pulse that tells of an undisturbed core, or the last one in time."""
        late, longest = self._clock() + self._patience, self.longest
        while (pulse := self._pulse()) > longest and self._clock() < late:
            pass  # a core that sleeps is slow when it wakes up
        return pulse

    @property
    def longest(self) -> float:
        """The longest pulse of an undisturbed core, as far as is known; NaN if nothing is [s]."""
        return (1 + DISTURBED) * undisturbed(self._taken)


def slowness(pulse: float, quiet: float) -> float:
    """Return by what share a pulse took longer than an undisturbed one; 0 for none taken [-].

    Parameters
    ----------
    pulse, quiet : float
        How long it took, and one takes undisturbed. [s]
    """
    if math.isnan(pulse) or math.isnan(quiet):
        return 0.0
    return min(max(pulse / quiet, _SHORTEST), _LONGEST) - 1
