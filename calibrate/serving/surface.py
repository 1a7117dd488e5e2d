"""A search that looks at a neighbourhood rather than at a point: a response surface.

A simulation jumps where batches form differently, so that derivatives taken over a small step are
mostly noise, and a search that follows them stops where it happens to stand. Here the residuals
are computed at points spread over a box around the best point so far, a plane is laid through
them [1]_, and its minimum (robust, with the prior, within the box) is the next candidate. The box
shrinks from round to round.

References
----------
.. [1] G. E. P. Box and K. B. Wilson, "On the experimental attainment of optimum conditions,"
   J. R. Stat. Soc. B 13(1), 1951.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import qmc

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from calibrate.serving.problem import Problem

    Floats = npt.NDArray[np.float64]

#: Half widths of the boxes, round by round, in widths of the prior.
SPREADS = (1.7, 0.85, 0.85, 0.42)
#: Half width where there is no prior, in the logarithm.
WIDTH = 0.5


def explore(problem: Problem, x: Floats, spreads: Sequence[float], seed: int = 0) -> Floats:
    """Return the best point found from `x`, simulating ``len(x) + 2`` points in each round.

    Parameters
    ----------
    problem : Problem
        What is searched.
    x : array, shape (coefficients,)
        Logarithms of the coefficients.
    spreads : sequence of float
        Half widths of the boxes, in widths of the prior.
    seed : int
        Of the points, a Latin hypercube in each box.
    """
    rng = np.random.default_rng(seed)
    width = np.where(np.isfinite(problem.prior.width), problem.prior.width, WIDTH)
    best, residuals = x, problem.residuals(x)
    least = cost(problem, best, residuals)
    for spread in spreads:
        design = qmc.LatinHypercube(len(x), seed=rng).random(len(x) + 1) * 2 - 1
        points = np.clip(best + spread * width * design, problem.low, problem.high)
        found = np.array([problem.residuals(each) for each in points])
        new = _minimum(
            problem, best, np.vstack((points, best)), np.vstack((found, residuals)), spread
        )
        points = np.vstack((points, new))
        found = np.vstack((found, problem.residuals(new)))
        costs = [cost(problem, *each) for each in zip(points, found, strict=True)]
        k = int(np.argmin(costs))
        if costs[k] < least:
            best, residuals, least = points[k], found[k], costs[k]
    return best


def cost(problem: Problem, x: Floats, residuals: Floats) -> float:
    """Return what the search makes least: ``soft_l1`` of the residuals and of the prior's."""
    tolerance = problem.tolerance
    every = np.concatenate((residuals, problem.prior.residuals(x, tolerance))) / tolerance
    return float(np.sum(np.sqrt(1 + every**2) - 1))


def _minimum(
    problem: Problem, centre: Floats, points: Floats, found: Floats, spread: float
) -> Floats:
    """Return the minimum, within a box, of the plane through the residuals `found` at `points`."""
    tolerance, prior = problem.tolerance, problem.prior
    width = np.where(np.isfinite(prior.width), prior.width, WIDTH)
    design = np.column_stack((np.ones(len(points)), points - centre))
    plane = np.linalg.lstsq(design, found, rcond=None)[0]
    slopes = np.vstack((plane[1:].T, prior.jacobian(tolerance)))

    def line(step: Floats) -> Floats:
        own = prior.residuals(centre + step, tolerance)
        return np.concatenate((plane[0] + plane[1:].T @ step, own))

    def slope(step: Floats) -> Floats:  # noqa: ARG001 - the same everywhere
        return slopes

    margin = 1e-9  # a start on a bound is refused
    low = np.maximum(problem.low - centre, -spread * width) - margin
    high = np.minimum(problem.high - centre, spread * width) + margin
    moved = least_squares(
        line,
        np.zeros(len(centre)),
        jac=slope,
        bounds=(low, high),
        loss="soft_l1",
        f_scale=tolerance,
    )
    return np.asarray(np.clip(centre + moved.x, problem.low, problem.high))
