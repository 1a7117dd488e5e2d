"""Traffic: classes, rates, ends, random streams, sessions, closed loops."""

import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from planner.errors import InputError
from planner.traffic.requests import ClosedLoop
from planner.traffic.sessions import session_ids
from planner.traffic.spec import Traffic
from planner.units import FROM_FILE

SCENARIOS = Path(__file__).parents[2] / "scenarios"
AZURE = {"kind": "trace", "path": "traces/azure_2023_conv.csv.gz"}
FIXED = {"kind": "fixed", "prompt": 400, "output": 150}
LOGNORMAL = {
    "kind": "lognormal",
    "prompt": {"mean": 400, "cv": 1.0, "max": 8000},
    "output": {"mean": 150, "cv": 0.8, "max": 2000},
}


def poisson(rate="5 req/s"):
    return {"kind": "poisson", "rate": rate}


def traffic(**keys):
    return Traffic.model_validate(keys, context=FROM_FILE)


def draw(seed=1, replication=0, base=SCENARIOS, **keys):
    return traffic(**keys).draw(seed, replication, base)


def texts(requests):
    return [str(notice) for notice in requests.notices]


# A real hour


def test_the_azure_hour_is_replayed_as_it_is():
    requests = draw(arrivals=AZURE)
    assert len(requests) == 19_366
    assert requests.class_names == ("requests",)
    assert requests.end_s == requests.arrival_s[-1] == pytest.approx(3501.72, abs=0.01)
    assert not requests.random
    assert requests.notices == []
    assert (requests.arrival_s[1], requests.prompt_tokens[1]) == (4.314579, 396)
    assert len(np.unique(requests.session_id)) == 19_366


def test_the_azure_hour_can_be_replayed_at_another_rate():
    requests = draw(arrivals=AZURE, rate="11 req/s")
    assert len(requests) / requests.end_s == pytest.approx(11, rel=1e-12)
    gaps = np.diff(requests.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1.09, abs=0.005)


def test_a_duration_cuts_a_trace_and_counts_what_it_cuts():
    requests = draw(arrivals=AZURE, duration="10 min")
    assert requests.arrival_s[-1] < 600
    assert requests.end_s == 600
    left = 19_366 - len(requests)
    assert texts(requests) == [
        f"{left:,} requests of traces/azure_2023_conv.csv.gz after the end of the run"
    ]


def test_a_trace_that_ends_before_the_duration_says_so():
    requests = draw(arrivals=AZURE, duration="2 h")
    assert requests.end_s == pytest.approx(3501.72, abs=0.01)
    assert "ends after 3501.72 s, before the duration of 7200 s" in texts(requests)[0]


def test_a_number_of_requests_cuts_a_trace():
    requests = draw(arrivals=AZURE, requests=1000)
    assert len(requests) == 1000
    assert requests.end_s == requests.arrival_s[-1]
    assert "18,366 requests of" in texts(requests)[0]


def test_lengths_may_be_drawn_for_the_arrivals_of_a_trace():
    requests = draw(arrivals=AZURE, lengths=FIXED, requests=10)
    assert set(requests.prompt_tokens.tolist()) == {400}
    assert not requests.random
    assert draw(arrivals=AZURE, lengths=LOGNORMAL, requests=10).random


# Ends and rates


def test_all_arrivals_lie_before_the_duration():
    requests = draw(arrivals=poisson("100 req/s"), lengths=FIXED, duration="50 s")
    assert requests.arrival_s[-1] < 50
    assert requests.end_s == 50
    assert len(requests) == pytest.approx(5000, abs=5 * math.sqrt(5000))


def test_the_earlier_of_duration_and_requests_ends_the_traffic():
    keys = {"arrivals": {"kind": "deterministic", "rate": "2 req/s"}, "lengths": FIXED}
    by_number = draw(duration="10 s", requests=4, **keys)
    assert by_number.arrival_s.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert by_number.end_s == 1.5
    by_time = draw(duration="1 s", requests=4, **keys)
    assert by_time.arrival_s.tolist() == [0.0, 0.5]
    assert by_time.end_s == 1.0


def test_the_rate_is_the_mean_over_the_duration_of_all_classes_together():
    evening = {
        "kind": "profile",
        "points": [{"at": "0 s", "rate": "0 req/s"}, {"at": "1 h", "rate": "9 req/s"}],
    }
    requests = draw(
        duration="1 h",
        rate="30 req/s",
        classes=[
            {"name": "profile", "arrivals": evening, "lengths": FIXED},
            {"name": "poisson", "arrivals": poisson("5.5 req/s"), "lengths": FIXED},
        ],
    )
    # the profile's mean is 4.5, so that all is multiplied by 3
    assert len(requests) == pytest.approx(30 * 3600, abs=5 * math.sqrt(30 * 3600))
    by_class = np.bincount(requests.class_id)
    assert by_class[0] == pytest.approx(13.5 * 3600, abs=5 * math.sqrt(13.5 * 3600))


def test_a_number_of_requests_counts_over_all_classes():
    requests = draw(
        requests=5000,
        classes=[
            {"name": "a", "arrivals": poisson("1 req/s"), "lengths": FIXED},
            {"name": "b", "arrivals": poisson("4 req/s"), "lengths": FIXED},
        ],
    )
    assert len(requests) == 5000
    assert (np.diff(requests.arrival_s) >= 0).all()
    assert requests.end_s == requests.arrival_s[-1]
    share = np.bincount(requests.class_id) / 5000
    assert share[1] == pytest.approx(0.8, abs=5 * math.sqrt(0.16 / 5000))


def test_random_classes_beside_a_trace_end_with_it():
    requests = draw(
        classes=[
            {"name": "chat", "arrivals": AZURE},
            {"name": "batch", "arrivals": poisson("1 req/s"), "lengths": FIXED},
        ]
    )
    chat = requests.class_id == 0
    assert chat.sum() == 19_366
    assert requests.arrival_s[~chat].max() < requests.end_s == requests.arrival_s[chat].max()
    assert requests.random


def test_equal_times_keep_the_order_of_the_classes():
    even = {"kind": "deterministic", "rate": "1 req/s"}
    requests = draw(
        duration="3 s",
        classes=[{"name": name, "arrivals": even, "lengths": FIXED} for name in "ab"],
    )
    assert requests.arrival_s.tolist() == [0, 0, 1, 1, 2, 2]
    assert requests.class_id.tolist() == [0, 1, 0, 1, 0, 1]


def test_each_class_keeps_its_own_lengths_after_merging():
    requests = draw(
        requests=500,
        classes=[
            {"name": "a", "arrivals": poisson(), "lengths": {**FIXED, "prompt": 1}},
            {"name": "b", "arrivals": poisson(), "lengths": {**FIXED, "prompt": 2}},
        ],
    )
    assert (requests.prompt_tokens == requests.class_id + 1).all()


def test_a_profile_from_the_shipped_rates_of_two_weeks():
    rates = {"kind": "profile", "path": "traces/servegen_rates_10min.csv.gz", "series": "m-large"}
    requests = draw(arrivals=rates, lengths=FIXED, duration="1 d", rate="1 req/s")
    assert len(requests) == pytest.approx(86_400, abs=5 * math.sqrt(86_400))
    by_hour = np.histogram(requests.arrival_s, 24)[0]
    assert by_hour.max() > 1.5 * by_hour.min()


def test_a_profile_that_stops_before_the_requests_are_reached_is_refused():
    points = [{"at": "0 s", "rate": "5 req/s"}, {"at": "10 s", "rate": "0 req/s"}]
    ending = {"kind": "profile", "points": points}
    classes = [{"name": name, "arrivals": ending, "lengths": FIXED} for name in "ab"]
    with pytest.raises(InputError, match=r"traffic.requests: must be a number that the arrivals"):
        draw(requests=10_000, classes=classes)


# Random streams


def test_the_same_seed_gives_the_same_requests_and_another_does_not():
    keys = {"arrivals": poisson(), "lengths": LOGNORMAL, "requests": 200}
    one, same = draw(seed=3, **keys), draw(seed=3, **keys)
    assert one.arrival_s.tobytes() == same.arrival_s.tobytes()
    assert one.prompt_tokens.tobytes() == same.prompt_tokens.tobytes()
    for other in (draw(seed=4, **keys), draw(seed=3, replication=1, **keys)):
        assert (other.arrival_s != one.arrival_s).all()


def test_changing_lengths_does_not_change_arrivals_and_the_reverse():
    drawn = draw(arrivals=poisson(), lengths=LOGNORMAL, requests=200)
    fixed = draw(arrivals=poisson(), lengths=FIXED, requests=200)
    gamma = draw(
        arrivals={"kind": "gamma", "rate": "5 req/s", "cv": 3}, lengths=LOGNORMAL, requests=200
    )
    assert drawn.arrival_s.tobytes() == fixed.arrival_s.tobytes()
    assert drawn.prompt_tokens.tobytes() == gamma.prompt_tokens.tobytes()
    assert drawn.output_tokens.tobytes() == gamma.output_tokens.tobytes()


def test_a_class_beside_it_does_not_change_a_class():
    chat = {"name": "chat", "arrivals": poisson(), "lengths": LOGNORMAL}
    code = {"name": "code", "arrivals": poisson(), "lengths": LOGNORMAL}
    alone = draw(duration="100 s", classes=[chat])
    both = draw(duration="100 s", classes=[code, chat])
    mine = both.class_id == 1
    assert both.arrival_s[mine].tobytes() == alone.arrival_s.tobytes()
    assert both.prompt_tokens[mine].tobytes() == alone.prompt_tokens.tobytes()
    assert not np.isin(both.arrival_s[~mine], alone.arrival_s).any()


def test_a_higher_rate_brings_the_same_requests_faster():
    slow = draw(arrivals=poisson("1 req/s"), lengths=LOGNORMAL, requests=100)
    fast = draw(arrivals=poisson("1 req/s"), lengths=LOGNORMAL, requests=100, rate="4 req/s")
    np.testing.assert_allclose(slow.arrival_s, 4 * fast.arrival_s, rtol=1e-12)
    assert (slow.prompt_tokens == fast.prompt_tokens).all()


# Sessions


def test_without_sessions_every_request_is_one_of_its_own():
    requests = draw(arrivals=poisson(), lengths=FIXED, requests=50)
    assert len(np.unique(requests.session_id)) == 50


@pytest.mark.parametrize("mean", [1.0, 2.5, 8.0])
def test_sessions_have_the_mean_number_of_requests(mean):
    n = 200_000
    ids = session_ids(n, mean, np.random.default_rng(1))
    sizes = np.bincount(ids)
    assert sizes.min() >= 1
    assert len(sizes) == len(np.unique(ids))
    # up to 256 sessions are cut at either end
    error = 5 * math.sqrt(mean * max(mean - 1, 0.01) / len(sizes)) + 512 / len(sizes)
    assert sizes.mean() == pytest.approx(mean, abs=error)


def test_sessions_of_one_request_are_all_different():
    assert len(np.unique(session_ids(500, 1.0, np.random.default_rng(1)))) == 500


def test_few_requests_still_form_sessions():
    assert len(np.unique(session_ids(40, 4.0, np.random.default_rng(1)))) < 25


def test_no_two_classes_share_a_session():
    requests = draw(
        requests=2000,
        classes=[
            {"name": "a", "arrivals": poisson(), "lengths": FIXED, "sessions": 3},
            {"name": "b", "arrivals": poisson(), "lengths": FIXED, "sessions": 3},
            {"name": "c", "arrivals": poisson(), "lengths": FIXED},
            {
                "name": "d",
                "arrivals": {"kind": "closed_loop", "clients": 4, "think": "20 s"},
                "lengths": FIXED,
            },
        ],
    )
    seen = [set(requests.session_id[requests.class_id == k].tolist()) for k in range(4)]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert len(seen[0]) < 0.6 * (requests.class_id == 0).sum()
    assert len(seen[3]) == 4


# Closed loops


def test_a_closed_loop_by_number_of_requests():
    loop = {"kind": "closed_loop", "clients": 3, "think": "2 s", "ramp": "3 s"}
    requests = draw(arrivals=loop, lengths=LOGNORMAL, requests=7)
    assert requests.arrival_s.tolist() == [0.0, 1.0, 2.0, *[math.inf] * 4]
    assert requests.think_s.tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert requests.session_id.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert requests.closed == (ClosedLoop(class_id=0, start=0, stop=7, clients=3),)
    assert requests.end_s == math.inf


def test_a_closed_loop_of_more_clients_than_requests():
    requests = draw(arrivals={"kind": "closed_loop", "clients": 9}, lengths=FIXED, requests=2)
    assert requests.arrival_s.tolist() == [0, 0]


def test_a_closed_loop_by_duration_has_rows_enough_for_free_answers():
    loop = {"kind": "closed_loop", "clients": 3, "think": "2 s"}
    requests = draw(arrivals=loop, lengths=FIXED, duration="10 s")
    assert requests.end_s == 10
    assert len(requests) == 18


def test_closed_loops_lie_behind_the_open_loop_and_run_until_its_end():
    requests = draw(
        requests=100,
        classes=[
            {
                "name": "users",
                "arrivals": {"kind": "closed_loop", "clients": 5, "think": "10 s"},
                "lengths": FIXED,
            },
            {"name": "jobs", "arrivals": poisson("2 req/s"), "lengths": FIXED},
        ],
    )
    (loop,) = requests.closed
    assert (loop.class_id, loop.start, loop.stop) == (0, 100, len(requests))
    assert set(requests.class_id[:100].tolist()) == {1}
    assert set(requests.class_id[100:].tolist()) == {0}
    assert requests.end_s == requests.arrival_s[99]
    assert len(requests) - 100 == 5 * (math.floor(requests.end_s / 10) + 1)


def test_several_closed_loops_share_the_requests_by_their_clients():
    classes = [
        {"name": name, "arrivals": {"kind": "closed_loop", "clients": clients}, "lengths": FIXED}
        for name, clients in (("a", 1), ("b", 3))
    ]
    requests = draw(requests=101, classes=classes)
    assert [loop.stop - loop.start for loop in requests.closed] == [25, 76]
    assert [loop.start for loop in requests.closed] == [0, 25]


def test_thinking_at_random_makes_the_traffic_random():
    loop = {"kind": "closed_loop", "clients": 3, "think": {"kind": "exponential", "mean": "2 s"}}
    requests = draw(arrivals=loop, lengths=FIXED, requests=4000)
    assert requests.random
    assert requests.think_s[3:].mean() == pytest.approx(2, abs=5 * 2 / math.sqrt(4000))
    constant = {**loop, "think": "2 s"}
    assert not traffic(arrivals=constant, lengths=FIXED, requests=9).random


def test_clients_that_the_ramp_starts_after_the_end_never_start_and_are_counted():
    loop = {"kind": "closed_loop", "clients": 6, "think": "1 s", "ramp": "1 min"}
    requests = draw(arrivals=loop, lengths=FIXED, duration="30 s")
    assert requests.closed[0].clients == 3
    assert requests.arrival_s[:4].tolist() == [0.0, 10.0, 20.0, math.inf]
    assert texts(requests) == ["3 clients of class requests never start: the ramp outlasts the run"]


# Refused


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "must have 'arrivals' (and 'lengths'), or 'classes', got neither"),
        ({"arrivals": poisson(), "requests": 5}, "must have 'lengths' where arrivals are poisson"),
        ({"arrivals": poisson(), "lengths": FIXED}, "since poisson never ends"),
        ({"arrivals": poisson(), "lengths": FIXED, "requests": 0}, "greater than 0"),
        ({"arrivals": poisson(), "lengths": FIXED, "requests": 10**10}, "less than or equal to"),
        ({"arrivals": poisson("0 req/s"), "lengths": FIXED, "requests": 5}, "greater than 0"),
        ({"arrivals": poisson(5), "lengths": FIXED, "requests": 5}, "with a unit, got 5"),
        ({"arrivals": {"kind": "poison"}, "requests": 5}, "poison"),
        (
            {"arrivals": AZURE, "classes": [{"name": "a", "arrivals": AZURE}]},
            "must have either 'classes' or inline 'arrivals' and 'lengths', got both",
        ),
        (
            {"classes": [{"name": "a", "arrivals": AZURE}, {"name": "a", "arrivals": AZURE}]},
            "must have a name of its own for each class, got 'a' twice",
        ),
        ({"classes": []}, "at least 1 item"),
        ({"classes": [{"name": "a", "arrivals": poisson()}], "requests": 1}, "must have 'lengths'"),
        (
            {
                "arrivals": {"kind": "closed_loop", "clients": 2},
                "lengths": FIXED,
                "requests": 5,
                "rate": "1 req/s",
            },
            "must have no rate where there are only closed loops",
        ),
        (
            {
                "arrivals": {"kind": "closed_loop", "clients": 2},
                "lengths": FIXED,
                "requests": 5,
                "sessions": 2,
            },
            "must have no 'sessions' in a closed loop",
        ),
    ],
)  # fmt: skip
def test_traffic_that_makes_no_sense_is_refused(keys, message):
    with pytest.raises(ValidationError) as error:
        traffic(**keys)
    assert message in str(error.value)


def test_traffic_without_a_request_is_refused():
    with pytest.raises(InputError, match=r"must bring at least one request, got none before 0.001"):
        draw(arrivals=poisson("1 req/h"), lengths=FIXED, duration="1 ms")


def test_a_trace_at_one_instant_has_no_rate_to_scale(tmp_path):
    (tmp_path / "t.csv").write_text("arrival_s,isl,osl\n0,1,1\n0,1,1\n")
    arrivals = {"kind": "trace", "path": "t.csv"}
    assert len(draw(arrivals=arrivals, base=tmp_path)) == 2
    with pytest.raises(InputError, match=r"traffic.rate: must scale arrivals with a mean rate > 0"):
        draw(arrivals=arrivals, rate="1 req/s", base=tmp_path)
