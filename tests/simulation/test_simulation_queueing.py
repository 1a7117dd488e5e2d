"""The data plane against queueing theory: recursions per request, then closed forms."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.latency.step import step_coefficients
from planner.results.intervals import student_t
from planner.simulation import layout
from planner.simulation.fleet import Fleet
from planner.traffic.arrivals import GammaArrivals, PoissonArrivals
from planner.traffic.requests import Requests


def run(
    arrivals,
    outputs,
    *,
    slots=1,
    replicas=1,
    router=layout.LEAST_OUTSTANDING,
    scheduler=layout.CHUNKED,
    recv_interval=1,
    **step,
):
    """Run requests whose prompts of one token cost no more than a token of output."""
    n = len(arrivals)
    requests = Requests(
        arrival_s=np.asarray(arrivals, float),
        prompt_tokens=np.ones(n, np.int32),
        output_tokens=np.asarray(outputs, np.int32),
        class_id=np.zeros(n, np.int16),
        session_id=np.arange(n),
        think_s=np.zeros(n),
        class_names=("all",),
        end_s=math.inf,
    )
    config = layout.record(layout.CONFIG_DTYPE, 1)
    row = config[0]
    row.router, row.lanes_per_replica, row.block_size = router, 1, 16
    row.scheduler, row.full_groups, row.recv_interval = scheduler, 1, recv_interval
    row.max_num_seqs, row.max_num_batched_tokens = slots, max(slots, 64)
    row.blocks = slots * (int(np.max(outputs)) // 16 + 2)
    plane = layout.build_plane(
        requests,
        config=config,
        coefficients=step_coefficients(**step),
        replicas=replicas,
        replicas_up=replicas,
        block_edges_s=np.zeros(1),
        rejected=np.zeros(n, bool),
        output_tokens=requests.output_tokens,
    )
    Fleet(plane).advance(np.inf)
    return plane


def waits(plane):
    return plane.requests["admitted"] - plane.requests["arrival"]


@pytest.mark.parametrize(
    ("every", "admitted"),
    [
        # steps of one second; the first request's prompt is the first, then it decodes
        (1, [0, 3, 4, 40]),
        # looks after its prompt at 1, and after 4 decode steps at 5; at 6 after that prompt, then
        # at 10; nothing runs at 40
        (4, [0, 5, 5, 40]),
        (7, [0, 8, 8, 40]),
    ],
)
def test_requests_are_looked_for_every_so_many_decode_steps(every, admitted):
    plane = run(
        [0, 2.5, 3.5, 40],
        [20, 2, 2, 1],
        slots=8,
        scheduler=layout.PREFILL_FIRST,
        recv_interval=every,
        overhead_fixed=1.0,
    )
    assert plane.requests["admitted"].tolist() == admitted


@given(load=st.floats(0.05, 2.0), cv=st.floats(0.2, 4), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_replica_with_one_slot_follows_lindleys_recursion(load, cv, seed):
    rng = np.random.default_rng(seed)
    arrivals = GammaArrivals(rate=load / 10, cv=cv).times(200, rng)
    services = rng.integers(1, 20, 200)
    expected = [0.0]
    for gap, service in zip(np.diff(arrivals), services, strict=False):
        expected.append(max(0.0, expected[-1] + service - gap))
    plane = run(arrivals, services, overhead_fixed=1.0)
    np.testing.assert_allclose(waits(plane), expected, atol=1e-9)


@given(slots=st.integers(1, 6), load=st.floats(0.1, 1.5), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_replica_with_slots_follows_the_kiefer_wolfowitz_recursion(slots, load, seed):
    """Steps of one second, arrivals on whole seconds: every slot is a server."""
    rng = np.random.default_rng(seed)
    services = rng.integers(1, 20, 300)
    arrivals = np.floor(np.cumsum(rng.exponential(10 / (load * slots), 300)))
    free_at = [0.0] * slots
    expected = []
    for arrival, service in zip(arrivals, services, strict=True):
        start = max(arrival, heapq.heappop(free_at))
        expected.append(start - arrival)
        heapq.heappush(free_at, start + service)
    plane = run(arrivals, services, slots=slots, overhead_fixed=1.0)
    np.testing.assert_allclose(waits(plane), expected, atol=1e-9)


def estimate(simulate, replications=12):
    """Return mean and half width of a 99.9 % interval of `simulate` over seeds."""
    values = [simulate(np.random.default_rng(seed)) for seed in range(replications)]
    interval = student_t(values, 0.999)
    return interval.value, (interval.high - interval.low) / 2


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
def test_md1_waits_as_pollaczek_and_khinchine_say(load):
    service = 10

    def mean_wait(rng):
        arrivals = PoissonArrivals(rate=load / service).times(100_000, rng)
        return waits(run(arrivals, np.full(100_000, service), overhead_fixed=1.0))[5_000:].mean()

    value, half = estimate(mean_wait)
    expected = load * service / (2 * (1 - load))
    assert abs(value - expected) < half
    assert half < 0.1 * expected


def erlang_c(servers, offered):
    """Return the probability of waiting in M/M/c."""
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (4, 0.8), (16, 0.8)])
def test_mmc_waits_as_erlang_says(servers, load):
    """Geometric lengths of 400 short steps on average are all but exponential."""
    tokens, step = 400, 1 / 400

    def mean_wait(rng):
        n = 60_000
        arrivals = PoissonArrivals(rate=load * servers).times(n, rng)
        outputs = rng.geometric(1 / tokens, n)
        return waits(run(arrivals, outputs, slots=servers, overhead_fixed=step))[3_000:].mean()

    value, half = estimate(mean_wait)
    expected = erlang_c(servers, load * servers) / (servers * (1 - load))
    # a request waits half a step on average until the next step starts
    assert abs(value - expected) < half + step
    assert half < 0.2 * expected


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_pure_decode_is_processor_sharing(load):
    """M/G/1-PS: the mean time in system depends on the lengths' mean alone."""
    token = 1 / 200

    def mean_time(rng):
        n = 40_000
        arrivals = PoissonArrivals(rate=load).times(n, rng)
        outputs = np.where(rng.random(n) < 0.5, 40, 360)  # mean 200, far from exponential
        plane = run(arrivals, outputs, slots=400, overhead_per_sequence=token)
        return (plane.requests["finished"] - plane.requests["arrival"])[2_000:].mean()

    value, half = estimate(mean_time)
    expected = 1.0 / (1 - load)
    # tokens come in turns: a quantum of one token, of which a request has 200
    assert abs(value - expected) < half + 2 * token * expected
    assert half < 0.1 * expected
