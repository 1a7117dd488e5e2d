"""Arrival processes against what theory says about them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.linalg import expm

from planner.errors import InputError
from planner.traffic.arrivals import (
    DeterministicArrivals,
    GammaArrivals,
    MmppArrivals,
    MmppState,
    PoissonArrivals,
)
from planner.traffic.profile import ProfileArrivals, RatePoint
from planner.traffic.renewal import MAX_REQUESTS, first_points, points_before


def rng(seed=1):
    return np.random.default_rng(seed)


def profile(*rows, **keys):
    return ProfileArrivals(points=tuple(RatePoint(at=at, rate=rate) for at, rate in rows), **keys)


def states(*rows):
    return MmppArrivals(states=tuple(MmppState(rate=rate, dwell=dwell) for rate, dwell in rows))


def counts(times, width, n):
    return np.histogram(times, bins=n, range=(0, n * width))[0]


def test_deterministic_arrivals_are_evenly_spaced_from_zero():
    arrivals = DeterministicArrivals(rate=4.0)
    assert arrivals.times(5, rng()).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert arrivals.times_before(1.0, rng()).tolist() == [0, 0.25, 0.5, 0.75]


def test_poisson_arrivals_are_cumulated_exponential_gaps():
    expected = np.cumsum(rng(7).standard_exponential(100)) / 5.0
    assert PoissonArrivals(rate=5.0).times(100, rng(7)).tolist() == expected.tolist()


def test_gamma_arrivals_with_cv_1_are_the_poisson_arrivals():
    drawn = GammaArrivals(rate=3.0, cv=1.0).times(50, rng())
    assert drawn.tolist() == PoissonArrivals(rate=3.0).times(50, rng()).tolist()


@pytest.mark.parametrize("cv", [0.25, 1.0, 3.0])
def test_gamma_gaps_have_the_mean_and_the_cv(cv):
    n = 400_000
    gaps = np.diff(GammaArrivals(rate=8.0, cv=cv).times(n + 1, rng(3)))
    assert gaps.mean() == pytest.approx(1 / 8, rel=5 * cv / math.sqrt(n))
    # the kurtosis of a gamma is 3 + 6 cv**2, which gives the standard error of its variance
    error = math.sqrt((2 + 6 * cv**2) / n)
    assert gaps.var() == pytest.approx((cv / 8) ** 2, rel=5 * error)


@given(total=st.floats(0, 500), cv=st.sampled_from([0.1, 1.0, 5.0]), seed=st.integers(0, 99))
def test_points_before_a_time_are_the_first_points_that_lie_before_it(total, cv, seed):
    before = points_before(total, cv, rng(seed))
    many = first_points(len(before) + 1, cv, rng(seed))
    assert before.tolist() == many[:-1].tolist()
    assert many[-1] >= total


@given(short=st.integers(0, 300), more=st.integers(0, 300), seed=st.integers(0, 99))
def test_a_longer_draw_begins_with_the_shorter(short, more, seed):
    arrivals = states((10.0, 0.5), (0.0, 2.0), (3.0, 1.0))
    long = arrivals.times(short + more, rng(seed))
    assert arrivals.times(short, rng(seed)).tolist() == long[:short].tolist()


@given(end=st.floats(0.01, 200), seed=st.integers(0, 99))
def test_modulated_arrivals_before_a_time_are_the_first_that_lie_before_it(end, seed):
    arrivals = states((10.0, 0.5), (0.0, 2.0))
    before = arrivals.times_before(end, rng(seed))
    many = arrivals.times(len(before) + 1, rng(seed))
    assert before.tolist() == many[:-1].tolist()
    assert many[-1] >= end


def test_two_states_have_the_mean_rate_and_the_dispersion_of_theory():
    # Fischer and Meier-Hellstern 1993: the rate's covariance at lag u is A exp(-theta u)
    fast, slow = (20.0, 2.0), (2.0, 6.0)
    arrivals = states(fast, slow)
    mean = (20 * 2 + 2 * 6) / 8
    assert arrivals.mean_rate() == mean
    theta, a = 1 / 2 + 1 / 6, (2 / 8) * (6 / 8) * (20 - 2) ** 2
    width, n = 30.0, 20_000
    number = counts(arrivals.times_before(width * n, rng(11)), width, n)
    decay = (1 - math.exp(-theta * width)) / (theta * width)
    dispersion = 1 + 2 * a / (mean * theta) * (1 - decay)
    # windows are long against 1/theta, so nearly independent; 5 standard errors
    assert number.mean() == pytest.approx(
        mean * width, rel=5 * math.sqrt(dispersion / (mean * width * n)) * 1.1
    )
    assert number.var() / number.mean() == pytest.approx(dispersion, rel=5 * math.sqrt(2 / n) * 1.2)


def test_three_states_have_the_dispersion_of_theory():
    rates, dwells = np.array([1.0, 8.0, 30.0]), np.array([3.0, 2.0, 0.5])
    arrivals = states(*zip(rates, dwells, strict=True))
    generator = (np.full((3, 3), 0.5) - 1.5 * np.eye(3)) / dwells[:, None]
    share = dwells / dwells.sum()
    stationary = np.tile(share, (3, 1))
    deviation = np.linalg.inv(stationary - generator) - stationary
    mean = share @ rates
    width, n = 20.0, 20_000
    # the covariance of the states at lag u, exp(Q u) - Pi, integrated over (width - u) du
    memory = deviation * width - deviation @ deviation @ (np.eye(3) - expm(generator * width))
    dispersion = 1 + 2 * (share * rates) @ memory @ rates / (mean * width)
    number = counts(arrivals.times_before(width * n, rng(5)), width, n)
    assert number.mean() == pytest.approx(mean * width, rel=0.01)
    assert number.var() / number.mean() == pytest.approx(dispersion, rel=5 * math.sqrt(2 / n) * 1.2)


def test_the_first_state_is_drawn_by_its_share_of_time():
    arrivals = states((1000.0, 9.0), (0.001, 1.0))
    busy = [len(arrivals.times_before(0.05, rng(seed))) > 5 for seed in range(2000)]
    assert np.mean(busy) == pytest.approx(0.9, abs=5 * math.sqrt(0.09 / 2000) + 0.01)


@pytest.mark.parametrize("shape", ["linear", "step"])
@pytest.mark.parametrize("period", [None, 100.0])
def test_a_profile_brings_in_each_bin_what_its_integral_says(shape, period):
    arrivals = profile((0, 100.0), (30, 900.0), (60, 0.0), (80, 300.0), shape=shape, period=period)
    times = arrivals.times_before(200.0, rng(9))
    curve = arrivals.intensity()
    edges = np.linspace(0, 200, 81)
    expected = np.diff([curve.expected(edge) for edge in edges])
    got = np.histogram(times, edges)[0]
    assert (got[expected == 0] == 0).all()
    assert (np.abs(got - expected) <= 5 * np.sqrt(expected) + 1).all()
    busy = expected > 0
    chi2 = ((got - expected)[busy] ** 2 / expected[busy]).sum()
    assert abs(chi2 - busy.sum()) < 5 * math.sqrt(2 * busy.sum())


def test_a_step_profile_keeps_each_rate_until_the_next_point():
    curve = profile((0, 1.0), (10, 3.0), shape="step", period=20.0).intensity()
    assert [curve.expected(t) for t in (5, 10, 15, 20, 25)] == [5, 10, 25, 40, 45]


def test_a_linear_profile_returns_to_its_first_rate_at_the_end_of_the_period():
    curve = profile((0, 0.0), (10, 2.0), period=20.0).intensity()
    assert [curve.expected(t) for t in (10, 20, 30)] == [10, 20, 30]


def test_without_a_period_the_last_rate_stays():
    for shape, first in (("linear", 20), ("step", 10)):
        curve = profile((0, 1.0), (10, 3.0), shape=shape).intensity()
        assert curve.expected(20.0) == first + 30


def test_the_mean_rate_of_a_profile_is_over_the_run_or_else_its_table():
    day = profile((0, 1.0), (10, 3.0), shape="step", period=40.0)
    assert day.mean_rate() == 2.5
    assert day.mean_rate(10.0) == 1.0
    assert profile((0, 2.0)).mean_rate() == 2.0


def test_a_profile_with_small_cv_is_nearly_deterministic_in_operational_time():
    arrivals = profile((0, 10.0), (100, 10.0), cv=0.01)
    gaps = np.diff(arrivals.times(1000, rng()))
    assert gaps.std() / gaps.mean() == pytest.approx(0.01, rel=0.15)


def test_a_profile_that_ends_at_zero_brings_what_it_can_and_says_so():
    ending = profile((0, 5.0), (10, 0.0))
    assert len(ending.times_before(math.inf, rng())) == pytest.approx(25, abs=25)
    with pytest.raises(InputError, match="ends with a rate of 0 after about 25 requests"):
        ending.times(1000, rng())


@pytest.mark.parametrize(
    "arrivals",
    [
        PoissonArrivals(rate=2.0),
        GammaArrivals(rate=2.0, cv=4.0),
        DeterministicArrivals(rate=2.0),
        profile((0, 1.0), (10, 3.0), period=20.0),
        states((1.0, 2.0), (3.0, 2.0)),
    ],
)
def test_scaling_multiplies_the_mean_rate(arrivals):
    assert arrivals.mean_rate() == 2.0
    assert arrivals.scaled(2.5).mean_rate() == 5.0


def test_ten_million_arrivals_are_one_vectorised_draw():
    times = states((100.0, 10.0), (10.0, 10.0)).times(10_000_000, rng())
    assert len(times) == 10_000_000
    assert times[-1] == pytest.approx(10_000_000 / 55, rel=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: states((1.0, 1.0)), "at least 2"),
        (lambda: states((0.0, 1.0), (0.0, 1.0)), "at least one state with a rate > 0"),
        (lambda: PoissonArrivals(rate=0.0), "greater than 0"),
        (lambda: GammaArrivals(rate=1.0, cv=0.0), "greater than or equal to 0.01"),
        (lambda: profile((1, 1.0)), "must begin at 0 s, got 1 s"),
        (lambda: profile((0, 1.0), (0, 2.0)), "increasing times, got 0 s after 0 s"),
        (lambda: profile((0, 0.0), (1, 0.0)), "a rate > 0 somewhere"),
        (lambda: profile((0, 1.0), (9, 1.0), period=5.0), "period beyond its last point at 9 s"),
        (lambda: profile((0, 1.0), (9, 1.0), period=9.0, shape="step"), "period beyond"),
        (ProfileArrivals, "either 'points' or 'path'"),
        (lambda: profile((0, 1.0), series="x"), "a 'path' where it has a 'series'"),
        (lambda: profile((0, 1.0), path="x.csv"), "either 'points' or 'path'"),
    ],
)
def test_impossible_processes_are_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


@pytest.mark.parametrize("kind", [PoissonArrivals, DeterministicArrivals])
def test_more_requests_than_memory_holds_are_refused_before_they_are_drawn(kind):
    with pytest.raises(InputError, match=f"at most {MAX_REQUESTS:,} requests, got about 1e[+]12"):
        kind(rate=1e6).times_before(1e6, rng())


def test_states_that_change_too_often_are_refused_before_they_are_drawn():
    with pytest.raises(InputError, match="give the states longer dwells"):
        states((1.0, 1e-9), (2.0, 1e-9)).times_before(1e3, rng())


def test_a_table_in_a_file_obeys_the_rules_of_one_written_inline(tmp_path):
    (tmp_path / "rates.csv").write_text("t_s,rate_rps\n0,0\n5,0\n")
    with pytest.raises(InputError, match=r"rates.csv: must have a rate > 0 somewhere"):
        ProfileArrivals(path="rates.csv").loaded(tmp_path)
    (tmp_path / "rates.csv").write_text("t_s,rate_rps\n0,2\n5,4\n")
    loaded, notices = ProfileArrivals(path="rates.csv", period=10.0).loaded(tmp_path)
    assert loaded == profile((0, 2.0), (5, 4.0), period=10.0)
    assert notices == []
