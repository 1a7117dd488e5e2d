"""How sure fitted coefficients are: a bootstrap of whole groups, and groups left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from calibrate.serving.coefficients import PHYSICAL, Bounds, with_values
from calibrate.serving.problem import Problem, Row, predictions, problem_of, search
from planner.catalog.coefficients import Covariance
from planner.errors import InputError
from planner.report.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from calibrate.serving.experiment import Experiment
    from calibrate.serving.fit import ServingFit

    Floats = npt.NDArray[np.float64]

#: Resamples of the bootstrap.
RESAMPLES = 400


def bootstrap(
    problem: Problem, x: Floats, jacobian: Floats, cluster: str | None, seed: int
) -> Covariance:
    """Return the covariance in the coefficients' units, of those that no bound holds.

    Each resample also draws where the prior's centre is: what the rows do not tell has the width
    of its prior.

    Groups of `cluster` are resampled whole; where there is one only, single experiments are, which
    tells nothing of how another group would differ.
    """
    free = problem.free(x)
    if not free.any():
        return Covariance(names=(), matrix=())
    residuals = problem.residuals(x)
    # weights of the loss soft_l1 at the optimum: rho'(z) of iteratively reweighted least squares
    robust = 1 / np.sqrt(1 + (residuals / problem.tolerance) ** 2)
    rows_of = _clusters(problem.experiments, cluster)
    if len(rows_of) < 2:  # a group by itself is drawn every time: there is no spread to see
        rows_of = _clusters(problem.experiments, None)
    a = jacobian[:, free] * np.sqrt(robust)[:, None]
    b = residuals * np.sqrt(robust)
    # sums per group, so that a resample is a weighting of groups
    squares = np.array([a[rows].T @ a[rows] for rows in rows_of])
    slopes = np.array([a[rows].T @ b[rows] for rows in rows_of])
    a0 = problem.prior.jacobian(problem.tolerance)[:, free]
    b0 = problem.prior.residuals(x, problem.tolerance)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(rows_of), np.full(len(rows_of), 1 / len(rows_of)), RESAMPLES)
    centres = problem.tolerance * rng.normal(size=(RESAMPLES, len(b0)))
    moved = [
        -np.linalg.lstsq(
            np.tensordot(n, squares, 1) + a0.T @ a0, n @ slopes + a0.T @ (b0 - off), rcond=1e-10
        )[0]
        for n, off in zip(counts, centres, strict=True)
    ]
    slope = np.exp(x[free])  # of the coefficients by what was searched
    return covariance_of(
        [name for name, is_free in zip(problem.names, free, strict=True) if is_free],
        np.cov(moved, rowvar=False).reshape(len(slope), -1) * np.outer(slope, slope),
    )


def covariance_of(names: Sequence[str], matrix: Floats) -> Covariance:
    """Return the covariance as profiles have it: symmetric to the last digit."""
    even = (matrix + matrix.T) / 2
    return Covariance(names=tuple(names), matrix=tuple(map(tuple, even.tolist())))


def _clusters(experiments: Sequence[Experiment], cluster: str | None) -> list[list[int]]:
    """Return the residuals' numbers, by group."""
    found: dict[str, list[int]] = {}
    row = 0
    for k, each in enumerate(experiments):
        key = str(k) if cluster is None else each.groups[cluster]
        found.setdefault(key, []).extend(range(row, row + len(each.measured)))
        row += len(each.measured)
    return list(found.values())


def cross_validate(
    experiments: Sequence[Experiment],
    whole: ServingFit,
    by: str,
    bounds: Mapping[str, Bounds] | None = None,
    *,
    tolerance: float = 0.1,
    rounds: int = 3,
    folds: int | None = None,
    also: Sequence[Experiment] = (),
    spreads: Sequence[float] = (),
    progress: Callable[[float], None] = silent,
) -> dict[str, tuple[Row, ...]]:
    """Return, for each group, what a fit without it predicts of it.

    A fit without a group begins at the minimum of the linearised problem without it, which the
    Jacobian of `whole` gives, and goes on from there with simulations of the other groups only.
    With `spreads` it begins where `whole` began, and nothing of `whole` goes into it.

    Parameters
    ----------
    experiments : sequence of Experiment
        Those that `whole` was fitted to, in that order.
    whole : ServingFit
        A fit to all of them.
    by : str
        Kind of group, a key of :attr:`~calibrate.serving.experiment.Experiment.groups`.
    bounds, tolerance, rounds
        As for :func:`fit`.
    folds : int, optional
        Groups are left out in so many lots instead of one by one: fewer fits.
    also : sequence of Experiment
        Experiments that no fit is to see; each is predicted by the fit without its group, or by
        `whole` where that is a group of its own.
    spreads : sequence of float
        As for :func:`fit`.
    progress : callable
        Called with the share done of the work that it may take.

    Raises
    ------
    InputError
        If all experiments are of one group.
    """
    groups = sorted({each.groups[by] for each in experiments})
    if len(groups) < 2:
        raise InputError(f"must have at least two groups of {by!r} to leave one out, got {groups}")
    limits = {**PHYSICAL, **(bounds or {})}
    lots = min(folds or len(groups), len(groups))
    found: dict[str, tuple[Row, ...]] = {}
    for k in range(lots):
        out = groups[k::lots]
        others = [each for each in experiments if each.groups[by] not in out]
        kept = np.repeat(
            [each.groups[by] not in out for each in experiments],
            [len(each.measured) for each in experiments],
        )
        values = (
            dict(zip(whole.values, np.exp(whole.prior.centre).tolist(), strict=True))
            if spreads
            else _linearised(whole, kept, limits, tolerance)
        )
        problem = problem_of(
            others, whole.start, values, limits, tolerance=tolerance, prior=whole.prior,
            rounds=rounds, spreads=spreads, progress=part(progress, k / lots, (k + 1) / lots),
        )  # fmt: skip
        x = search(problem, values)
        profile = problem.at(x)
        for group in out:
            left = [each for each in (*experiments, *also) if each.groups[by] == group]
            found[group] = predictions(left, profile)
    apart = [each for each in also if each.groups[by] not in groups]
    for group in sorted({each.groups[by] for each in apart}):
        left = [each for each in apart if each.groups[by] == group]
        found[group] = predictions(left, with_values(whole.start, whole.values))
    return found


def _linearised(
    whole: ServingFit, kept: npt.NDArray[np.bool_], limits: Mapping[str, Bounds], tolerance: float
) -> dict[str, float]:
    """Return the coefficients at which the linearised residuals that are kept are least."""
    names = list(whole.values)
    x = np.log(list(whole.values.values()))
    low = np.log([limits[name].low for name in names]) - x
    high = np.log([limits[name].high for name in names]) - x
    prior = whole.prior
    jacobian = np.vstack((whole.jacobian[kept], prior.jacobian(tolerance)))
    residuals = np.concatenate((whole.residuals[kept], prior.residuals(x, tolerance)))

    def line(step: Floats) -> Floats:
        return np.asarray(residuals + jacobian @ step)

    def slope(step: Floats) -> Floats:  # noqa: ARG001 - the same everywhere
        return jacobian

    moved = least_squares(
        line,
        np.clip(np.zeros(len(x)), low + 1e-9, high - 1e-9),
        jac=slope,
        bounds=(low, high),
        loss="soft_l1",
        f_scale=tolerance,
    )
    return dict(zip(names, np.exp(x + moved.x).tolist(), strict=True))
