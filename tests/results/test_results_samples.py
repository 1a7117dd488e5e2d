"""Samples: exact percentiles, censoring, histograms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_factory import make_records

from planner.results.measured import Measured
from planner.results.records import ITL_RATIO
from planner.results.samples import Histogram, Requests, pooled

latencies = st.lists(st.floats(0, 1e5), min_size=1, max_size=60)


def sample_of(values, unfinished=0, blocks=1):
    values = np.asarray(values, dtype=float)
    block = np.arange(len(values)) * blocks // max(1, len(values))
    late = np.zeros(blocks)
    late[-1] = unfinished
    return Requests(values, block, late)


@given(values=latencies, p=st.floats(0, 1))
def test_without_unfinished_requests_a_percentile_is_numpys(values, p):
    assert sample_of(values).quantile(p) == pytest.approx(np.quantile(values, p), abs=1e-9)


@given(values=latencies, late=st.integers(1, 30), p=st.floats(0.01, 0.99))
def test_unfinished_requests_never_lower_a_percentile(values, late, p):
    assert sample_of(values, late).quantile(p) >= sample_of(values).quantile(p) - 1e-9


def test_a_percentile_among_unfinished_requests_is_infinite():
    sample = sample_of(range(1, 96), unfinished=5)  # 95 known, 5 longer: p95 is the border
    assert sample.quantile(0.90) == pytest.approx(90.1)
    assert sample.quantile(0.95) == math.inf
    assert sample.quantile(0.99) == math.inf


def test_a_percentile_of_nothing_is_nan():
    assert math.isnan(sample_of([]).quantile(0.5))
    assert math.isnan(Histogram(np.zeros((3, 10))).quantile(0.5))


@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=40), limit=st.integers(0, 9))
def test_counts_by_block_do_not_depend_on_the_order_of_requests(values, limit):
    values = np.array(values, dtype=float)
    block = np.arange(len(values)) % 4
    order = np.argsort(block, kind="stable")
    shuffled = Requests(values, block, np.ones(4))
    in_order = Requests(values[order], block[order], np.ones(4))
    for or_equal in (False, True):
        expected = [
            1 + sum(v >= limit if or_equal else v > limit for v in values[block == k])
            for k in range(4)
        ]
        assert shuffled.above(limit, or_equal=or_equal).tolist() == expected
        assert in_order.above(limit, or_equal=or_equal).tolist() == expected
    np.testing.assert_array_equal(shuffled.counts(), in_order.counts())
    np.testing.assert_allclose(shuffled.sums(), in_order.sums())


@given(gaps=st.lists(st.floats(1e-5, 500), min_size=5, max_size=200), p=st.floats(0.05, 0.95))
def test_a_gap_percentile_is_within_a_bin_of_the_true_order_statistics(gaps, p):
    records = make_records([0.5], gaps=[(1, 0, gap, 1) for gap in gaps])
    value = Measured(records).sample("itl").quantile(p)
    ordered = np.sort(gaps)
    rank = p * len(gaps)
    low = ordered[max(0, math.ceil(rank) - 1)]
    high = ordered[min(len(gaps) - 1, math.ceil(rank + 1e-9) - 1)]
    assert low / ITL_RATIO**1.01 <= value <= high * ITL_RATIO**1.01


def test_gaps_above_a_value_share_out_the_bin_it_falls_in():
    gaps = [(1, 0, 0.01, 10), (2, 0, 0.1, 4)]
    sample = Measured(make_records([0.5], 0.0, 0.001, 0.001, gaps=gaps)).sample("itl")
    assert sample.above(0.05).tolist()[:2] == [0.0, 4.0]
    for p in (0.1, 0.5, 0.7, 0.9):
        assert sample.above(sample.quantile(p)).sum() == pytest.approx((1 - p) * 14)


def test_the_mean_gap_is_exact_to_half_a_bin():
    sample = Measured(make_records([0.5], gaps=[(1, 0, 0.02, 3), (5, 0, 0.05, 1)])).sample("itl")
    assert sample.sums().sum() / sample.counts().sum() == pytest.approx(0.0275, rel=0.005)


def test_gaps_in_the_warm_up_block_do_not_count():
    records = make_records([0.5], gaps=[(0, 0, 0.02, 100), (1, 0, 0.05, 1)])
    assert Measured(records).sample("itl").size == 1


def test_pooled_replications_keep_values_and_blocks():
    runs = [Measured(make_records([0.1, 0.9], wait=w, gaps=[(1, 0, 0.01, 1)])) for w in (0.0, 1.0)]
    both = pooled(run.sample("wait") for run in runs)
    assert sorted(both.values) == pytest.approx([0, 0, 1, 1])
    assert both.counts().sum() == 4
    assert pooled(run.sample("itl") for run in runs).size == 2
