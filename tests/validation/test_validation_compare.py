"""Comparisons of records with known differences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_factory import make_records

from planner.results.records import RUNNING
from planner.validation.compare import Row, compare

ARRIVALS = np.arange(100.0)


def runs(*factors, **other):
    return [
        make_records(ARRIVALS, wait=0.1 * f, prefill=0.1 * f, decode=1.0 * f, **other)
        for f in factors
    ]


def rows_of(comparison):
    return {(row.metric, row.statistic): row for row in comparison.rows}


def test_records_of_the_same_latencies_have_no_error_and_no_spread():
    rows = compare("any", runs(1.0), runs(1.0, 1.0, 1.0)).rows
    assert [row.error for row in rows] == pytest.approx([0.0] * 7, abs=1e-12)
    assert [row.spread for row in rows] == pytest.approx([0.0] * 7, abs=1e-12)
    assert all(row.met(1e-12) for row in rows)


def test_values_are_the_percentiles_of_the_requests():
    comparison = compare("any", runs(2.0), runs(1.0))
    rows = rows_of(comparison)
    assert rows["ttft", "p50"].predicted == pytest.approx(0.4)
    assert rows["ttft", "p95"].runs == (pytest.approx(0.2),)
    assert rows["tpot", "p50"].measured == pytest.approx(0.1)  # 11 tokens, 10 gaps
    assert rows["e2e", "p95"].error == pytest.approx(1.0)
    assert comparison.requests == 100
    assert comparison.rate == pytest.approx(1.0)
    assert rows["output tokens", ""].measured == pytest.approx(11.0, rel=0.05)


@given(factors=st.lists(st.floats(0.5, 2.0), min_size=2, max_size=5), tolerance=st.floats(0.0, 0.5))
def test_an_error_is_allowed_up_to_the_tolerance_or_twice_the_spread(factors, tolerance):
    row = rows_of(compare("any", runs(1.0), runs(*factors)))["e2e", "p50"]
    mean, deviation = np.mean(factors), np.std(factors, ddof=1)
    assert row.spread == pytest.approx(deviation / mean)
    assert row.error == pytest.approx(1 / mean - 1)
    assert row.allowed(tolerance) == pytest.approx(max(tolerance, 2 * deviation / mean))
    assert row.met(tolerance) == (abs(row.error) <= row.allowed(tolerance))


def test_one_run_has_no_spread_and_leaves_the_tolerance_as_it_is():
    row = Row("e2e", "p50", "s", 1.05, (1.0,))
    assert math.isnan(row.spread)
    assert row.allowed(0.1) == 0.1
    assert row.met(0.1)
    assert not row.met(0.04)


def test_what_neither_side_has_is_met_and_what_one_side_lacks_is_missed():
    answers = runs(1.0, output_tokens=1)
    rows = rows_of(compare("any", answers[:1], answers))
    assert math.isnan(rows["tpot", "p50"].predicted)
    assert rows["tpot", "p50"].met(0.1)
    unfinished = make_records(ARRIVALS, status=np.where(ARRIVALS > 80, RUNNING, 2))
    rows = rows_of(compare("any", [unfinished], runs(1.0)))
    assert rows["e2e", "p95"].predicted == math.inf
    assert not rows["e2e", "p95"].met(10.0)
    assert math.isnan(rows["e2e", "p95"].error)


def test_a_prediction_of_each_run_counts_by_its_mean():
    rows = rows_of(compare("any", runs(1.0, 1.4), runs(1.1, 1.3), runs(0.5)[0]))
    for key in (("ttft", "p50"), ("e2e", "p95")):
        assert rows[key].error == pytest.approx(0.0, abs=1e-12)
        assert rows[key].by_profile == pytest.approx(rows[key].predicted / 2.4)
        assert rows[key].of_runs == (
            pytest.approx(rows[key].predicted / 1.2),
            pytest.approx(rows[key].predicted / 1.2 * 1.4),
        )


def test_what_is_left_of_the_spread_is_that_of_runs_over_their_own_predictions():
    explained = Row("ttft", "p95", "s", 1.5, (1.1, 2.2), of_runs=(1.0, 2.0))
    assert explained.spread > 0.4
    assert explained.unexplained == pytest.approx(0.0, abs=1e-12)
    half = Row("ttft", "p95", "s", 1.5, (1.1, 1.8), of_runs=(1.0, 2.0))
    assert half.unexplained == pytest.approx(np.std([1.1, 0.9], ddof=1))
    same = Row("ttft", "p95", "s", 1.5, (1.1, 2.2))
    assert same.unexplained == same.spread
    assert math.isnan(Row("ttft", "p95", "s", 1.0, (1.0,), of_runs=(1.0,)).unexplained)
    late = Row("ttft", "p95", "s", math.inf, (1.0, 2.0), of_runs=(1.0, math.inf))
    assert math.isnan(late.unexplained)


def test_numbers_that_are_zero_have_no_spread():
    idle = Row("output tokens", "", "1/s", 1.0, (0.0, 0.0), of_runs=(1.0, 1.0))
    assert math.isnan(idle.spread)
    assert math.isnan(idle.unexplained)
    assert not idle.met(0.1)
    assert math.isnan(Row("ttft", "p50", "s", 0.5, (1.0, 2.0), of_runs=(1.0, 0.0)).unexplained)


def test_missed_names_the_rows_that_are():
    comparison = compare("60 %", runs(1.3), runs(1.0, 1.0))
    assert [row.metric for row in comparison.missed(0.1)] == ["ttft"] * 2 + ["tpot"] * 2 + [
        "e2e"
    ] * 2
    assert comparison.missed(0.31) == []
