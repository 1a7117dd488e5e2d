"""A rate that changes over time, its integral, and the inverse of the integral.

A point process of rate r(t) is a unit-rate process seen through the clock
L(t) = integral of r from 0 to t: if u_1 < u_2 < ... are the points of the unit-rate process, the
arrivals are at L^-1(u_k). The inversion is exact, so that no arrival is thinned away and none is
moved to the edge of a bin [1]_.

References
----------
.. [1] E. Cinlar, "Introduction to Stochastic Processes," Prentice-Hall, 1975, ch. 4.7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Intensity:
    """A rate over time: k segments from time 0 on, linear on each.

    Parameters
    ----------
    knots : array
        Ends of the segments, from 0, strictly increasing, shape ``(k + 1,)``. [s]
    start, stop : array
        Rates at the beginning and at the end of each segment, >= 0, shape ``(k,)``. [1/s]
    periodic : bool
        Whether the segments repeat; if not, the last rate holds for ever.
    """

    knots: FloatArray
    start: FloatArray
    stop: FloatArray
    periodic: bool = False

    @cached_property
    def mass(self) -> FloatArray:
        """The integral of the rate from 0 to each knot, shape ``(k + 1,)``."""
        areas = np.diff(self.knots) * (self.start + self.stop) / 2
        return np.concatenate(([0.0], np.cumsum(areas)))

    @property
    def supply(self) -> float:
        """The integral of the rate over all time: inf, unless the rate ends at zero."""
        return math.inf if self.periodic or self.stop[-1] > 0 else float(self.mass[-1])

    def expected(self, time: float) -> float:
        """Return the integral of the rate from 0 to `time`."""
        length, total = float(self.knots[-1]), float(self.mass[-1])
        if self.periodic:
            cycles, rest = divmod(time, length)
            return cycles * total + self._within(rest)
        return self._within(min(time, length)) + max(time - length, 0.0) * float(self.stop[-1])

    def _within(self, time: float) -> float:
        k = min(int(np.searchsorted(self.knots, time, side="right")) - 1, len(self.start) - 1)
        x = time - self.knots[k]
        slope = (self.stop[k] - self.start[k]) / (self.knots[k + 1] - self.knots[k])
        return float(self.mass[k] + x * (self.start[k] + slope * x / 2))

    def invert(self, mass: FloatArray) -> FloatArray:
        """Return the times at which the integral reaches `mass`, non-decreasing.

        Parameters
        ----------
        mass : array
            Points of a unit-rate process, non-decreasing, from 0 to :attr:`supply`.

        Notes
        -----
        On a segment that begins at rate a and rises by s per second, the time x after its
        beginning solves ``a x + s x**2 / 2 = m``; ``x = 2 m / (a + sqrt(a**2 + 2 s m))`` is the
        root that loses no digits when s is small.
        """
        total = float(self.mass[-1])
        if self.periodic:
            cycles, rest = np.divmod(mass, total)
            times = cycles * self.knots[-1] + self._invert_within(rest)
        else:
            times = self._invert_within(np.minimum(mass, total))
            beyond = mass > total
            if beyond.any():
                times[beyond] += (mass[beyond] - total) / self.stop[-1]
        return np.maximum.accumulate(times)

    def _invert_within(self, mass: FloatArray) -> FloatArray:
        k = np.searchsorted(self.mass, mass, side="right") - 1
        np.minimum(k, len(self.start) - 1, out=k)
        width = np.diff(self.knots)
        slope = (self.stop - self.start) / width
        left, first = mass - self.mass[k], self.start[k]
        twice = first + np.sqrt(np.maximum(first**2 + 2 * slope[k] * left, 0.0))
        x = np.divide(2 * left, twice, out=np.zeros_like(left), where=twice > 0)
        return self.knots[k] + np.minimum(x, width[k])
