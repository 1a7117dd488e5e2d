"""How long something takes: warm-up, repeats in turns, median and its standard error."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from calibrate.pulse import Watch, no_beat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Middle half of a normal distribution, in standard deviations.
_IQR = 1.349


@dataclass(frozen=True)
class Repeats:
    """When a point has been measured often enough.

    Parameters
    ----------
    warmup : int
        Runs that do not count.
    least, most : int
        Runs that count.
    spread : float
        Enough once the standard error of the median is at most this share of it. [-]
    seconds : float
        No further round after this time per variant. [s]
    """

    warmup: int = 1
    least: int = 5
    most: int = 50
    spread: float = 0.01
    seconds: float = 3.0


@dataclass(frozen=True)
class Timing:
    """What the repeats gave.

    Parameters
    ----------
    seconds : float
        Median. [s]
    spread : float
        Standard error of the median, as a share of it. [-]
    samples : tuple of float
        In order, warm-up left out. [s]
    pulse : float, optional
        Mean of the pulses meanwhile; None if none were taken. [s]
    """

    seconds: float
    spread: float
    samples: tuple[float, ...]
    pulse: float | None = None


def summarise(samples: Sequence[float]) -> Timing:
    """Return median and spread of `samples`, at least one.

    The standard error of a median of n normal samples is ``1.2533 sigma / sqrt(n)``; sigma comes
    from the middle half, since interruptions make outliers to one side.
    """
    low, middle, high = np.quantile(samples, (0.25, 0.5, 0.75))
    sigma = (high - low) / _IQR
    error = 1.2533 * sigma / math.sqrt(len(samples))
    return Timing(float(middle), float(error / middle), tuple(map(float, samples)))


def in_turns(
    runs: Mapping[str, Callable[[], float]],
    repeats: Repeats,
    clock: Callable[[], float] = time.monotonic,
    watch: Watch | None = None,
) -> dict[str, Timing]:
    """Return the timing of each of `runs`, taken in turns so that drift hits all alike.

    Rounds go on, each in the opposite order of the one before, until the spread of all is small
    or a limit is reached. With a `watch`, samples count that were taken while nothing disturbed
    the core; where there are too few, the least disturbed ones.

    Parameters
    ----------
    runs : mapping of str to callable
        Runs once and returns the seconds that it took.
    repeats : Repeats
        When to stop.
    clock : callable
        Seconds since some moment, for the limit of time.
    watch : Watch, optional
        Of the core that they run on.
    """
    watch = watch or Watch(no_beat)
    for run in runs.values():
        for _ in range(repeats.warmup):
            run()
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    order = list(runs)
    started = clock()
    for count in range(1, repeats.most + 1):
        for name in order:
            samples[name].append(watch.during(runs[name]))
        order.reverse()
        if count < repeats.least:
            continue
        timings = {name: _least_disturbed(each, watch, repeats) for name, each in samples.items()}
        late = clock() - started > repeats.seconds * len(runs)
        if late or all(each.spread <= repeats.spread for each in timings.values()):
            break
    return timings


def _least_disturbed(
    samples: Sequence[tuple[float, float]], watch: Watch, repeats: Repeats
) -> Timing:
    """Return the timing of the samples, each with its pulse, that nothing disturbed, if any."""
    longest = watch.longest
    kept = [each for each in samples if not each[1] > longest]
    if len(kept) < repeats.least:
        quickest = sorted(pulse for _, pulse in samples)[: repeats.least]
        kept = [each for each in samples if each[1] <= quickest[-1]]
    seconds, pulses = zip(*kept, strict=True)
    pulse = math.fsum(pulses) / len(pulses)
    return replace(summarise(seconds), pulse=None if math.isnan(pulse) else pulse)


def stopwatch(action: Callable[[], object]) -> float:
    """Return the seconds that `action` takes by the CPU's monotonic clock [s]."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
