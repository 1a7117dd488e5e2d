"""Step coefficients by bounded least squares: values, standard errors, how far off they are.

A step's prediction is :func:`planner.latency.model_step.step_time` itself, so that there is one
definition of it. Residuals are those of the logarithm: a step counts by its relative error,
whatever its length. Efficiencies and speedups are fitted by their logarithms, the overlap as 1/q.

The standard errors come from the Jacobian at the optimum, ``s^2 (J^T J)^-1`` with ``s^2`` the
residual variance [1]_; a coefficient at its bound has none.

References
----------
.. [1] G. Seber and C. Wild, "Nonlinear Regression," Wiley, 1989, section 2.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from calibrate.fit.step_model import Parameter, Sample, StepModel
from planner.report.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from planner.catalog.devices import Device
    from planner.catalog.models import ModelShape

    Floats = npt.NDArray[np.float64]

#: Residual beyond which a sample counts by its size and not its square: something interrupted it.
OUTLIER = 0.1
#: Nearer to a bound than this share of the range, a coefficient is at it.
AT_BOUND = 1e-4


@dataclass(frozen=True)
class Estimate:
    """A fitted coefficient.

    Parameters
    ----------
    parameter : Parameter
        Start and bounds.
    value : float
        In its own unit.
    stderr : float, optional
        Standard error; None at a bound, and where others would do as well.
    """

    parameter: Parameter
    value: float
    stderr: float | None

    @property
    def open(self) -> str:
        """Why it has no standard error; empty if it has one."""
        if self.stderr is not None:
            return ""
        here, (low, high) = self.parameter.inside(self.value), self.parameter.bounds
        near = min(here - low, high - here) <= AT_BOUND * (high - low)
        return "at its bound" if near else "not told apart from others"

    @property
    def may_be_zero(self) -> bool:
        """Whether it is a time or share of which there may be nothing."""
        return self.parameter.lower == 0


@dataclass(frozen=True)
class Fit:
    """Fitted coefficients and how well they do.

    Parameters
    ----------
    estimates : dict of str to Estimate
        By name.
    names : tuple of str
        Coefficients in the covariance: those not at a bound.
    covariance : array, shape (len(names), len(names))
        Of the coefficients in their own units.
    samples : tuple of Sample
        That it was fitted to.
    predicted : array, shape (len(samples),)
        Seconds by the fit. [s]
    weights : array, shape (len(samples),)
        Of the residuals.
    shape : ModelShape
        Model that was measured.
    device : Device
        That efficiencies are relative to.
    """

    estimates: dict[str, Estimate]
    names: tuple[str, ...]
    covariance: Floats
    samples: tuple[Sample, ...]
    predicted: Floats
    weights: Floats
    shape: ModelShape
    device: Device

    @property
    def errors(self) -> Floats:
        """Relative errors, ``predicted / measured - 1``, shape ``(len(samples),)``."""
        return self.predicted / np.array([each.seconds for each in self.samples]) - 1

    @property
    def squares(self) -> float:
        """Sum of squares of the weighted residuals of the logarithm."""
        measured = np.array([each.seconds for each in self.samples])
        return float(np.sum((self.weights * np.log(self.predicted / measured)) ** 2))

    @property
    def freedom(self) -> int:
        """Degrees of freedom that are left."""
        return len(self.samples) - len(self.estimates)

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for small samples [-]."""
        n, k = len(self.samples), len(self.estimates) + 1
        correction = 2 * k * (k + 1) / max(n - k - 1, 1)
        return n * math.log(self.squares / n) + 2 * k + correction

    def values(self) -> dict[str, float]:
        """Return the coefficients by name."""
        return {name: each.value for name, each in self.estimates.items()}

    def here(self) -> list[Parameter]:
        """Return the parameters, to start from these values."""
        return [replace(each.parameter, start=each.value) for each in self.estimates.values()]

    def predict(self, samples: Sequence[Sample]) -> Floats:
        """Return the seconds that the fit predicts for `samples`, shape ``(len(samples),)``."""
        parameters = [each.parameter for each in self.estimates.values()]
        model = StepModel(samples, self.shape, self.device, parameters)
        return model.seconds([each.value for each in self.estimates.values()])

    def without(self, leave_out: Iterable[Sample]) -> Fit:
        """Return the same model fitted without some samples, starting from here."""
        gone = {id(each) for each in leave_out}
        left = tuple(each for each in self.samples if id(each) not in gone)
        return solve(left, self.shape, self.device, self.here())

    def leave_one_out(self, progress: Callable[[float], None] = silent) -> Floats:
        """Return the relative errors of points that the fit has not seen.

        Each point, and the stretches of each number of clients, are left out of all variants at
        once, and the coefficients are fitted anew; `progress` is called with the share done.
        Shape ``(len(samples),)``.
        """
        errors = np.empty(len(self.samples))
        keys = {each.key for each in self.samples}
        for k, key in enumerate(keys):
            progress(k / len(keys))
            where = [i for i, each in enumerate(self.samples) if each.key == key]
            out = [self.samples[i] for i in where]
            predicted = self.without(out).predict(out)
            errors[where] = predicted / np.array([each.seconds for each in out]) - 1
        return errors


def solve(
    samples: tuple[Sample, ...], shape: ModelShape, device: Device, parameters: list[Parameter]
) -> Fit:
    """Return the fit of `parameters` from their initial values.

    Parameters
    ----------
    samples : tuple of Sample
        More than there are parameters.
    shape : ModelShape
        The uncompressed model.
    device : Device
        That efficiencies are relative to.
    parameters : list of Parameter
        With starts and bounds.
    """
    model = StepModel(samples, shape, device, parameters)
    low, high = np.array([each.bounds for each in parameters]).T
    start = np.array([each.inside(each.first) for each in parameters])
    margin = 1e-9 * (high - low)
    found = least_squares(
        model.residuals,
        np.clip(start, low + margin, high - margin),
        jac=model.jacobian,
        bounds=(low, high),
        x_scale="jac",
        loss="soft_l1",
        f_scale=OUTLIER,
        max_nfev=200,
    )
    values = [p.outside(number) for p, number in zip(parameters, found.x, strict=True)]
    free = [
        i
        for i in range(len(parameters))
        if min(found.x[i] - low[i], high[i] - found.x[i]) > AT_BOUND * (high[i] - low[i])
    ]
    predicted = model.seconds(values)
    freedom = max(1, len(samples) - len(parameters))
    inner = _covariance(model.jacobian(found.x)[:, free], 2 * found.cost / freedom)
    slopes = np.array([parameters[i].slope(values[i]) for i in free])
    covariance = inner * np.outer(slopes, slopes)
    errors: dict[int, float] = dict(zip(free, np.sqrt(np.diag(covariance)), strict=True))
    estimates = {
        each.name: Estimate(
            each, values[i], float(errors[i]) if i in errors and np.isfinite(errors[i]) else None
        )
        for i, each in enumerate(parameters)
    }
    names = tuple(parameters[i].name for i in free)
    return Fit(estimates, names, covariance, samples, predicted, model.weights, shape, device)


def _covariance(jacobian: Floats, variance: float) -> Floats:
    """Return ``variance (J^T J)^-1``, infinite for what `jacobian` leaves open."""
    _, singular, rows = np.linalg.svd(jacobian, full_matrices=False)
    known = singular > 1e-9 * singular.max(initial=0.0)
    scaled = rows[known].T / singular[known]
    covariance: Floats = variance * (scaled @ scaled.T)
    open_ = np.any(np.abs(rows[~known]) > 1e-6, axis=0)
    covariance[open_, open_] = np.inf
    return np.tril(covariance) + np.tril(covariance, -1).T
