"""Closed loops: who starts when, how long they pause, how many requests they could send."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from planner.errors import InputError
from planner.traffic.closed import ClosedLoopArrivals, ConstantThink, ExponentialThink
from planner.units import FROM_FILE


def loop(**keys):
    return ClosedLoopArrivals.model_validate({"kind": "closed_loop", **keys}, context=FROM_FILE)


def test_a_duration_is_short_for_a_constant_pause():
    assert loop(clients=2, think="500 ms").think == ConstantThink(mean=0.5)
    long = loop(clients=2, think={"kind": "exponential", "mean": "2 s"})
    assert long.think == ExponentialThink(mean=2.0)


@pytest.mark.parametrize("think", [5, True, {"kind": "constant", "mean": 5}])
def test_a_pause_without_a_unit_is_refused(think):
    with pytest.raises(ValidationError, match=r"unit|dictionary|valid"):
        loop(clients=2, think=think)


def test_clients_start_evenly_over_the_ramp():
    assert loop(clients=4, ramp="2 s").starts(4).tolist() == [0, 0.5, 1, 1.5]
    assert loop(clients=4).starts(3).tolist() == [0, 0, 0]


def test_constant_pauses_bound_the_requests_exactly():
    # with free answers three clients send at 0, 2, 4 before 5 s
    assert loop(clients=3, think="2 s").most_requests(5.0) == 9
    assert loop(clients=3, think="2 s").most_requests(4.0) == 9


def test_exponential_pauses_bound_the_requests_of_a_poisson_process():
    spec = loop(clients=10, think={"kind": "exponential", "mean": "2 s"})
    most = spec.most_requests(60.0)
    for seed in range(200):
        pauses = spec.think.pauses(10 * 200, np.random.default_rng(seed)).reshape(10, 200)
        assert 10 + (np.cumsum(pauses, axis=1) < 60).sum() <= most
    assert most < 10 + 300 + 9 * math.sqrt(300)


@pytest.mark.parametrize("kind", ["constant", "exponential"])
def test_without_pauses_a_duration_bounds_nothing(kind):
    with pytest.raises(InputError, match=r"give traffic\.requests"):
        loop(clients=3, think={"kind": kind, "mean": "0 s"}).most_requests(5.0)


def test_only_exponential_pauses_are_random():
    assert not loop(clients=1, think="1 s").random
    assert loop(clients=1, think={"kind": "exponential", "mean": "1 s"}).random
