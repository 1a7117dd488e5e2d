"""Confidence intervals: what an estimate is, and Student's t over independent replications.

An end that the sample cannot bound is None and printed ``*``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.results.records import FloatArray
    from planner.results.samples import Sample

#: Requests that must lie beyond a percentile to bound it from above.
MIN_BEYOND = 5
#: Beyond this share of unfinished requests the mean of the finished ones says nothing.
MAX_UNFINISHED_IN_MEAN = 0.01


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its confidence interval.

    Parameters
    ----------
    value : float or None
        None where it is undefined or falls among unfinished requests.
    low, high : float or None
        Ends of the interval; None where the sample cannot bound it.
    """

    value: float | None
    low: float | None
    high: float | None


#: Nothing is known.
UNKNOWN = Estimate(None, None, None)


class Intervals(Protocol):
    """A way to turn the samples of the replications into an estimate."""

    @property
    def kind(self) -> str:
        """``replications`` or ``block_bootstrap``."""
        ...

    @property
    def statement(self) -> str:
        """One sentence on how the intervals were made."""
        ...

    def quantile(self, samples: Sequence[Sample], p: float) -> Estimate:
        """Return the `p`-quantile."""
        ...

    def mean(self, samples: Sequence[Sample]) -> Estimate:
        """Return the mean; unbounded above while requests are unfinished."""
        ...

    def share(self, good: Sequence[FloatArray], total: Sequence[FloatArray]) -> Estimate:
        """Return the share of `good` in `total`, each by replication and block."""
        ...


@dataclass(frozen=True)
class Replications:
    """Intervals by Student's t over independent replications.

    Parameters
    ----------
    replications : int
        How many, >= 2.
    confidence : float
        In (0, 1).
    """

    replications: int
    confidence: float = 0.95

    @property
    def kind(self) -> str:
        """``replications``."""
        return "replications"

    @property
    def statement(self) -> str:
        """One sentence on how the intervals were made."""
        return (
            f"{100 * self.confidence:.4g} % intervals from {self.replications} independent "
            "replications (Student t)"
        )

    def quantile(self, samples: Sequence[Sample], p: float) -> Estimate:
        """Return the mean over replications of the `p`-quantile."""
        estimate = student_t([sample.quantile(p) for sample in samples], self.confidence)
        if any(sample.size * (1 - p) < MIN_BEYOND for sample in samples):
            return Estimate(estimate.value, estimate.low, None)
        return estimate

    def mean(self, samples: Sequence[Sample]) -> Estimate:
        """Return the mean over replications of the mean."""
        means = [mean_of(sample) for sample in samples]
        return censored(student_t(means, self.confidence), samples)

    def share(self, good: Sequence[FloatArray], total: Sequence[FloatArray]) -> Estimate:
        """Return the mean over replications of the share; exact binomial ends if wider."""
        shares = [ratio(g.sum(), t.sum()) for g, t in zip(good, total, strict=True)]
        estimate = student_t(shares, self.confidence)
        return at_least_binomial(estimate, good, total, self.confidence)


def student_t(values: Sequence[float] | FloatArray, confidence: float) -> Estimate:
    """Return the mean of non-negative observations with its interval by Student's t [1]_.

    Parameters
    ----------
    values : sequence of float
        One per replication. NaN is a replication without a value, which is left out; an infinite
        one makes the mean unknown.
    confidence : float
        In (0, 1).

    Returns
    -------
    Estimate
        Without bounds if there are fewer than two observations; the lower end is never negative.

    References
    ----------
    .. [1] A. M. Law, Simulation Modeling and Analysis, 5th ed., 2015, section 9.4.
    """
    observed = np.asarray(values, dtype=np.float64)
    observed = observed[~np.isnan(observed)]
    if not len(observed) or np.isinf(observed).any():
        return UNKNOWN
    mean = float(observed.mean())
    if len(observed) < 2:
        return Estimate(mean, None, None)
    error = float(observed.std(ddof=1)) / math.sqrt(len(observed))
    half = t_quantile(len(observed) - 1, confidence) * error
    return Estimate(mean, max(0.0, mean - half), mean + half)


def t_quantile(freedom: float, confidence: float) -> float:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # noqa: PLC0415 - 0.3 s to import, and not always needed

    return float(stdtrit(freedom, (1 + confidence) / 2))


def at_least_binomial(
    estimate: Estimate,
    good: Sequence[FloatArray],
    total: Sequence[FloatArray],
    confidence: float,
) -> Estimate:
    """Widen the interval of a share to the exact binomial one: no failure seen is not none."""
    from scipy.special import betaincinv  # noqa: PLC0415 - 0.3 s to import, and not always needed

    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    hits = float(sum(each.sum() for each in good))
    misses = float(sum(each.sum() for each in total)) - hits
    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, misses + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, misses, 1 - tail)) if misses else 1.0
    return Estimate(estimate.value, min(estimate.low, low), min(1.0, max(estimate.high, high)))


def censored(estimate: Estimate, samples: Sequence[Sample]) -> Estimate:
    """Take away what unfinished requests make unknown about a mean of the finished ones."""
    share = max(ratio(float(each.unfinished.sum()), each.size) for each in samples)
    if not share > 0:
        return estimate
    if share > MAX_UNFINISHED_IN_MEAN:
        return UNKNOWN
    return Estimate(estimate.value, estimate.low, None)


def mean_of(sample: Sample) -> float:
    """Return the mean of the known values; NaN without any."""
    return ratio(float(sample.sums().sum()), float(sample.counts().sum()))


def ratio(part: float, whole: float) -> float:
    """Return `part` over `whole`; NaN if `whole` is 0."""
    return float(part / whole) if whole else math.nan
