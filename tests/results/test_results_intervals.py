"""Intervals cover the truth as often as they say, or admit that they cannot."""

import math

import numpy as np
import pytest
from records_factory import mm1, mm1_wait_quantile

from planner.results.bootstrap import MIN_BLOCKS, BlockBootstrap
from planner.results.intervals import MIN_BEYOND, UNKNOWN, Estimate, Replications, student_t
from planner.results.samples import Requests

PERCENTILES = (0.5, 0.9, 0.95, 0.99)


def in_blocks(arrivals, values, blocks, unfinished=None):
    block = (arrivals / (arrivals[-1] * (1 + 1e-12)) * blocks).astype(np.int64)
    return Requests(values, block, np.zeros(blocks) if unfinished is None else unfinished)


def covers(estimate, truth):
    """Return whether the interval holds the truth; an end that is not bounded excludes nothing."""
    above = estimate.low is None or estimate.low <= truth
    return above and (estimate.high is None or truth <= estimate.high)


def coverage(draw, method, truths, runs):
    """Return the share of runs that cover, and the share bounded above, for each truth."""
    hits, bounded = np.zeros(len(truths)), np.zeros(len(truths))
    for _ in range(runs):
        for k, (estimate, truth) in enumerate(zip(draw(method), truths, strict=True)):
            hits[k] += covers(estimate, truth)
            bounded[k] += estimate.high is not None
    return hits / runs, bounded / runs


def lowest(nominal, runs):
    """Return the share that a true coverage of `nominal` falls short of once in 1,000 trials."""
    return nominal - 3.09 * math.sqrt(nominal * (1 - nominal) / runs)


def test_student_t_is_the_textbook_interval():
    estimate = student_t([1.0, 2.0, 3.0, 4.0, 5.0], 0.95)
    assert estimate.value == 3.0
    assert estimate.high - 3.0 == pytest.approx(2.7764451 * math.sqrt(2.5 / 5))
    assert 3.0 - estimate.low == pytest.approx(estimate.high - 3.0)


def test_one_replication_has_no_interval_and_an_infinite_one_no_mean():
    assert student_t([2.0], 0.95) == Estimate(2.0, None, None)
    assert student_t([2.0, math.inf], 0.95) == UNKNOWN
    assert student_t([], 0.95) == UNKNOWN


def test_a_replication_without_a_value_is_left_out():
    assert student_t([1.0, math.nan, 3.0], 0.95) == student_t([1.0, 3.0], 0.95)


def test_an_interval_of_latencies_never_goes_below_zero():
    assert student_t([0.0, 0.1], 0.95).low == 0.0


def test_replications_of_independent_values_cover():
    rng = np.random.default_rng(11)

    def draw(method):
        samples = [in_blocks(np.arange(1.0, 2001), rng.exponential(1, 2000), 1) for _ in range(5)]
        return [method.quantile(samples, p) for p in PERCENTILES] + [method.mean(samples)]

    truths = [-math.log(1 - p) for p in PERCENTILES] + [1.0]
    shares, bounded = coverage(draw, Replications(5), truths, runs=300)
    assert (shares >= lowest(0.95, 300)).all(), shares
    assert (shares <= 0.99).all(), "intervals that always cover are too wide"
    assert (bounded == 1).all()


def test_replications_of_correlated_waits_cover():
    rng = np.random.default_rng(12)

    def draw(method):
        arrivals, waits = mm1(10_000, 0.7, rng, replications=6)
        samples = [in_blocks(*each, 1) for each in zip(arrivals, waits, strict=True)]
        return [method.quantile(samples, p) for p in PERCENTILES]

    truths = [mm1_wait_quantile(p, 0.7) for p in PERCENTILES]
    shares, bounded = coverage(draw, Replications(6), truths, runs=300)
    # a percentile of a finite replication is slightly biased, most at p99: 93 % are asked for
    assert (shares >= lowest(0.93, 300)).all(), shares
    assert (shares <= 0.99).all(), shares
    assert (bounded == 1).all()


@pytest.mark.parametrize("blocks", [30, 60, 200])
def test_the_block_bootstrap_of_independent_values_covers(blocks):
    rng = np.random.default_rng(blocks)

    def draw(method):
        arrivals = np.cumsum(rng.exponential(1, 5000))
        sample = in_blocks(arrivals, rng.exponential(1, 5000), blocks)
        return [method.quantile([sample], p) for p in PERCENTILES] + [method.mean([sample])]

    truths = [-math.log(1 - p) for p in PERCENTILES] + [1.0]
    shares, bounded = coverage(draw, BlockBootstrap(blocks, seed=1), truths, runs=250)
    assert (shares >= lowest(0.94, 250)).all(), shares
    assert (shares <= 0.995).all(), "intervals that always cover are too wide"
    assert (bounded >= 0.99).all()


@pytest.mark.parametrize(("load", "blocks"), [(0.5, 60), (0.7, 60), (0.7, 100), (0.85, 60)])
def test_the_block_bootstrap_of_correlated_waits_covers_or_refuses(load, blocks):
    rng = np.random.default_rng(int(100 * load) + blocks)

    def draw(method):
        sample = in_blocks(*mm1(20_000, load, rng), blocks)
        return [method.quantile([sample], p) for p in PERCENTILES] + [method.mean([sample])]

    truths = [mm1_wait_quantile(p, load) for p in PERCENTILES] + [load / (1 - load)]
    shares, bounded = coverage(draw, BlockBootstrap(blocks, seed=1), truths, runs=200)
    # busy spells of an M/M/1 queue are as heavy a correlation as a service in balance shows
    assert (shares >= lowest(0.91, 200)).all(), shares
    assert (bounded[:2] >= 0.9).all(), bounded
    if load > 0.8:
        assert bounded[3] < 0.5, "p99 of a few busy spells must not look bounded"


def test_an_autoregressive_sequence_is_covered():
    rng = np.random.default_rng(14)
    phi = 0.9
    kernel = phi ** np.arange(200)

    def draw(method):
        noise = rng.normal(0, math.sqrt(1 - phi**2), 12_000 + 200)
        values = np.exp(np.convolve(noise, kernel, "valid")[:12_000])
        sample = in_blocks(np.arange(1.0, 12_001), values, 60)
        return [method.quantile([sample], p) for p in PERCENTILES]

    truths = [math.exp(z) for z in (0.0, 1.2815516, 1.6448536, 2.3263479)]
    shares, _ = coverage(draw, BlockBootstrap(60, seed=1), truths, runs=200)
    assert (shares >= lowest(0.92, 200)).all(), shares


@pytest.mark.parametrize(("share", "size"), [(0.5, 2000), (0.95, 2000), (0.999, 2000)])
def test_intervals_of_a_share_cover(share, size):
    rng = np.random.default_rng(int(1000 * share))

    def draw(method):
        good = rng.random(size) < share
        block = np.arange(size) * 60 // size
        counts = [np.bincount(block[good], minlength=60), np.bincount(block, minlength=60)]
        return [method.share(*([each.astype(float)] for each in counts))]

    shares, _ = coverage(draw, BlockBootstrap(60, seed=1), [share], runs=300)
    assert shares[0] >= lowest(0.94, 300)


def test_no_failure_seen_does_not_mean_none():
    whole = [np.full(60, 10.0)]
    estimate = BlockBootstrap(60, seed=1).share(whole, whole)
    assert estimate.value == estimate.high == 1.0
    assert estimate.low == pytest.approx(0.025 ** (1 / 600))


def test_too_few_requests_beyond_a_percentile_leave_it_unbounded_above():
    values = np.random.default_rng(1).exponential(1, 400)
    sample = in_blocks(np.arange(1.0, 401), values, 40)
    assert BlockBootstrap(40, seed=1).quantile([sample], 0.99).high is None
    assert BlockBootstrap(40, seed=1).quantile([sample], 0.9).high is not None
    estimate = Replications(2).quantile([sample, sample], 0.99)
    assert estimate.high is None
    assert estimate.low is not None
    assert MIN_BEYOND > 400 * 0.01


def test_one_busy_spell_does_not_bound_the_percentile_it_makes():
    rng = np.random.default_rng(3)
    values = rng.exponential(0.1, 6000)
    values[3000:3090] += 10.0  # all of the slowest 1.5 % within one block of 60
    estimate = BlockBootstrap(60, seed=1).quantile(
        [in_blocks(np.arange(1.0, 6001), values, 60)], 0.99
    )
    assert estimate.value > 10.0
    assert estimate.high is None


def test_few_blocks_give_no_interval_and_say_so():
    sample = in_blocks(np.arange(1.0, 1001), np.linspace(0, 1, 1000), MIN_BLOCKS - 1)
    method = BlockBootstrap(MIN_BLOCKS - 1, seed=1)
    assert method.quantile([sample], 0.5) == Estimate(0.5, None, None)
    assert method.mean([sample]) == Estimate(pytest.approx(0.5), None, None)
    assert "no intervals: 9 time blocks, 10 needed" in method.statement
    assert "no intervals: 1 time block, 10" in BlockBootstrap(1, seed=1).statement


def test_constant_latencies_have_an_interval_of_no_width():
    sample = in_blocks(np.arange(1.0, 1001), np.full(1000, 0.25), 20)
    for estimate in (
        BlockBootstrap(20, seed=1).quantile([sample], 0.99),
        BlockBootstrap(20, seed=1).mean([sample]),
    ):
        assert (estimate.value, estimate.low, estimate.high) == (0.25, 0.25, 0.25)


def test_mostly_zero_waits_have_a_median_of_zero_bounded_below_by_zero():
    rng = np.random.default_rng(5)
    values = np.where(rng.random(3000) < 0.8, 0.0, rng.exponential(1, 3000))
    estimate = BlockBootstrap(30, seed=1).quantile(
        [in_blocks(np.arange(1.0, 3001), values, 30)], 0.5
    )
    assert estimate == Estimate(0.0, 0.0, 0.0)


def test_unfinished_requests_leave_the_mean_unbounded_and_many_leave_none():
    values = np.linspace(1, 2, 2000)
    few, many = np.zeros(20), np.zeros(20)
    few[-1], many[-1] = 5, 100
    for method in (BlockBootstrap(20, seed=1), Replications(2)):
        some = [in_blocks(np.arange(1.0, 2001), values, 20, few)] * 2
        estimate = method.mean(some)
        assert estimate.value == pytest.approx(1.5)
        assert estimate.high is None
        assert method.mean([in_blocks(np.arange(1.0, 2001), values, 20, many)] * 2) == UNKNOWN


def test_a_bound_that_falls_among_unfinished_requests_is_none():
    late = np.full(20, 2.0)  # 40 of 2,040 unfinished: p98 is known, its upper bound is not
    sample = in_blocks(np.arange(1.0, 2001), np.linspace(1, 2, 2000), 20, late)
    estimate = BlockBootstrap(20, seed=1).quantile([sample], 0.975)
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is None
    estimate = BlockBootstrap(20, seed=1).quantile([sample], 0.99)
    assert estimate.value is None


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly_the_same():
    rng = np.random.default_rng(6)
    sample = in_blocks(*mm1(20_000, 0.6, rng), 60)
    first, again, other = (BlockBootstrap(60, seed=s).quantile([sample], 0.9) for s in (1, 1, 2))
    assert first == again
    assert other.value == first.value
    assert other.high == pytest.approx(first.high, rel=0.05)


def test_higher_confidence_gives_wider_intervals():
    sample = in_blocks(*mm1(20_000, 0.6, np.random.default_rng(7)), 60)
    narrow, wide = (BlockBootstrap(60, 1, level).quantile([sample], 0.9) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_every_resample_holds_every_block_equally_often_on_average():
    method = BlockBootstrap(60, seed=9)
    weights = method.weights
    assert weights.sum(axis=1).tolist() == [60.0] * len(weights)
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.35)
