"""How quick a core is at this very moment: a small piece of work, always the same, timed.

A virtual CPU is often half a core. Whenever the other half, somebody else's, is busy, everything
here takes some forty per cent longer, for a tenth of a second or for minutes; nothing that the
operating system counts shows it. A pulse does: it takes about a thousandth of the time of the steps
between which it is taken, and is as much slower as they are. It knows nothing of what the steps do.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

#: Additions in a pulse: enough to tell the states of a core apart, few enough not to matter.
_ADDITIONS = 2000
#: Share of the pulses that are as quick as those of an undisturbed core, or quicker. [-]
_UNDISTURBED = 0.1
#: A pulse this many times as long as an undisturbed one was interrupted, and tells no speed.
_LONGEST = 2.0


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


def slowness(pulse: float, quiet: float) -> float:
    """Return by what share a pulse took longer than an undisturbed one; 0 for none taken [-].

    Parameters
    ----------
    pulse, quiet : float
        How long it took, and one takes undisturbed. [s]
    """
    if math.isnan(pulse) or math.isnan(quiet):
        return 0.0
    return min(pulse / quiet, _LONGEST) - 1
