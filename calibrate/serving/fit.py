"""Coefficients for which simulations reproduce measured latencies: robust bounded least squares.

The residual of a metric is ``log(predicted / measured)``, so that every metric counts by its
relative error. With ``soft_l1`` [1]_ one that is off by more than ``tolerance`` counts by its size
rather than by its square: a few runs that the model does not describe do not bend the others. A
metric whose repeats spread by more than the tolerance is scaled down to it.

Coefficients are searched by their logarithms, which keeps them positive and treats an efficiency
of 0.6 and an overhead of 20 us alike. The simulation is a step function of them, since batches
form differently; the Jacobian is taken over :data:`STEP`, wide enough to see past that.

Standard errors come from a bootstrap of whole groups [2]_, each resample moved to by one
Gauss-Newton step from the optimum: no resample is simulated anew. A coefficient at its bound has
none.

References
----------
.. [1] B. Triggs et al., "Bundle adjustment: a modern synthesis," 1999, section 3; the loss of
   ``scipy.optimize.least_squares``.
.. [2] A. C. Cameron, J. B. Gelbach and D. L. Miller, "Bootstrap-based improvements for inference
   with clustered errors," Rev. Econ. Stat. 90(3), 2008. doi:10.1162/rest.90.3.414
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from planner.catalog.profile import Coefficient
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from calibrate.serving.experiment import Experiment
    from planner.catalog.profile import Profile

    Floats = npt.NDArray[np.float64]

#: Step of the Jacobian, in the logarithm of a coefficient.
STEP = 0.03
#: A coefficient within this of a bound, in its logarithm, is at it.
AT_BOUND = 1e-3
#: Resamples of the bootstrap.
RESAMPLES = 400


@dataclass(frozen=True)
class Bounds:
    """Where a coefficient may lie.

    Parameters
    ----------
    low, high : float
        Positive, ``low < high``, in the coefficient's unit.
    """

    low: float
    high: float


#: What physics allows: efficiencies below 1, overheads below what any engine spends.
PHYSICAL: dict[str, Bounds] = {
    "compute_efficiency": Bounds(0.05, 0.95),
    "attention_efficiency": Bounds(0.02, 0.95),
    "storage_efficiency": Bounds(0.1, 0.97),
    "overlap": Bounds(1.0, 20.0),
    "overhead_fixed": Bounds(1e-6, 0.1),
    "overhead_per_sequence": Bounds(1e-8, 5e-3),
    "request_overhead": Bounds(1e-6, 1.0),
    "link_efficiency": Bounds(0.05, 0.95),
    "link_latency": Bounds(1e-7, 1e-3),
    "kv_efficiency": Bounds(0.1, 0.97),
    "expert_compute": Bounds(0.02, 2.0),
    "expert_storage": Bounds(0.05, 2.0),
    "overhead_per_layer": Bounds(1e-7, 5e-3),
    "overhead_per_moe_layer": Bounds(1e-7, 5e-3),
}


@dataclass(frozen=True)
class Row:
    """One metric of one experiment, measured and predicted.

    Parameters
    ----------
    experiment, metric : str
        Which.
    measured, predicted : float
        In the metric's unit.
    """

    experiment: str
    metric: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """``predicted / measured - 1``."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class ServingFit:
    """Fitted coefficients and how well they do on what they were fitted to.

    Parameters
    ----------
    start : Profile
        Where the search began, and what else the profile says.
    values : dict of str to float
        Fitted coefficients, each in its unit.
    stderr : dict of str to float
        Standard errors; a coefficient at its bound is left out.
    rows : tuple of Row
        All metrics, in sample.
    evaluations : int
        Times that all experiments were simulated.
    residuals : array, shape (metrics,)
        At the optimum, see above.
    jacobian : array, shape (metrics, coefficients)
        Their derivatives by the logarithms of the coefficients.
    """

    start: Profile
    values: dict[str, float]
    stderr: dict[str, float]
    rows: tuple[Row, ...]
    evaluations: int
    residuals: Floats = field(repr=False, compare=False)
    jacobian: Floats = field(repr=False, compare=False)

    @property
    def at_bound(self) -> list[str]:
        """Coefficients that a bound holds: the sign of a term that is missing or wrong."""
        return [name for name in self.values if name not in self.stderr]

    def coefficients(self, source: str) -> dict[str, Coefficient]:
        """Return the fitted coefficients, as a profile has them."""
        return {
            key: Coefficient(
                value=value, stderr=self.stderr.get(key), provenance="fitted", source=source
            )
            for key, value in self.values.items()
        }


def with_coefficients(profile: Profile, coefficients: Mapping[str, Coefficient]) -> Profile:
    """Return `profile` with `coefficients` in place of its own, on every device it speaks of."""
    return profile.model_copy(
        update={
            "coefficients": {**profile.coefficients, **coefficients},
            "devices": {
                device: {key: each for key, each in own.items() if key not in coefficients}
                for device, own in profile.devices.items()
            },
        }
    )


def with_values(profile: Profile, values: Mapping[str, float]) -> Profile:
    """Return `profile` with these values, marked as fitted."""
    return with_coefficients(
        profile,
        {
            key: Coefficient(value=value, provenance="fitted", source="a search under way")
            for key, value in values.items()
        },
    )


def predictions(experiments: Sequence[Experiment], profile: Profile) -> tuple[Row, ...]:
    """Return what `profile` predicts of every metric that the experiments measured.

    Raises
    ------
    InputError
        If a metric is not positive, measured or predicted.
    """
    rows = []
    for each in experiments:
        found = each.predict(profile)
        for metric, measured in each.measured.items():
            predicted = found[metric]
            if not (measured > 0 and predicted > 0):
                raise InputError(
                    f"{each.name}: {metric} must be positive, measured and predicted, got "
                    f"{measured:g} and {predicted:g}; leave the metric out"
                )
            rows.append(Row(each.name, metric, measured, predicted))
    return tuple(rows)


@dataclass
class _Problem:
    """The residuals as a function of the logarithms of the coefficients."""

    experiments: Sequence[Experiment]
    start: Profile
    names: tuple[str, ...]
    tolerance: float
    low: Floats
    high: Floats
    evaluations: int = 0
    last: tuple[Floats, Floats] | None = None

    def residuals(self, x: Floats) -> Floats:
        """Return one residual per metric, shape (metrics,)."""
        if self.last is not None and np.array_equal(self.last[0], x):
            return self.last[1]
        self.evaluations += 1
        rows = predictions(self.experiments, self.at(x))
        ratio = np.array([row.predicted / row.measured for row in rows])
        found = np.asarray(np.log(ratio) * self.weights())
        self.last = (x.copy(), found)
        return found

    def weights(self) -> Floats:
        """Return the weight of each residual: less than 1 where repeats spread widely."""
        spreads = [
            each.spread.get(metric, 0.0) for each in self.experiments for metric in each.measured
        ]
        return self.tolerance / np.maximum(spreads, self.tolerance)

    def at(self, x: Floats) -> Profile:
        """Return the profile of these logarithms."""
        return with_values(self.start, dict(zip(self.names, np.exp(x).tolist(), strict=True)))

    def jacobian(self, x: Floats) -> Floats:
        """Return the derivatives by differences towards the farther bound."""
        here = self.residuals(x)
        columns = []
        for k in range(len(x)):
            step = STEP if self.high[k] - x[k] > x[k] - self.low[k] else -STEP
            moved = x.copy()
            moved[k] = np.clip(x[k] + step, self.low[k], self.high[k])
            columns.append((self.residuals(moved) - here) / (moved[k] - x[k]))
        self.last = (x.copy(), here)
        return np.column_stack(columns)

    def free(self, x: Floats) -> npt.NDArray[np.bool_]:
        """Return which coefficients no bound holds."""
        return (x - self.low > AT_BOUND) & (self.high - x > AT_BOUND)


def fit(
    experiments: Sequence[Experiment],
    start: Profile,
    bounds: Mapping[str, Bounds] | None = None,
    *,
    values: Mapping[str, float],
    tolerance: float = 0.1,
    cluster: str | None = None,
    rounds: int = 20,
    seed: int = 0,
) -> ServingFit:
    """Return the coefficients for which the experiments come out as measured.

    Parameters
    ----------
    experiments : sequence of Experiment
        At least as many metrics as coefficients.
    start : Profile
        All that is not fitted.
    bounds : mapping of str to Bounds, optional
        By coefficient; :data:`PHYSICAL` where left out.
    values : mapping of str to float
        The coefficients to fit, and where the search begins.
    tolerance : float
        Relative error beyond which a metric counts by its size, not by its square. [-]
    cluster : str, optional
        Kind of group that the bootstrap resamples whole; by default single experiments.
    rounds : int
        Most Jacobians.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        If there are fewer metrics than coefficients, or a start lies outside its bounds.
    """
    limits = {**PHYSICAL, **(bounds or {})}
    _check(experiments, values, limits)
    problem = _problem(experiments, start, values, limits, tolerance)
    x = _search(problem, values, rounds)
    jacobian, residuals = problem.jacobian(x), problem.residuals(x)
    stderr = _bootstrap(problem, x, jacobian, cluster, seed)
    fitted = dict(zip(problem.names, np.exp(x).tolist(), strict=True))
    rows = predictions(experiments, problem.at(x))
    return ServingFit(start, fitted, stderr, rows, problem.evaluations, residuals, jacobian)


def _problem(
    experiments: Sequence[Experiment],
    start: Profile,
    values: Mapping[str, float],
    limits: Mapping[str, Bounds],
    tolerance: float,
) -> _Problem:
    names = tuple(values)
    low = np.log([limits[name].low for name in names])
    high = np.log([limits[name].high for name in names])
    return _Problem(experiments, start, names, tolerance, low, high)


def _search(problem: _Problem, values: Mapping[str, float], rounds: int) -> Floats:
    """Return the logarithms of the coefficients at the minimum that is found from `values`."""
    x = np.clip(np.log(list(values.values())), problem.low + 1e-9, problem.high - 1e-9)
    found = least_squares(
        problem.residuals,
        x,
        jac=problem.jacobian,
        bounds=(problem.low, problem.high),
        loss="soft_l1",
        f_scale=problem.tolerance,
        xtol=1e-3,
        ftol=1e-3,
        max_nfev=rounds,
    )
    return np.asarray(found.x)


def _check(
    experiments: Sequence[Experiment], values: Mapping[str, float], limits: Mapping[str, Bounds]
) -> None:
    """Do nothing if there is enough to fit, and the start is possible."""
    metrics = sum(len(each.measured) for each in experiments)
    if metrics <= len(values):
        raise InputError(
            f"must have more measured metrics than coefficients, got {metrics} and {len(values)}; "
            "measure more loads or fit fewer coefficients"
        )
    for name, value in values.items():
        bound = limits[name]
        if not bound.low <= value <= bound.high:
            raise InputError(
                f"{name} must begin from {bound.low:g} to {bound.high:g}, got {value:g}"
            )


def _bootstrap(
    problem: _Problem, x: Floats, jacobian: Floats, cluster: str | None, seed: int
) -> dict[str, float]:
    """Return standard errors in the coefficients' units, of those that no bound holds."""
    free = problem.free(x)
    if not free.any():
        return {}
    residuals = problem.residuals(x)
    # weights of the loss soft_l1 at the optimum: rho'(z) of iteratively reweighted least squares
    robust = 1 / np.sqrt(1 + (residuals / problem.tolerance) ** 2)
    rows_of = _clusters(problem.experiments, cluster)
    a = jacobian[:, free] * np.sqrt(robust)[:, None]
    b = residuals * np.sqrt(robust)
    # sums per group, so that a resample is a weighting of groups
    squares = np.array([a[rows].T @ a[rows] for rows in rows_of])
    slopes = np.array([a[rows].T @ b[rows] for rows in rows_of])
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(rows_of), np.full(len(rows_of), 1 / len(rows_of)), RESAMPLES)
    moved = [
        -np.linalg.lstsq(np.tensordot(n, squares, 1), n @ slopes, rcond=1e-10)[0] for n in counts
    ]
    spread = np.std(moved, axis=0, ddof=1)
    names = [name for name, is_free in zip(problem.names, free, strict=True) if is_free]
    return {
        name: float(value * error)
        for name, value, error in zip(names, np.exp(x[free]), spread, strict=True)
    }


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
) -> dict[str, tuple[Row, ...]]:
    """Return, for each group, what a fit without it predicts of it.

    A fit without a group begins at the minimum of the linearised problem without it, which the
    Jacobian of `whole` gives, and goes on from there with simulations of the other groups only.

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
        values = _linearised(whole, kept, limits, tolerance)
        problem = _problem(others, whole.start, values, limits, tolerance)
        x = _search(problem, values, rounds)
        profile = problem.at(x)
        for group in out:
            left = [each for each in experiments if each.groups[by] == group]
            found[group] = predictions(left, profile)
    return found


def _linearised(
    whole: ServingFit, kept: npt.NDArray[np.bool_], limits: Mapping[str, Bounds], tolerance: float
) -> dict[str, float]:
    """Return the coefficients at which the linearised residuals that are kept are least."""
    names = list(whole.values)
    x = np.log(list(whole.values.values()))
    low = np.log([limits[name].low for name in names]) - x
    high = np.log([limits[name].high for name in names]) - x
    jacobian, residuals = whole.jacobian[kept], whole.residuals[kept]

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
