"""The probability that objectives are met, from counts of requests that miss them.

Each objective is brought to one form: a ratio of sums, ``sum(bad) / sum(total)``, must not exceed
what is allowed. For a percentile `bad` counts the requests beyond the bound, and ``1 - p`` of them
are allowed; for goodput it counts requests that miss a bound; for a mean it is the sum of the
values. A ratio has an error far closer to normal than a percentile, and its units (replications,
or blocks of time) are independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from planner.results.records import FloatArray


@dataclass(frozen=True)
class Tally:
    """What requests did to one objective, by unit.

    Parameters
    ----------
    bad, total : tuple of float
        One per unit: requests that missed and all requests, or the sum of values and their
        number.
    allowed : float
        Most that the ratio of the sums may be.
    is_mean : bool
        Whether the ratio is a mean rather than a share.
    neighbours : bool
        Whether units are blocks of time, in order, which depend on those before; else they are
        independent replications.
    """

    bad: tuple[float, ...]
    total: tuple[float, ...]
    allowed: float
    is_mean: bool = False
    neighbours: bool = True

    @property
    def ratio(self) -> float:
        """``sum(bad) / sum(total)``; NaN without requests."""
        whole = sum(self.total)
        return sum(self.bad) / whole if whole else math.nan

    def error(self) -> tuple[float, float]:
        """Return the standard error of the ratio and its degrees of freedom; inf from one unit.

        That of a ratio estimator, by linearisation [1]_. Blocks of time count in overlapping runs
        of ``round(blocks**(1/3))``, around the circle, as in
        :class:`planner.results.bootstrap.BlockBootstrap`, with the freedom that follows from how
        unequal the runs are. A share is no surer than that of independent requests with one more
        miss: none seen in a thousand is not none.

        References
        ----------
        .. [1] W. G. Cochran, Sampling Techniques, 3rd ed., 1977, section 6.3.
        """
        units, whole = len(self.total), sum(self.total)
        if units < 2 or not whole or not math.isfinite(self.ratio):
            return math.inf, 1.0
        residual = np.asarray(self.bad) - self.ratio * np.asarray(self.total)
        width = max(1, round(math.cbrt(units))) if self.neighbours else 1
        runs = np.sum([np.roll(residual, k) for k in range(width)], axis=0)
        groups = units / width
        square = float((runs**2).mean())
        error = math.sqrt(groups * square * groups / (groups - 1)) / whole
        freedom = groups - 1
        if self.neighbours and square:
            kurtosis = float((runs**4).mean()) / square**2
            freedom = min(max(2 * groups / max(kurtosis - 1, 1e-9), 1.0), groups - 1)
        if not self.is_mean:
            floor = (sum(self.bad) + 1) / (whole + 2)
            error = max(error, math.sqrt(floor * (1 - floor) / whole))
        return error, freedom

    def probability(self, shifts: Sequence[float] = (0.0,)) -> float:
        """Return the probability that the ratio in the long run is at most what is allowed.

        Student's t on the logit of a share and the logarithm of a mean, which are less skewed
        than they, averaged over `shifts` of the ratio: what other coefficients of the step time
        would add to it.
        """
        ratio, (error, freedom) = self.ratio, self.error()
        if math.isnan(ratio) or math.isinf(ratio):
            return 0.0
        if math.isinf(error):
            return 0.5
        if not self.is_mean and self.allowed <= 0:
            return 0.5 if ratio == 0 and not any(shift > 0 for shift in shifts) else 0.0
        least = 1 / (sum(self.total) + 2) if not self.is_mean else 1e-12
        most = 1 - least if not self.is_mean else math.inf
        if not self.is_mean and self.allowed >= most:
            return 1.0
        base = min(max(ratio, least), most)
        moved = np.clip(ratio + np.nan_to_num(np.asarray(shifts, np.float64)), least, most)
        if self.is_mean:
            slope = 1 / base
            distance: FloatArray = np.asarray(math.log(self.allowed) - np.log(moved))
        else:
            slope = 1 / (base * (1 - base))
            distance = _logit(np.array(self.allowed)) - _logit(moved)
        if error == 0:
            return float(np.mean(distance >= 0))
        return float(np.mean(_student(distance / (error * slope), freedom)))


def _logit(share: npt.NDArray[Any]) -> FloatArray:
    odds: FloatArray = np.asarray(np.log(share) - np.log1p(-share), np.float64)
    return odds


def merged(tallies: Sequence[Tally], *, by_unit: bool) -> Tally:
    """Return the tallies of several replications as one.

    Parameters
    ----------
    tallies : sequence of Tally
        Of one objective, one per replication, at least one.
    by_unit : bool
        Whether blocks of time are the units rather than replications.
    """
    first = tallies[0]
    if by_unit:
        bad = tuple(value for each in tallies for value in each.bad)
        total = tuple(value for each in tallies for value in each.total)
    else:
        bad = tuple(sum(each.bad) for each in tallies)
        total = tuple(sum(each.total) for each in tallies)
    return Tally(bad, total, first.allowed, first.is_mean, neighbours=by_unit)


def joint(probabilities: Sequence[float]) -> float:
    """Return a lower bound of the probability that all hold, whatever their dependence [1]_.

    References
    ----------
    .. [1] C. E. Bonferroni's inequality: ``1 - sum(1 - p)``.
    """
    return max(0.0, 1.0 - sum(1.0 - each for each in probabilities))


def _student(values: FloatArray, freedom: float) -> FloatArray:
    """Return the distribution function of Student's t."""
    from scipy.special import stdtr  # noqa: PLC0415 - 0.3 s to import

    found: FloatArray = np.asarray(stdtr(freedom, values), np.float64)
    return found
