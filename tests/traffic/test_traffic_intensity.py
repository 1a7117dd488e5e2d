"""A rate over time, its integral and the inverse of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.traffic.intensity import Intensity

rates = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))


@st.composite
def intensities(draw):
    widths = draw(st.lists(st.floats(0.01, 100), min_size=1, max_size=6))
    pairs = draw(st.lists(st.tuples(rates, rates), min_size=len(widths), max_size=len(widths)))
    start, stop = (np.array(side) for side in zip(*pairs, strict=True))
    if start.max() == stop.max() == 0:
        start[0] = 1.0
    return Intensity(np.cumsum([0.0, *widths]), start, stop, draw(st.booleans()))


def test_a_triangle_is_inverted_exactly():
    curve = Intensity(np.array([0.0, 2.0]), np.array([0.0]), np.array([2.0]))
    # the integral is t**2 / 2 up to 2 s, then 2 + 2 (t - 2)
    np.testing.assert_allclose(curve.invert(np.array([0.0, 0.5, 2.0, 4.0])), [0, 1, 2, 3])
    assert curve.expected(1.0) == 0.5
    assert curve.expected(3.0) == 4.0


def test_a_falling_rate_is_inverted_exactly():
    curve = Intensity(np.array([0.0, 2.0]), np.array([2.0]), np.array([0.0]), periodic=True)
    # 2 t - t**2 / 2 over each period of 2 s
    np.testing.assert_allclose(curve.invert(np.array([1.5, 2.0, 3.5])), [1, 2, 3])
    assert curve.expected(5.0) == 5.5


def test_nothing_arrives_while_the_rate_is_zero():
    curve = Intensity(np.array([0.0, 1.0, 5.0, 6.0]), np.array([1.0, 0, 1]), np.array([1.0, 0, 1]))
    times = curve.invert(np.linspace(0, 1.999, 1000))
    assert not ((times > 1) & (times < 5)).any()
    assert (times >= 5).sum() == pytest.approx(500, abs=1)


def test_supply_is_finite_only_where_the_rate_ends_at_zero():
    knots, one = np.array([0.0, 2.0]), np.array([1.0])
    assert Intensity(knots, one, np.array([0.0])).supply == 1.0
    assert Intensity(knots, one, np.array([0.0]), periodic=True).supply == math.inf
    assert Intensity(knots, one, one).supply == math.inf


@given(curve=intensities(), shares=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_integral_undoes_its_inverse(curve, shares):
    most = min(curve.supply, 3 * float(curve.mass[-1]))
    mass = np.sort(np.array(shares)) * most
    times = curve.invert(mass)
    assert (np.diff(times) >= 0).all()
    back = [curve.expected(time) for time in times]
    np.testing.assert_allclose(back, mass, rtol=1e-7, atol=1e-7 * most)
