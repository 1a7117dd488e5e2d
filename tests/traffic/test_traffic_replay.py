"""Replay: window, speed-up, spread ties."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.errors import InputError
from planner.traffic.replay import TraceArrivals
from planner.units import FROM_FILE

TRACES = Path(__file__).parents[2] / "scenarios" / "traces"


def replay(**keys):
    return TraceArrivals.model_validate({"kind": "trace", **keys}, context=FROM_FILE)


@pytest.fixture
def load(tmp_path):
    """Write arrival times to a file and replay it."""

    def load(times, **keys):
        rows = "".join(f"{time!r},{row + 1},{2 * row + 2}\n" for row, time in enumerate(times))
        (tmp_path / "t.csv").write_text("arrival_s,prompt_tokens,output_tokens\n" + rows)
        return replay(path="t.csv", **keys).load(tmp_path)

    return load


def test_times_and_lengths_come_back_exactly(load):
    times = [0.1, 0.30000000000000004, 1 / 3, 1e5 / 7]
    trace = load(times)
    assert trace.arrival_s.tolist() == times
    assert trace.prompt_tokens.tolist() == [1, 2, 3, 4]
    assert trace.end_s == times[-1]


def test_a_window_is_half_open_and_begins_at_zero(load):
    trace = load([0.0, 1.0, 2.0, 3.0, 4.0], window=["1 s", "3 s"])
    assert trace.arrival_s.tolist() == [0.0, 1.0]
    assert trace.prompt_tokens.tolist() == [2, 3]
    assert trace.end_s == 2.0
    assert [str(notice) for notice in trace.notices] == ["3 requests of t.csv outside the window"]


def test_a_speed_up_divides_all_times(load):
    trace = load([0.0, 1.0, 3.0], speedup=2, window=["0 s", "4 s"])
    assert trace.arrival_s.tolist() == [0.0, 0.5, 1.5]
    assert trace.end_s == 2.0
    assert trace.mean_rate() == 1.5


def test_ties_are_spread_evenly_over_the_time_that_is_given(load):
    trace = load([0.0, 0.0, 0.0, 10.0, 10.0], spread_ties="3 s")
    assert trace.arrival_s.tolist() == [0.0, 1.0, 2.0, 10.0, 11.5]


def test_ties_are_not_spread_beyond_the_next_request(load):
    trace = load([0.0, 0.0, 1.0, 1.0], spread_ties="4 s")
    assert trace.arrival_s.tolist() == [0.0, 0.5, 1.0, 3.0]


def test_ties_are_spread_over_the_median_gap_if_no_time_is_given(load):
    trace = load([0.0, 0.0, 3.0, 3.0, 6.0, 6.0, 15.0, 15.0], spread_ties=True)
    assert trace.arrival_s.tolist() == [0.0, 1.5, 3.0, 4.5, 6.0, 7.5, 15.0, 16.5]


def test_a_trace_without_ties_is_not_touched(load):
    assert load([0.0, 1.0, 5.0], spread_ties=True).arrival_s.tolist() == [0.0, 1.0, 5.0]
    assert load([0.0, 0.0, 5.0]).arrival_s.tolist() == [0.0, 0.0, 5.0]


def test_the_mooncake_hour_is_bursty_only_because_of_its_clock():
    def cv(**keys):
        trace = replay(path="mooncake_fast25_conversation.csv.gz", **keys).load(TRACES)
        gaps = np.diff(trace.arrival_s)
        return gaps.std() / gaps.mean()

    assert cv() > 3
    assert cv(spread_ties="3 s") < 1.2


@given(
    times=st.lists(st.integers(0, 30).map(float), min_size=2, max_size=40),
    spread=st.floats(0.01, 50),
)
def test_spreading_keeps_the_order_and_moves_nothing_by_more_than_the_time(times, spread):
    arrivals = TraceArrivals(path="x", spread_ties=spread)
    before = np.sort(np.array(times))
    after = arrivals._spread(before)
    assert (np.diff(after) >= 0).all()
    assert (after >= before).all()
    assert (after < before + spread).all()
    assert len(np.unique(after)) == len(after)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"window": ["3 s", "3 s"]}, "window that ends after it begins, got 3 s to 3 s"),
        ({"window": [0, 1]}, "unit"),
        ({"speedup": 0}, "greater than 0"),
        ({"spread_ties": 3}, "unit"),
        ({"path": ""}, "at least 1 character"),
        ({"columns": {"arrivals": "x"}}, "Extra inputs"),
    ],
)
def test_impossible_replays_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        replay(**{"path": "x", **keys})


def test_a_window_without_requests_is_refused(load):
    with pytest.raises(InputError, match=r"t.csv: arrivals.window: must hold requests in the"):
        load([0.0, 10.0], window=["2 s", "3 s"])


def test_ties_alone_need_a_time_to_be_spread_over(load):
    with pytest.raises(InputError, match="must be a duration where all requests have the same"):
        load([5.0, 5.0], spread_ties=True)
    assert load([5.0, 5.0], spread_ties="2 s").arrival_s.tolist() == [5.0, 6.0]
