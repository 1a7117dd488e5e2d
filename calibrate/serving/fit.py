"""Coefficients for which simulations reproduce measured latencies: robust bounded least squares.

The residual of a metric is ``log(predicted / measured)``, so that every metric counts by its
relative error. With ``soft_l1`` [1]_ one that is off by more than ``tolerance`` counts by its size
rather than by its square: a few runs that the model does not describe do not bend the others. A
metric whose repeats spread by more than the tolerance is scaled down to it.

Coefficients are searched by their logarithms, which keeps them positive and treats an efficiency
of 0.6 and an overhead of 20 us alike. The simulation is a step function of them, since batches
form differently; the Jacobian is taken over :data:`~calibrate.serving.problem.STEP`, wide enough
to see past that. A small overhead has hardly any derivative by its logarithm, and a search that
begins from one stays there: `soften` searches the logarithm of the coefficient and a time beside
it.

What the results do not tell is drawn to where the search begins: a coefficient with a `width` has a
normal prior around its start, in the logarithm, that weighs as much as one metric does. Without it
results of one or two degrees of parallelism fit as well with an absurd link as with a likely one,
and predict the next degree by chance.

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

from calibrate.serving.coefficients import (
    PHYSICAL,
    Bounds,
    Prior,
    with_coefficients,
    with_values,
)
from calibrate.serving.problem import (
    STEP,
    Row,
    predictions,
    problem_of,
    search,
    softened,
)
from calibrate.serving.resample import bootstrap, cross_validate
from planner.catalog.coefficients import Coefficient
from planner.errors import InputError
from planner.report.progress import silent

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from calibrate.serving.experiment import Experiment
    from planner.catalog.coefficients import Covariance
    from planner.catalog.profile import Profile

    Floats = npt.NDArray[np.float64]

__all__ = [
    "PHYSICAL",
    "Bounds",
    "Prior",
    "Row",
    "ServingFit",
    "cross_validate",
    "fit",
    "predictions",
    "with_coefficients",
    "with_values",
]


@dataclass(frozen=True)
class ServingFit:
    """Fitted coefficients and how well they do on what they were fitted to.

    Parameters
    ----------
    start : Profile
        Where the search began, and what else the profile says.
    values : dict of str to float
        Fitted coefficients, each in its unit.
    covariance : Covariance
        Of the coefficients that no bound holds.
    rows : tuple of Row
        All metrics, in sample.
    evaluations : int
        Times that all experiments were simulated.
    residuals : array, shape (metrics,)
        At the optimum, see above.
    jacobian : array, shape (metrics, coefficients)
        Their derivatives by the logarithms of the coefficients.
    prior : Prior
        Where coefficients were drawn to.
    """

    start: Profile
    values: dict[str, float]
    covariance: Covariance
    rows: tuple[Row, ...]
    evaluations: int
    residuals: Floats = field(repr=False, compare=False)
    jacobian: Floats = field(repr=False, compare=False)
    prior: Prior = field(repr=False, compare=False)

    @property
    def stderr(self) -> dict[str, float]:
        """Standard errors by coefficient; one at its bound is left out."""
        matrix = self.covariance.matrix
        return {name: matrix[k][k] ** 0.5 for k, name in enumerate(self.covariance.names)}

    @property
    def at_bound(self) -> list[str]:
        """Coefficients that a bound holds: the sign of a term that is missing or wrong."""
        return [name for name in self.values if name not in self.covariance.names]

    def profile(self, name: str, created: dt.date, source: str) -> Profile:
        """Return the start with the fitted coefficients in place of its own."""
        found = self.put_into(self.start, source)
        return found.model_copy(update={"name": name, "created": created})

    def put_into(self, profile: Profile, source: str) -> Profile:
        """Return `profile` with what was fitted in place of its own, and how sure it is."""
        stderr = self.stderr
        found = with_coefficients(
            profile,
            {
                key: Coefficient(
                    value=value, stderr=stderr.get(key), provenance="fitted", source=source
                )
                for key, value in self.values.items()
            },
        )
        # with one coefficient its standard error says as much
        joint = self.covariance if len(self.covariance.names) > 1 else None
        return found.model_copy(update={"covariance": joint})


def fit(
    experiments: Sequence[Experiment],
    start: Profile,
    bounds: Mapping[str, Bounds] | None = None,
    *,
    values: Mapping[str, float],
    widths: Mapping[str, float] | None = None,
    tolerance: float = 0.1,
    cluster: str | None = None,
    rounds: int = 20,
    seed: int = 0,
    soften: Mapping[str, float] | None = None,
    step: float = STEP,
    spreads: Sequence[float] = (),
    found: Mapping[str, float] | None = None,
    progress: Callable[[float], None] = silent,
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
    widths : mapping of str to float, optional
        Of the normal prior around `values`, in the logarithm; none where left out.
    tolerance : float
        Relative error beyond which a metric counts by its size, not by its square. [-]
    cluster : str, optional
        Kind of group that the bootstrap resamples whole; by default single experiments.
    rounds : int
        Most Jacobians.
    seed : int
        Of the bootstrap.
    soften : mapping of str to float, optional
        What is added to a coefficient before its logarithm is taken, in its unit; 0 where left
        out.
    step : float
        Of the Jacobian, in that logarithm: wider for runs of few requests.
    spreads : sequence of float
        Half widths of the boxes that the search looks at before it follows derivatives, in widths
        of the prior; see :mod:`calibrate.serving.surface`.
    found : mapping of str to float, optional
        Coefficients that an earlier search found, all of `values`: there is no search, and how
        sure they are is told anew.
    progress : callable
        Called with the share done of the work that it may take; it often takes less.

    Raises
    ------
    InputError
        If there are fewer metrics than coefficients, or a start lies outside its bounds.
    """
    limits = {**PHYSICAL, **(bounds or {})}
    _check(experiments, values, limits)
    prior = Prior(
        np.log(np.array(list(values.values())) + softened(values, soften)),
        np.array([(widths or {}).get(name, np.inf) for name in values]),
    )
    problem = problem_of(
        experiments,
        start,
        values,
        limits,
        tolerance=tolerance,
        prior=prior,
        rounds=rounds,
        soften=soften,
        step=step,
        spreads=spreads,
        progress=progress,
    )
    x = search(problem, values) if found is None else problem.logarithms(found)
    jacobian, residuals = problem.jacobian(x), problem.residuals(x)
    covariance = bootstrap(problem, x, jacobian, cluster, seed)
    fitted = problem.values(x)
    rows = predictions(experiments, problem.at(x))
    return ServingFit(
        start, fitted, covariance, rows, problem.evaluations, residuals, jacobian, prior
    )


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
