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
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.results.records import FloatArray

#: Requests beyond a bound and all of them, by block; or nothing.
Edge = tuple[tuple[float, ...], tuple[float, ...]] | tuple[()]
#: Least mean: a logarithm needs one.
TINY = 1e-12
#: Chances at which the distribution of an effect is taken: the middles of 32 equal parts.
CHANCES = (np.arange(32) + 0.5) / 32


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
    edge : tuple of float and tuple of float, or ()
        By block of requests in the order of arrival: those beyond the bound that just as many as
        allowed are beyond, and all. Empty where that is not known.
    """

    bad: tuple[float, ...]
    total: tuple[float, ...]
    allowed: float
    is_mean: bool = False
    neighbours: bool = True
    edge: Edge = ()

    @property
    def ratio(self) -> float:
        """``sum(bad) / sum(total)``; NaN without requests."""
        whole = sum(self.total)
        return sum(self.bad) / whole if whole else math.nan

    def probability(self, shifts: Sequence[float] = (0.0,)) -> float:
        """Return the probability that the ratio in the long run is at most what is allowed.

        Averaged over `shifts` of the ratio: what other coefficients of the step time would add
        to it. NaN and infinite ratios have 0, and one unit says nothing: 0.5.
        """
        if math.isnan(self.ratio) or math.isinf(self.ratio):
            return 0.0
        if len(self.total) < 2:
            return 0.5
        moved = self.ratio + np.nan_to_num(np.asarray(shifts, np.float64))
        return self._mean(moved) if self.is_mean else self._share(moved)

    def _mean(self, moved: FloatArray) -> float:
        """Return the probability of a mean: Student's t on its logarithm, which is less skewed."""
        from scipy.special import stdtr  # noqa: PLC0415 - 0.3 s to import

        square, freedom = _square(self.bad, self.total, neighbours=self.neighbours)
        distance = math.log(self.allowed) - np.log(np.maximum(moved, TINY))
        if square == 0:
            return float(np.mean(distance >= 0))
        error = math.sqrt(square) / sum(self.total) / max(self.ratio, TINY)
        return float(np.mean(stdtr(freedom, distance / error)))

    def _share(self, moved: FloatArray) -> float:
        """Return the probability of a share: Jeffreys' posterior for the effective numbers [1]_.

        Requests that miss come together, so that `effect` of them count as one: of `n` requests,
        `bad` of which missed, the share is ``Beta(bad / effect + 1/2, (n - bad) / effect + 1/2)``.
        The effect is an estimate itself, and is averaged over its chi-squared distribution: with
        many misses the result is Student's t, with none the rule of three.

        References
        ----------
        .. [1] L. D. Brown, T. T. Cai, A. DasGupta, "Interval estimation for a binomial
           proportion," Statistical Science 16(2), 2001. doi:10.1214/ss/1009213286
        """
        from scipy.special import betainc, chdtri  # noqa: PLC0415 - 0.3 s to import

        if self.allowed <= 0:
            return 0.5 if self.ratio == 0 and not (moved > 0).any() else 0.0
        if self.allowed >= 1:
            return 1.0
        whole = sum(self.total)
        effect, freedom = self.effect()
        effects = np.maximum(1.0, effect * freedom / chdtri(freedom, CHANCES))[:, None]
        bad = whole * np.clip(moved, 0.0, 1.0)
        return float(
            betainc(bad / effects + 0.5, (whole - bad) / effects + 0.5, self.allowed).mean()
        )

    @property
    def may_miss(self) -> float:
        """How many independent requests may miss: where few, what was seen hardly tells."""
        return self.allowed * sum(self.total) / self.effect()[0]

    def effect(self) -> tuple[float, float]:
        """Return the design effect [1]_ of a share, and its degrees of freedom.

        By how much the variance of the number of misses exceeds that of independent requests:
        how many of them come together. From the misses by unit, or from the requests beyond
        `edge` by block, whichever is larger: of what was seen once or never nothing can be said
        from itself, but latencies somewhat shorter come together in the same way.

        References
        ----------
        .. [1] L. Kish, Survey Sampling, 1965, section 8.2.
        """
        found = [(1.0, float(len(self.total) - 1))]
        seen = [(self.bad, self.total, self.neighbours)]
        if self.edge:
            seen.append((*self.edge, True))
        for bad, total, neighbours in seen:
            share = sum(bad) / sum(total)
            if 0 < share < 1:
                square, freedom = _square(bad, total, neighbours=neighbours)
                found.append((square / (sum(total) * share * (1 - share)), freedom))
        return max(found)


def _square(
    bad: Sequence[float], total: Sequence[float], *, neighbours: bool
) -> tuple[float, float]:
    """Return the variance of ``sum(bad) - ratio * sum(total)`` and its degrees of freedom.

    That of a ratio estimator, by linearisation [1]_. Blocks of time, which depend on their
    neighbours, count in overlapping runs of ``round(blocks**(1/3))``, around the circle, as in
    :class:`planner.results.bootstrap.BlockBootstrap`, with the freedom that follows from how
    unequal the runs are.

    References
    ----------
    .. [1] W. G. Cochran, Sampling Techniques, 3rd ed., 1977, section 6.3.
    """
    units = len(total)
    residual = np.asarray(bad) - sum(bad) / sum(total) * np.asarray(total)
    width = max(1, round(math.cbrt(units))) if neighbours else 1
    runs = np.sum([np.roll(residual, k) for k in range(width)], axis=0)
    groups = units / width
    square = float((runs**2).mean())
    freedom = groups - 1
    if neighbours and square:
        kurtosis = float((runs**4).mean()) / square**2
        freedom = min(max(2 * groups / max(kurtosis - 1, 1e-9), 1.0), groups - 1)
    return groups * square * groups / (groups - 1), freedom


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
    edges = [each.edge for each in tallies if each.edge]
    edge: Edge = ()
    if len(edges) == len(tallies):
        edge = (
            tuple(value for each in edges for value in each[0]),
            tuple(value for each in edges for value in each[1]),
        )
    return Tally(bad, total, first.allowed, first.is_mean, neighbours=by_unit, edge=edge)


def joint(probabilities: Sequence[float]) -> float:
    """Return a lower bound of the probability that all hold, whatever their dependence [1]_.

    References
    ----------
    .. [1] C. E. Bonferroni's inequality: ``1 - sum(1 - p)``.
    """
    return max(0.0, 1.0 - sum(1.0 - each for each in probabilities))
