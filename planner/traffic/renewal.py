"""Points of renewal processes with gaps of mean 1, the clockwork of all random arrivals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import InputError, Problem
from planner.resources import require_memory

if TYPE_CHECKING:
    from planner.traffic.intensity import FloatArray

#: Most requests in one draw.
MAX_REQUESTS = 200_000_000
#: Memory of one request from its draw to its metrics. [B]
REQUEST_BYTES = 450


def first_points(n: int, cv: float, rng: np.random.Generator) -> FloatArray:
    """Return the first `n` points of a renewal process with gamma gaps of mean 1, shape ``(n,)``.

    Parameters
    ----------
    n : int
        How many, >= 0.
    cv : float
        Coefficient of variation of the gaps, > 0; 1 makes it a Poisson process. [-]
    rng : numpy.random.Generator
        Source of the gaps; each point takes its numbers in turn, so that a longer draw begins
        with the shorter one.
    """
    gaps = _gaps(n, cv, rng)
    return np.cumsum(gaps, out=gaps)


def points_before(total: float, cv: float, rng: np.random.Generator) -> FloatArray:
    """Return the points of the same process that lie below `total`.

    Raises
    ------
    InputError
        If too many points are to be expected, see :func:`check_count`.
    """
    check_count(total)
    parts: list[FloatArray] = []
    last = 0.0
    while last < total:
        left = total - last
        points = _gaps(int(left + 5 * max(cv, 1.0) * math.sqrt(left)) + 16, cv, rng)
        points[0] += last
        np.cumsum(points, out=points)
        last = float(points[-1])
        parts.append(points)
    points = np.concatenate(parts) if parts else np.empty(0)
    return points[: np.searchsorted(points, total, side="left")]


def check_count(expected: float, path: str = "traffic") -> None:
    """Refuse a draw of more than :data:`MAX_REQUESTS` requests, or than fit into memory.

    Parameters
    ----------
    expected : float
        How many are to be expected.
    path : str
        Key that decides it.

    Raises
    ------
    InputError
        If they are too many.
    """
    if not expected <= MAX_REQUESTS:
        message = (
            f"must bring at most {MAX_REQUESTS:,} requests, got about {expected:.3g}; "
            "lower the rate or the duration"
        )
        raise InputError(Problem(message, path=path))
    what = f"about {expected:,.0f} requests; lower the rate or the duration, or their number"
    require_memory(expected * REQUEST_BYTES, what, path)


def _gaps(n: int, cv: float, rng: np.random.Generator) -> FloatArray:
    if cv == 1.0:
        return rng.standard_exponential(n)
    shape = cv**-2
    gaps = rng.standard_gamma(shape, n)
    gaps /= shape
    return gaps
