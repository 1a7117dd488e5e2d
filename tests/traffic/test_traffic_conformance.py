"""What every member of every union must do. A new member without a strategy here fails."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from planner.traffic import arrivals as a
from planner.traffic import lengths as g
from planner.traffic import marginals as m
from planner.traffic.closed import ClosedLoopArrivals, ConstantThink, ExponentialThink, Think
from planner.traffic.profile import ProfileArrivals, RatePoint
from planner.traffic.replay import TraceArrivals
from planner.traffic.spec import RequestClass, Traffic
from planner.units import FROM_FILE

TRACES = Path(__file__).parents[2] / "scenarios" / "traces"


def members(union):
    """Return the classes of an annotated union, however it is nested."""
    inner = get_args(union)
    if not inner:
        return {union}
    if hasattr(union, "__metadata__"):
        return members(inner[0])
    return set().union(*map(members, inner))


COLUMNS = ("arrival_s", "prompt_tokens", "output_tokens", "class_id", "session_id", "think_s")

rates, cvs = st.floats(0.1, 1e3), st.floats(0.1, 5)
tokens, traces = st.integers(1, 10**4), st.just("azure_2023_code.csv.gz")


@st.composite
def profiles(draw):
    gaps = draw(st.lists(st.floats(0.1, 50), max_size=4))
    at = np.cumsum([0.0, *gaps]).tolist()
    points = tuple(RatePoint(at=t, rate=draw(rates)) for t in at)
    return ProfileArrivals(
        points=points,
        shape=draw(st.sampled_from(["linear", "step"])),
        period=draw(st.none() | st.just(at[-1] + 10)),
        cv=draw(cvs),
    )


ARRIVALS = {
    a.PoissonArrivals: st.builds(a.PoissonArrivals, rate=rates),
    a.GammaArrivals: st.builds(a.GammaArrivals, rate=rates, cv=cvs),
    a.DeterministicArrivals: st.builds(a.DeterministicArrivals, rate=rates),
    a.MmppArrivals: st.builds(
        a.MmppArrivals,
        states=st.lists(
            st.builds(a.MmppState, rate=rates, dwell=st.floats(0.1, 100)), min_size=2, max_size=4
        ).map(tuple),
    ),
    a.ProfileArrivals: profiles(),
    TraceArrivals: st.builds(
        TraceArrivals,
        path=traces,
        speedup=st.floats(0.1, 10),
        window=st.none() | st.just((0.0, 600.0)),
        spread_ties=st.booleans() | st.floats(0.1, 9),
    ),
    ClosedLoopArrivals: st.builds(
        ClosedLoopArrivals,
        clients=st.integers(1, 50),
        think=st.builds(ExponentialThink, mean=st.floats(1, 9))
        | st.builds(ConstantThink, mean=st.floats(1, 9)),
        ramp=st.floats(0, 10),
    ),
}

bounds = st.tuples(tokens, tokens).map(sorted)
uniform = bounds.map(lambda b: m.UniformLength(min=b[0], max=b[1]))
lognormal = st.builds(m.LognormalLength, mean=st.floats(1, 1e4), cv=cvs, max=st.just(10**5))
quantiles = st.lists(tokens, min_size=1, max_size=5).map(
    lambda t: tuple(
        m.Quantile(p=(row + 1) / len(t), tokens=length) for row, length in enumerate(sorted(t))
    )
)
SIDES = {
    m.FixedLength: st.builds(m.FixedLength, tokens=tokens),
    m.UniformLength: uniform,
    m.LognormalLength: lognormal,
    m.EmpiricalLength: st.builds(
        m.EmpiricalLength, values=st.lists(tokens, min_size=1, max_size=9).map(tuple)
    )
    | st.builds(m.EmpiricalLength, quantiles=quantiles),
}
sides = st.one_of(*SIDES.values())
LENGTHS = {
    g.FixedLengths: st.builds(g.FixedLengths, prompt=tokens, output=tokens),
    g.UniformLengths: st.builds(g.UniformLengths, prompt=uniform, output=uniform),
    g.LognormalLengths: st.builds(g.LognormalLengths, prompt=lognormal, output=lognormal),
    g.IndependentLengths: st.builds(g.IndependentLengths, prompt=sides, output=sides),
    g.EmpiricalLengths: st.builds(g.EmpiricalLengths, path=traces)
    | st.builds(
        g.EmpiricalLengths,
        prompt=SIDES[m.EmpiricalLength],
        output=SIDES[m.EmpiricalLength],
    ),
    g.JointLengths: st.builds(g.JointLengths, path=traces),
    g.LengthsFromArrivals: st.just(g.LengthsFromArrivals()),
}
open_loop = st.one_of(*(ARRIVALS[kind] for kind in members(a.DrawnArrivals)))
lengths = st.one_of(*(LENGTHS[kind] for kind in members(g.DrawnLengths)))


@pytest.mark.parametrize(
    ("union", "strategies"),
    [
        (a.Arrivals, ARRIVALS),
        (g.Lengths, LENGTHS),
        (m.Length, SIDES),
        (Think, {ConstantThink: 1, ExponentialThink: 1}),
    ],
)
def test_every_member_of_a_union_has_a_strategy(union, strategies):
    assert members(union) == set(strategies)


@given(spec=st.one_of(*ARRIVALS.values(), *LENGTHS.values(), *SIDES.values()))
def test_every_spec_is_read_back_from_the_json_it_writes(spec):
    again = type(spec).model_validate_json(spec.model_dump_json(), context=FROM_FILE)
    assert again == spec


@pytest.mark.parametrize("mode", ["validation", "serialization"])
@pytest.mark.parametrize("union", [a.Arrivals, g.Lengths, Traffic])
def test_every_union_has_a_json_schema(union, mode):
    assert TypeAdapter(union).json_schema(mode=mode)


@given(spec=open_loop, n=st.integers(0, 300), seed=st.integers(0, 2**32 - 1))
def test_arrivals_are_finite_ordered_and_as_many_as_asked(spec, n, seed):
    times = spec.times(n, np.random.default_rng(seed))
    assert times.shape == (n,)
    assert times.dtype == np.float64
    assert np.isfinite(times).all()
    assert (times >= 0).all()
    assert (np.diff(times) >= 0).all()


@given(spec=open_loop, end=st.floats(0.001, 30), seed=st.integers(0, 2**32 - 1))
def test_arrivals_before_a_time_are_those_of_the_first_that_lie_before_it(spec, end, seed):
    before = spec.times_before(end, np.random.default_rng(seed))
    first = spec.times(len(before) + 1, np.random.default_rng(seed))
    assert before.tolist() == first[:-1].tolist()
    assert first[-1] >= end


@settings(deadline=None)  # some members read a real hour
@given(spec=lengths, n=st.integers(0, 50), seed=st.integers(0, 2**32 - 1))
def test_lengths_are_whole_numbers_from_one_on(spec, n, seed):
    drawn = spec.draw(n, np.random.default_rng(seed), TRACES)
    for side in (drawn.prompt, drawn.output):
        assert side.shape == (n,)
        assert side.dtype == np.int32
        assert (side >= 1).all()


@settings(deadline=None)  # some members read a real hour
@given(
    arrivals=st.one_of(*ARRIVALS.values()),
    lengths=lengths,
    seed=st.integers(0, 999),
    n=st.integers(1, 99),
)
def test_traffic_of_every_kind_obeys_what_requests_promise(arrivals, lengths, seed, n):
    traffic = Traffic(arrivals=arrivals, lengths=lengths, requests=n)
    requests = traffic.draw(seed, 0, TRACES)
    again = traffic.draw(seed, 0, TRACES)
    assert len(requests) == n
    for name in (
        "arrival_s",
        "prompt_tokens",
        "output_tokens",
        "class_id",
        "session_id",
        "think_s",
    ):
        column = getattr(requests, name)
        assert column.shape == (n,), name
        assert column.tobytes() == getattr(again, name).tobytes(), name
    assert requests.prompt_tokens.min() >= 1
    assert requests.output_tokens.min() >= 1
    assert (requests.think_s >= 0).all()
    start = requests.closed[0].start if requests.closed else n
    opened = requests.arrival_s[:start]
    assert np.isfinite(opened).all()
    assert (opened >= 0).all()
    assert (np.diff(opened) >= 0).all()
    for loop in requests.closed:
        begun = loop.start + min(loop.clients, loop.stop - loop.start)
        assert np.isfinite(requests.arrival_s[loop.start : begun]).all()
        assert np.isinf(requests.arrival_s[begun : loop.stop]).all()
    assert requests.random == (arrivals.random or lengths.random)
    if not requests.random:
        other = traffic.draw(seed + 1, 1, TRACES)
        assert other.arrival_s.tobytes() == requests.arrival_s.tobytes()
        assert other.prompt_tokens.tobytes() == requests.prompt_tokens.tobytes()


@settings(deadline=None)  # some members read a real hour
@given(
    arrivals=st.lists(st.one_of(*ARRIVALS.values()), min_size=2, max_size=4),
    seed=st.integers(0, 999),
    end=st.none() | st.floats(20, 60),
    n=st.none() | st.integers(100, 300),
)
def test_classes_of_any_kinds_go_together(arrivals, seed, end, n):
    end = end if end or n else 30.0
    fixed = g.FixedLengths(prompt=3, output=4)
    classes = tuple(
        RequestClass(name=f"class {k}", arrivals=each, lengths=fixed)
        for k, each in enumerate(arrivals)
    )
    requests = Traffic(classes=classes, duration=end, requests=n).draw(seed, 0, TRACES)
    start = requests.closed[0].start if requests.closed else len(requests)
    opened = requests.arrival_s[:start]
    assert (np.diff(opened) >= 0).all()
    assert start <= (n or start)
    if end is not None:
        assert (opened < end).all()
        assert requests.end_s <= end
    rows = [(loop.start, loop.stop) for loop in requests.closed]
    assert [begin for begin, _ in rows] == [start, *(stop for _, stop in rows)][: len(rows)]
    for loop in requests.closed:
        assert (requests.class_id[loop.start : loop.stop] == loop.class_id).all()
    owners = {}
    for k, session in zip(requests.class_id.tolist(), requests.session_id.tolist(), strict=True):
        assert owners.setdefault(session, k) == k
