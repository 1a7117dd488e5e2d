r"""Intervals by a block bootstrap, and the refusal to give one that the sample cannot support.

One replication, or replayed traffic in which nothing is random, has nothing to repeat. Its time is
cut into blocks, and runs of ``round(blocks**(1/3))`` neighbouring blocks are drawn with replacement
(circular block bootstrap [1]_): a busy spell that covers several blocks stays in one piece, which
single blocks would tear apart, and no block counts less for lying at an end. What is resampled for
a percentile is the share of requests beyond it, which is a mean and therefore well behaved where
the percentile itself is not; the share's interval on the logit scale is turned back into latencies
by the sample's own quantiles (Woodruff [2]_). Its degrees of freedom follow from how unequal the
runs are (Satterthwaite [3]_), so that a tail made of a few busy spells gets the wide interval it
deserves. Shares of requests are never surer than independent requests would be (exact binomial
[4]_).

An end that the sample cannot bound is None and printed ``*``: fewer than :data:`MIN_SPELLS` busy
spells, counted by their weight, lie beyond the percentile; fewer than :data:`MIN_BLOCKS` blocks
hold data; or the bound falls among unfinished requests.

References
----------
.. [1] D. N. Politis and J. P. Romano, "A circular block-resampling procedure for stationary data,"
   in Exploring the Limits of Bootstrap, 1992; run length of order ``blocks**(1/3)``: P. Hall,
   J. L. Horowitz and B.-Y. Jing, Biometrika 82(3), 1995.
.. [2] R. S. Woodruff, "Confidence intervals for medians and other position measures," JASA
   47(260), 1952.
.. [3] F. E. Satterthwaite, "An approximate distribution of estimates of variance components,"
   Biometrics Bulletin 2(6), 1946.
.. [4] C. J. Clopper and E. S. Pearson, Biometrika 26(4), 1934.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from planner.results.intervals import (
    MIN_BEYOND,
    UNKNOWN,
    Estimate,
    at_least_binomial,
    censored,
    mean_of,
    ratio,
    t_quantile,
)
from planner.results.samples import pooled
from planner.streams import stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.results.records import FloatArray
    from planner.results.samples import Sample

#: Effective busy spells that must lie beyond a percentile to bound it from above, as well as
#: requests: a resample misses all of 5 with probability e**-5 < 1 %.
MIN_SPELLS = 5
#: Blocks with data that a bootstrap needs.
MIN_BLOCKS = 10
#: Resamples of a bootstrap.
RESAMPLES = 1000


@dataclass(frozen=True)
class BlockBootstrap:
    """Intervals by a circular block bootstrap over time blocks.

    Parameters
    ----------
    blocks : int
        Time blocks after the warm-up, >= 1.
    seed : int
        Of the scenario; the resamples are a stream of their own.
    confidence : float
        In (0, 1).
    block_s : float
        Length of a block, for the statement. [s]
    why : str
        Why there are no independent replications, for the statement.
    """

    blocks: int
    seed: int
    confidence: float = 0.95
    block_s: float = math.nan
    why: str = "one replication"

    @property
    def kind(self) -> str:
        """``block_bootstrap``."""
        return "block_bootstrap"

    @property
    def statement(self) -> str:
        """One sentence on how the intervals were made."""
        if self.blocks < MIN_BLOCKS:
            blocks = "block" if self.blocks == 1 else "blocks"
            return f"no intervals: {self.blocks} time {blocks}, {MIN_BLOCKS} needed ({self.why})"
        length = f" of {self.block_s:.3g} s" if math.isfinite(self.block_s) else ""
        return (
            f"{100 * self.confidence:.4g} % intervals from a block bootstrap over "
            f"{self.blocks} time blocks{length} ({self.why})"
        )

    @property
    def run(self) -> int:
        """Neighbouring blocks that are drawn together."""
        return max(1, round(math.cbrt(self.blocks)))

    @cached_property
    def weights(self) -> FloatArray:
        """How often each resample holds each block, shape ``(RESAMPLES, blocks)``."""
        rng = stream(self.seed, 0, "bootstrap", self.blocks)
        runs = -(-self.blocks // self.run)
        starts = rng.integers(0, self.blocks, (RESAMPLES, runs))
        flat = (starts + self.blocks * np.arange(RESAMPLES)[:, np.newaxis]).ravel()
        counts = np.bincount(flat, minlength=RESAMPLES * self.blocks)
        return self._runs(counts.reshape(RESAMPLES, self.blocks).astype(np.float64))

    def _runs(self, by_block: FloatArray) -> FloatArray:
        """Return the sums over each block and the ``run - 1`` before it, around the circle."""
        rolled = [np.roll(by_block, k, axis=-1) for k in range(self.run)]
        sums: FloatArray = np.sum(rolled, axis=0)
        return sums

    def quantile(self, samples: Sequence[Sample], p: float) -> Estimate:
        """Return the `p`-quantile of the pooled samples."""
        sample = pooled(samples)
        value = sample.quantile(p)
        if math.isnan(value):
            return UNKNOWN
        counts = sample.counts() + sample.unfinished
        if np.count_nonzero(counts) < MIN_BLOCKS:
            return Estimate(_finite(value), None, None)
        spread = self._half_width(sample.above(value), counts)
        share, size = 1 - p, sample.size
        low = _finite(sample.quantile(1 - _shifted(share, spread)))
        beyond = sample.above(value, or_equal=True)
        few = beyond.sum() < MIN_BEYOND or self._spells(beyond) < MIN_SPELLS
        tail = _shifted(share, -spread)
        high = None if few or tail * size < 1 else _finite(sample.quantile(1 - tail))
        return Estimate(_finite(value), low, high)

    def mean(self, samples: Sequence[Sample]) -> Estimate:
        """Return the mean of the pooled samples; the interval is symmetric on a log scale."""
        sample = pooled(samples)
        value = mean_of(sample)
        if math.isnan(value):
            return UNKNOWN
        counts = sample.counts()
        if np.count_nonzero(counts) < MIN_BLOCKS:
            return censored(Estimate(value, None, None), [sample])
        scale = math.exp(min(self._relative(sample.sums(), counts), 700.0)) if value > 0 else 1.0
        return censored(Estimate(value, value / scale, value * scale), [sample])

    def share(self, good: Sequence[FloatArray], total: Sequence[FloatArray]) -> Estimate:
        """Return the share; exact binomial ends [4]_ where they are wider."""
        goods, totals = (np.sum(each, axis=0) for each in (good, total))
        value = ratio(goods.sum(), totals.sum())
        if math.isnan(value):
            return UNKNOWN
        if np.count_nonzero(totals) < MIN_BLOCKS:
            return Estimate(value, None, None)
        spread = self._half_width(goods, totals)
        estimate = Estimate(value, _shifted(value, -spread), _shifted(value, spread))
        return at_least_binomial(estimate, good, total, self.confidence)

    def _half_width(self, part: FloatArray, whole: FloatArray) -> float:
        """Return the half width on the logit scale of the share of `part` in `whole`."""
        share = ratio(part.sum(), whole.sum())
        return self._relative(part, whole) / (1 - share) if 0 < share < 1 else 0.0

    def _relative(self, part: FloatArray, whole: FloatArray) -> float:
        """Return the half width of the ratio of the sums of `part` and `whole`, over the ratio."""
        resampled = self.weights @ whole
        ratios = (self.weights @ part)[resampled > 0] / resampled[resampled > 0]
        runs = self.blocks / self.run
        drawn = -(-self.blocks // self.run)  # whole runs, so that a resample may be a bit longer
        error = float(np.std(ratios)) * math.sqrt(drawn / (runs - 1))
        center = ratio(part.sum(), whole.sum())
        squares = self._runs(part - center * whole) ** 2
        mean_square = squares.mean()
        if not mean_square or not center:
            return 0.0
        kurtosis = float((squares**2).mean() / mean_square**2)
        freedom = min(max(2 * runs / max(kurtosis - 1, 1e-9), 1.0), runs - 1)
        return t_quantile(freedom, self.confidence) * error / center

    def _spells(self, beyond: FloatArray) -> float:
        """Return the effective number of runs of blocks that hold the requests beyond a value."""
        sums = self._runs(beyond)
        return float(sums.sum() ** 2 / (sums**2).sum()) / self.run


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shifted(share: float, by: float) -> float:
    """Return `share` moved by `by` on the logit scale."""
    if not 0 < share < 1:
        return share
    logit = math.log(share / (1 - share)) + by
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
