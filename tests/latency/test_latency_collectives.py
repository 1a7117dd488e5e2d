"""Transfers between the devices of a replica."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.latency.collectives import all_reduce, step_transfer

positive = st.floats(1e-9, 1e9)


def test_a_ring_sends_two_n_minus_one_over_n_of_the_bytes():
    assert all_reduce(4, 8192, 400e9, 3e-6) == (4 * 3e-6, 1.5 * 8192 / 400e9)


@pytest.mark.parametrize(
    ("devices", "hops"), [(1, 0), (2, 2), (3, 4), (4, 4), (5, 6), (8, 6), (16, 8)]
)
def test_latency_is_that_of_the_quicker_of_ring_and_tree(devices, hops):
    assert all_reduce(devices, 1, 1, 1).fixed == hops


def test_a_layer_has_two_all_reduces_and_the_embedding_one():
    one = all_reduce(2, 8192, 360e9, 3e-6)
    step = step_transfer(32, 2, 1, 8192, bandwidth=360e9, latency=3e-6)
    assert step.seconds(100) == pytest.approx(65 * one.seconds(100))


def test_a_pipeline_hands_over_between_stages():
    step = step_transfer(32, 1, 4, 8192, bandwidth=50e9, latency=5e-6)
    assert step == (3 * 5e-6, 3 * 8192 / 50e9)


@given(st.integers(1, 200), positive, positive)
def test_a_device_alone_sends_nothing(layers, size, latency):
    assert step_transfer(layers, 1, 1, size, bandwidth=1e9, latency=latency) == (0, 0)


@given(st.integers(2, 64), positive, positive, st.floats(0, 1e-3))
def test_twice_the_bandwidth_halves_what_grows_with_tokens(devices, size, bandwidth, latency):
    slow = all_reduce(devices, size, bandwidth, latency)
    fast = all_reduce(devices, size, 2 * bandwidth, latency)
    assert fast.per_token == pytest.approx(slow.per_token / 2)
    assert fast.fixed == slow.fixed
