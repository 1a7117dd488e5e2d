"""The residuals of simulations as a function of coefficients, and the search for their minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from calibrate.serving.coefficients import Bounds, Prior, with_values
from calibrate.serving.surface import explore
from planner.errors import InputError
from planner.report.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from calibrate.serving.experiment import Experiment
    from planner.catalog.profile import Profile

    Floats = npt.NDArray[np.float64]

#: Step of the Jacobian, in the logarithm of a coefficient.
STEP = 0.03
#: A coefficient within this of a bound, in its logarithm, is at it.
AT_BOUND = 1e-3


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


def predictions(
    experiments: Sequence[Experiment],
    profile: Profile,
    progress: Callable[[float], None] = silent,
) -> tuple[Row, ...]:
    """Return what `profile` predicts of every metric that the experiments measured.

    `progress` is called with the share of the experiments that are done.

    Raises
    ------
    InputError
        If a metric is not positive, measured or predicted.
    """
    rows = []
    for k, each in enumerate(experiments):
        progress(k / len(experiments))
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
class Problem:
    """The residuals as a function of the logarithms of the coefficients.

    Parameters
    ----------
    experiments : sequence of Experiment
        What is predicted.
    start : Profile
        All that is not fitted.
    names : tuple of str
        The coefficients.
    tolerance : float
        See :func:`calibrate.serving.fit.fit`.
    low, high : array, shape (coefficients,)
        Bounds of the logarithms.
    prior : Prior
        Of the logarithms.
    soften : array, shape (coefficients,)
        Added to each coefficient before its logarithm is taken, in its unit.
    step : float
        Of the Jacobian.
    rounds : int
        Most Jacobians of a search.
    spreads : sequence of float
        Boxes that a search looks at before, see :mod:`calibrate.serving.surface`.
    progress : callable
        Called with the share done of the evaluations that a search takes at most.
    """

    experiments: Sequence[Experiment]
    start: Profile
    names: tuple[str, ...]
    tolerance: float
    low: Floats
    high: Floats
    prior: Prior
    soften: Floats
    step: float
    rounds: int
    spreads: Sequence[float] = ()
    progress: Callable[[float], None] = silent
    evaluations: int = 0
    last: tuple[Floats, Floats] | None = None

    def residuals(self, x: Floats) -> Floats:
        """Return one residual per metric, shape (metrics,)."""
        if self.last is not None and np.array_equal(self.last[0], x):
            return self.last[1]
        most = evaluations(self.rounds, len(self.names), len(self.spreads))
        tell = part(self.progress, self.evaluations / most, (self.evaluations + 1) / most)
        rows = predictions(self.experiments, self.at(x), tell)
        self.evaluations += 1
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
        return with_values(self.start, self.values(x))

    def logarithms(self, values: Mapping[str, float]) -> Floats:
        """Return those of the coefficients `values`, within the bounds."""
        x = np.log(np.array([values[name] for name in self.names]) + self.soften)
        return np.clip(x, self.low, self.high)

    def values(self, x: Floats) -> dict[str, float]:
        """Return the coefficients by name."""
        return dict(zip(self.names, (np.exp(x) - self.soften).tolist(), strict=True))

    def jacobian(self, x: Floats) -> Floats:
        """Return the derivatives by differences towards the farther bound."""
        here = self.residuals(x)
        columns = []
        for k in range(len(x)):
            far = self.high[k] - x[k] > x[k] - self.low[k]
            step = self.step if far else -self.step
            moved = x.copy()
            moved[k] = np.clip(x[k] + step, self.low[k], self.high[k])
            columns.append((self.residuals(moved) - here) / (moved[k] - x[k]))
        self.last = (x.copy(), here)
        return np.column_stack(columns)

    def free(self, x: Floats) -> npt.NDArray[np.bool_]:
        """Return which coefficients no bound holds."""
        return (x - self.low > AT_BOUND) & (self.high - x > AT_BOUND)


def evaluations(rounds: int, coefficients: int, boxes: int = 0) -> int:
    """Return how often a search of so many Jacobians evaluates its residuals at most.

    Each Jacobian takes one evaluation for each coefficient and the one that it starts from; one
    more is taken at the optimum. Each box takes one for each coefficient and two beside them.
    """
    return (rounds + 1) * (coefficients + 1) + boxes * (coefficients + 2)


def problem_of(
    experiments: Sequence[Experiment],
    start: Profile,
    values: Mapping[str, float],
    limits: Mapping[str, Bounds],
    *,
    tolerance: float,
    prior: Prior,
    rounds: int,
    soften: Mapping[str, float] | None = None,
    step: float = STEP,
    spreads: Sequence[float] = (),
    progress: Callable[[float], None] = silent,
) -> Problem:
    """Return the problem of finding the coefficients named in `values`."""
    names = tuple(values)
    added = softened(names, soften)
    low = np.log(np.array([limits[name].low for name in names]) + added)
    high = np.log(np.array([limits[name].high for name in names]) + added)
    return Problem(
        experiments, start, names, tolerance, low, high, prior, added, step, rounds, spreads,
        progress,
    )  # fmt: skip


def softened(names: Iterable[str], soften: Mapping[str, float] | None) -> Floats:
    """Return what is added to each coefficient before its logarithm is taken."""
    return np.array([(soften or {}).get(name, 0.0) for name in names])


def search(problem: Problem, values: Mapping[str, float]) -> Floats:
    """Return the logarithms of the coefficients at the minimum that is found from `values`."""
    x = explore(problem, problem.logarithms(values), problem.spreads)
    x = np.clip(x, problem.low + 1e-9, problem.high - 1e-9)
    prior, tolerance = problem.prior, problem.tolerance

    def residuals(x: Floats) -> Floats:
        return np.concatenate((problem.residuals(x), prior.residuals(x, tolerance)))

    def jacobian(x: Floats) -> Floats:
        return np.vstack((problem.jacobian(x), prior.jacobian(tolerance)))

    found = least_squares(
        residuals,
        x,
        jac=jacobian,
        bounds=(problem.low, problem.high),
        loss="soft_l1",
        f_scale=problem.tolerance,
        xtol=1e-3,
        ftol=1e-3,
        max_nfev=problem.rounds,
    )
    return np.asarray(found.x)
