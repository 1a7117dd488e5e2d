"""Stages as a network of queues: exact recursions, identities, closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.latency.stages import Constant, Exponential, Gamma, Stage, StagePart
from planner.results.records import PARTS
from planner.simulation.stages import run_stages
from planner.traffic.requests import ClosedLoop

seeds = st.integers(0, 2**32 - 1)
variabilities = st.one_of(
    st.just(Constant()), st.just(Exponential()), st.builds(Gamma, cv=st.floats(0.2, 4))
)
works = st.builds(
    StagePart,
    time=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    degree=st.integers(1, 4),
    speedup=st.sampled_from([0.5, 1.0, 3.0]),
)
stages = st.builds(
    Stage,
    name=st.sampled_from(["tokenise", "encode"]),
    compute=works,
    storage=works,
    transfer=works,
    overhead=st.sampled_from([0.125, 0.5]),
    parallel=st.sampled_from(["split", "pool"]),
    variability=variabilities,
)


def one_station(time=1.0, *, servers=1, variability=None):
    """Return a stage with a single station of `servers` servers."""
    return Stage(
        name="s",
        compute=StagePart(time=time, degree=servers),
        parallel="pool",
        variability=variability or Exponential(),
    )


def poisson(rate, n, seed):
    """Return `n` arrival times of a Poisson process."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, n))


def replicated(estimate, replications=20):
    """Return the mean of `estimate(seed)` and its standard error over replications."""
    values = np.array([estimate(seed) for seed in range(replications)])
    return values.mean(), values.std(ddof=1) / math.sqrt(replications)


# Exact recursions


@given(load=st.floats(0.05, 2.0), cv=st.floats(0.2, 4), variability=variabilities, seed=seeds)
def test_one_server_follows_lindleys_recursion(load, cv, variability, seed):
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.gamma(cv**-2, cv**2 / load, size=200))
    times = run_stages([one_station(variability=variability)], arrivals, rng)
    service = times.service_s[:, 0]
    waits = [0.0]
    for i, gap in enumerate(np.diff(arrivals)):
        waits.append(max(0.0, waits[-1] + service[i] - gap))
    np.testing.assert_allclose(times.parts[:, 0], waits, atol=1e-9)
    np.testing.assert_allclose(times.departure_s, arrivals + waits + service, atol=1e-9)


@given(load=st.floats(0.1, 1.5), servers=st.integers(1, 8), variability=variabilities, seed=seeds)
def test_a_pool_follows_kiefer_and_wolfowitzs_recursion(load, servers, variability, seed):
    arrivals = poisson(load * servers, 200, seed)
    stage = one_station(servers=servers, variability=variability)
    times = run_stages([stage], arrivals, np.random.default_rng(seed))
    free_at = [0.0] * servers
    for i, arrival in enumerate(arrivals):
        start = max(arrival, free_at[0])
        assert times.start_s[i, 0] == pytest.approx(start, abs=1e-9)
        free_at[0] = start + times.service_s[i, 0]
        free_at.sort()


@given(tandem=st.lists(stages, min_size=1, max_size=3), gaps=st.lists(st.floats(0, 2), min_size=1))
def test_a_tandem_of_split_stages_follows_its_recursion(tandem, gaps):
    tandem = [
        stage.model_copy(update={"parallel": "split", "variability": Constant()})
        for stage in tandem
    ]
    arrivals = np.cumsum(gaps)
    times = run_stages(tandem, arrivals, np.random.default_rng(0))
    expected = arrivals.copy()
    for stage in tandem:
        for service in stage.station_times():
            free_at = 0.0
            for i, joined in enumerate(expected):
                free_at = expected[i] = max(joined, free_at) + service
        expected += stage.overhead
    np.testing.assert_allclose(times.departure_s, expected, atol=1e-9)


# Sample-path identities


@given(stage=stages)
def test_a_lone_request_takes_the_stages_unloaded_parts(stage):
    stage = stage.model_copy(update={"variability": Constant()})
    times = run_stages([stage], np.array([7.0]), np.random.default_rng(0))
    np.testing.assert_allclose(times.parts[0], (0.0, *stage.parts()), atol=1e-12)
    assert times.departure_s[0] == pytest.approx(7.0 + stage.total(), abs=1e-12)


@given(
    tandem=st.lists(stages, min_size=1, max_size=3),
    n=st.integers(0, 60),
    until=st.one_of(st.none(), st.floats(0.5, 60)),
    seed=seeds,
)
def test_parts_add_up_and_every_request_is_somewhere(tandem, n, until, seed):
    arrivals = np.random.default_rng(seed).uniform(0, 30, n)
    times = run_stages(tandem, arrivals, np.random.default_rng(seed), until=until)
    left = ~np.isnan(times.departure_s)
    np.testing.assert_allclose(
        times.parts[left].sum(axis=1), (times.departure_s - arrivals)[left], atol=1e-9
    )
    assert (times.parts[left] >= 0).all()
    assert np.isnan(times.parts[~left]).all()
    assert left.all() or until is not None
    admitted = ~np.isnan(times.admitted_s)
    assert (admitted | ~left).all()
    assert (times.admitted_s[left] <= times.departure_s[left]).all()
    assert (times.admitted_s[admitted] >= arrivals[admitted] - 1e-9).all()
    if until is not None:
        assert (times.departure_s[left] <= until).all()
        assert (times.admitted_s[admitted] <= until).all()


@given(tandem=st.lists(stages, min_size=1, max_size=2), until=st.floats(1, 30), seed=seeds)
def test_a_horizon_hides_the_future_and_changes_nothing_before_it(tandem, until, seed):
    arrivals = poisson(1.0, 40, seed)
    whole = run_stages(tandem, arrivals, np.random.default_rng(seed))
    seen = run_stages(tandem, arrivals, np.random.default_rng(seed), until=until)
    np.testing.assert_array_equal(
        seen.departure_s, np.where(whole.departure_s <= until, whole.departure_s, np.nan)
    )
    np.testing.assert_array_equal(
        seen.start_s, np.where(whole.start_s < until, whole.start_s, np.nan)
    )
    np.testing.assert_allclose(seen.busy_s(0, until), whole.busy_s(0, until), atol=1e-9)


@given(tandem=st.lists(stages, min_size=1, max_size=2), seed=seeds)
def test_doubling_all_times_doubles_all_results(tandem, seed):
    def doubled(stage):
        return stage.model_copy(
            update={
                "overhead": 2 * stage.overhead,
                **{
                    name: getattr(stage, name).model_copy(
                        update={"time": 2 * getattr(stage, name).time}
                    )
                    for name in ("compute", "storage", "transfer")
                },
            }
        )

    arrivals = poisson(0.7, 60, seed)
    once = run_stages(tandem, arrivals, np.random.default_rng(seed))
    twice = run_stages([doubled(s) for s in tandem], 2 * arrivals, np.random.default_rng(seed))
    np.testing.assert_array_equal(twice.departure_s, 2 * once.departure_s)
    np.testing.assert_array_equal(twice.parts, 2 * once.parts)


@given(tandem=st.lists(stages, min_size=1, max_size=3), seed=seeds)
def test_servers_work_as_long_as_services_last_and_never_more_than_there_are(tandem, seed):
    arrivals = poisson(1.0, 60, seed)
    times = run_stages(tandem, arrivals, np.random.default_rng(seed))
    end = times.departure_s.max()
    np.testing.assert_allclose(times.busy_s(0, end), times.service_s.sum(axis=0), rtol=1e-9)
    halves = times.busy_s(0, end / 3) + times.busy_s(end / 3, end)
    np.testing.assert_allclose(halves, times.busy_s(0, end), rtol=1e-9)
    assert (times.busy_s(0, end / 3) <= times.servers * end / 3 + 1e-9).all()


@given(seed=seeds)
def test_rows_may_come_in_any_order_and_some_never(seed):
    rng = np.random.default_rng(seed)
    arrivals = rng.uniform(0, 20, 30)
    arrivals[[3, 4]] = [np.nan, np.inf]
    stage = one_station(0.5, variability=Constant())
    times = run_stages([stage], arrivals, rng)
    order = np.argsort(arrivals)[:28]
    in_order = run_stages([stage], arrivals[order], rng)
    np.testing.assert_allclose(times.departure_s[order], in_order.departure_s, atol=1e-12)
    for never in (times.departure_s, times.admitted_s, times.start_s[:, 0], times.parts[:, 0]):
        assert np.isnan(never[[3, 4]]).all()


def test_requests_that_arrive_together_are_served_in_row_order():
    times = run_stages(
        [one_station(variability=Constant())], np.full(5, 3.0), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(times.departure_s, [4, 5, 6, 7, 8])


# Random numbers


def test_service_times_are_the_means_times_the_factors_of_the_stages_own_streams():
    tandem = [
        Stage(name="a", compute=StagePart(time=2.0), transfer=StagePart(time=3.0, speedup=2),
              variability=Gamma(cv=0.5)),
        Stage(name="b", storage=StagePart(time=5.0, degree=4), variability=Exponential()),
    ]  # fmt: skip
    times = run_stages(tandem, np.arange(20.0), np.random.default_rng(5))
    first, second = np.random.default_rng(5).spawn(2)
    factors = Gamma(cv=0.5).factors(20, first)
    np.testing.assert_array_equal(times.service_s[:, :2], factors[:, [0, 2]] * [2.0, 1.5])
    np.testing.assert_array_equal(
        times.service_s[:, 2], Exponential().factors(20, second)[:, 1] * 1.25
    )
    assert times.stations == ("a/compute", "a/transfer", "b/storage")
    assert times.servers.tolist() == [1, 1, 1]


def test_a_request_keeps_its_numbers_when_rows_stages_or_stations_are_added():
    few = one_station()
    more = few.model_copy(update={"transfer": StagePart(time=1.0)})
    last = one_station(variability=Gamma(cv=2))
    base = run_stages([few], poisson(0.5, 10, 1), np.random.default_rng(2))
    grown = run_stages([more, last], poisson(0.5, 50, 1), np.random.default_rng(2))
    np.testing.assert_array_equal(grown.service_s[:10, 0], base.service_s[:, 0])
    np.testing.assert_array_equal(grown.start_s[:10, 0], base.start_s[:, 0])


# Closed forms


def erlang_c(servers, load):
    """Return the probability of waiting in M/M/c with `load` = rate x service time."""
    blocking = 1.0
    for k in range(1, servers + 1):
        blocking = load * blocking / (k + load * blocking)
    return blocking / (1 - load / servers * (1 - blocking))


def mean_wait(stage, rate, seed, n=12_000, cut=2_000):
    """Return the mean wait of the requests after the first `cut`."""
    times = run_stages([stage], poisson(rate, n, seed), np.random.default_rng([seed, 1]))
    return times.parts[cut:, 0].mean()


@pytest.mark.parametrize("servers", [1, 3])
def test_a_pool_with_exponential_times_waits_as_m_m_c(servers):
    load = 0.7 * servers
    expected = erlang_c(servers, load) / (servers - load)
    mean, error = replicated(lambda seed: mean_wait(one_station(servers=servers), load, seed))
    assert mean == pytest.approx(expected, abs=4 * error)
    assert error < 0.05 * expected


def test_a_station_with_constant_times_waits_as_m_d_1():
    load = 0.7
    expected = load / (2 * (1 - load))  # Pollaczek and Khinchine, cv = 0
    stage = one_station(variability=Constant())
    mean, error = replicated(lambda seed: mean_wait(stage, load, seed))
    assert mean == pytest.approx(expected, abs=4 * error)
    assert error < 0.05 * expected


def test_a_station_with_gamma_times_waits_as_m_g_1():
    load, cv = 0.6, 1.5
    expected = load * (1 + cv**2) / (2 * (1 - load))
    stage = one_station(variability=Gamma(cv=cv))
    mean, error = replicated(lambda seed: mean_wait(stage, load, seed))
    assert mean == pytest.approx(expected, abs=4 * error)
    assert error < 0.06 * expected


def test_exponential_stations_in_tandem_are_each_m_m_1_as_burke_proved():
    rate, means = 0.6, (1.0, 0.7, 1.3)
    compute, storage, transfer = (StagePart(time=mean) for mean in means)
    stage = Stage(
        name="tandem", compute=compute, storage=storage, transfer=transfer,
        variability=Exponential(),
    )  # fmt: skip

    def sojourns(seed):
        times = run_stages([stage], poisson(rate, 12_000, seed), np.random.default_rng([seed, 1]))
        return (times.departure_s - times.arrival_s)[3_000:].mean()

    expected = sum(1 / (1 / mean - rate) for mean in means)
    mean, error = replicated(sojourns)
    assert mean == pytest.approx(expected, abs=4 * error)
    assert error < 0.05 * expected


# Closed loops


def closed_run(clients, n, *, think, stage, rng, until=None):
    """Run one closed loop over `n` rows whose first requests come at 0."""
    arrivals = np.full(n, np.inf)
    arrivals[:clients] = 0.0
    loop = ClosedLoop(class_id=0, start=0, stop=n, clients=clients)
    return run_stages([stage], arrivals, rng, closed=(loop,), think_s=think, until=until)


@given(thinks=st.lists(st.floats(0, 5), min_size=1, max_size=30))
def test_one_client_alternates_between_thinking_and_being_served(thinks):
    n = len(thinks)
    stage = Stage(name="s", compute=StagePart(time=1.0), overhead=0.5)
    times = closed_run(1, n, think=np.array(thinks), stage=stage, rng=np.random.default_rng(0))
    cycles = 1.5 + np.array(thinks)
    expected = np.concatenate([[0.0], np.cumsum(cycles[1:])])
    np.testing.assert_allclose(times.arrival_s, expected, atol=1e-9)
    np.testing.assert_allclose(times.departure_s, expected + 1.5, atol=1e-9)
    np.testing.assert_allclose(times.parts[:, 0], 0, atol=1e-9)


@given(clients=st.integers(1, 6), seed=seeds)
def test_each_departure_hands_the_next_row_to_its_client(clients, seed):
    rng = np.random.default_rng(seed)
    think = rng.exponential(1.0, 60)
    times = closed_run(clients, 60, think=think, stage=one_station(), rng=rng)
    assert not np.isnan(times.departure_s).any()
    for moment in times.arrival_s:
        under_way = (times.arrival_s <= moment) & (times.departure_s > moment + 1e-9)
        assert under_way.sum() <= clients
    taken = (times.arrival_s - think)[clients:]  # when a client took the row and began to think
    np.testing.assert_allclose(taken, np.sort(times.departure_s)[: 60 - clients], atol=1e-9)


def test_clients_that_think_and_queue_behave_as_the_machine_repair_model():
    clients, think, n = 5, 3.0, 12_000
    # Birth and death: k at the server, rates (clients - k)/think up and 1 down.
    weights = [1.0]
    for k in range(clients):
        weights.append(weights[-1] * (clients - k) / think)
    throughput = 1 - weights[0] / sum(weights)
    expected = clients / throughput - think  # interactive response time law

    def response(seed):
        rng = np.random.default_rng(seed)
        times = closed_run(
            clients, n, think=rng.exponential(think, n), stage=one_station(), rng=rng
        )
        return (times.departure_s - times.arrival_s)[500:].mean()

    mean, error = replicated(response)
    assert mean == pytest.approx(expected, abs=4 * error)
    assert error < 0.02 * expected


def test_a_closed_loop_stops_at_the_horizon_and_shares_stations_with_open_arrivals():
    arrivals = np.array([0.25, 1.25, 0.0, np.inf, np.inf, np.inf])
    loop = ClosedLoop(class_id=1, start=2, stop=6, clients=1)
    times = run_stages(
        [one_station(variability=Constant())],
        arrivals,
        np.random.default_rng(0),
        closed=(loop,),
        think_s=np.full(6, 0.5),
        until=5.25,
    )
    np.testing.assert_allclose(times.arrival_s, [0.25, 1.25, 0.0, 1.5, 4.5, np.inf])
    np.testing.assert_allclose(times.departure_s, [2.0, 3.0, 1.0, 4.0, np.nan, np.nan])
    np.testing.assert_allclose(times.busy_s(0, 5.25), [4.75])


def test_a_loop_with_more_clients_than_rows_issues_each_row_once():
    arrivals = np.zeros(2)
    loop = ClosedLoop(class_id=0, start=0, stop=2, clients=9)
    times = run_stages(
        [one_station(variability=Constant())], arrivals, np.random.default_rng(0), closed=(loop,)
    )
    np.testing.assert_array_equal(times.departure_s, [1.0, 2.0])


# Edges


def test_a_stage_of_overhead_alone_is_a_delay_without_a_queue():
    stage = Stage(name="network", overhead=0.25)
    times = run_stages([stage], np.zeros(3), np.random.default_rng(0), until=1.0)
    np.testing.assert_array_equal(times.departure_s, [0.25] * 3)
    np.testing.assert_array_equal(times.admitted_s, [0.0] * 3)
    np.testing.assert_array_equal(times.parts[:, PARTS.index("overhead")], [0.25] * 3)
    assert times.stations == ()
    assert times.busy_s(0, 1).shape == (0,)


def test_the_callers_arrivals_are_left_as_they_are():
    arrivals = np.array([0.0, np.inf])
    loop = ClosedLoop(class_id=0, start=0, stop=2, clients=1)
    times = run_stages([one_station()], arrivals, np.random.default_rng(0), closed=(loop,))
    assert np.isinf(arrivals[1])
    assert times.arrival_s[1] == times.departure_s[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stages": []}, "stages must have at least one member"),
        ({"arrival_s": np.array([1.0, -0.5])}, r"arrival_s must be >= 0, got -0\.5"),
        ({"until": 0.0}, r"until must be > 0, got 0\.0"),
        ({"until": math.nan}, "until must be > 0, got nan"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments, message):
    valid = {"stages": [one_station()], "arrival_s": np.array([1.0])}
    with pytest.raises(ValueError, match=message):
        run_stages(**{**valid, **arguments}, rng=np.random.default_rng(0))


@settings(max_examples=20)
@given(seed=seeds)
def test_the_same_seed_gives_the_same_bytes(seed):
    first, second = (
        run_stages([one_station(servers=2)], poisson(1.5, 50, seed), np.random.default_rng(seed))
        for _ in range(2)
    )
    assert first.departure_s.tobytes() == second.departure_s.tobytes()
    assert first.parts.tobytes() == second.parts.tobytes()
