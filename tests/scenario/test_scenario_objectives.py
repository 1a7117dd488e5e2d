from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from planner.errors import InputError
from planner.scenario.objectives import (
    METRICS,
    REQUEST_METRICS,
    Bound,
    GoodputObjective,
    LatencyObjective,
    Objectives,
    objectives_text,
    parse_objectives,
)
from planner.units import FROM_FILE

ADAPTER = TypeAdapter(Objectives)
PATTERN = ADAPTER.json_schema()["anyOf"][0]["pattern"]

durations = st.builds(
    lambda number, unit: f"{number}{unit}",
    st.integers(1, 10_000) | st.floats(1e-3, 1e3),
    st.sampled_from(["ms", "s", "min", " ms"]),
)
operators = st.sampled_from(["<", "<="])
statistics = st.just("mean") | st.builds(
    lambda number: f"p{number}", st.integers(1, 99) | st.sampled_from([99.9, 0.5, 99.99])
)
latencies = st.builds(
    lambda metric, statistic, operator, bound: f"{metric}:{statistic}{operator}{bound}",
    st.sampled_from(METRICS), statistics, operators, durations,
)  # fmt: skip


@st.composite
def goodputs(draw):
    metrics = draw(st.lists(st.sampled_from(REQUEST_METRICS), min_size=1, unique=True))
    bounds = ",".join(f"{metric}{draw(operators)}{draw(durations)}" for metric in metrics)
    return f"goodput{{{bounds}}}>={draw(st.sampled_from(['0.95', '95%', '1', '.5']))}"


texts = st.lists(latencies | goodputs(), max_size=4, unique_by=lambda each: each.replace(" ", ""))


def test_the_example_of_the_documentation():
    text = "ttft:p95<500ms; e2e:p99<=30s; goodput{ttft<2s,tpot<50ms}>=0.95"
    first, second, third = parse_objectives(text)
    assert first == LatencyObjective("ttft:p95<500ms", "ttft", "p95", strict=True, seconds=0.5)
    assert second == LatencyObjective("e2e:p99<=30s", "e2e", "p99", strict=False, seconds=30.0)
    assert third == GoodputObjective(
        "goodput{ttft<2s,tpot<50ms}>=0.95",
        (Bound("ttft", strict=True, seconds=2.0), Bound("tpot", strict=True, seconds=0.05)),
        0.95,
    )
    assert objectives_text((first, second, third)) == text


@given(texts)
def test_objectives_round_trip_through_text_and_through_a_file(pieces):
    objectives = parse_objectives(" ; ".join(pieces))
    assert len(objectives) == len(pieces)
    assert parse_objectives(objectives_text(objectives)) == objectives
    assert ADAPTER.validate_python(pieces, context=FROM_FILE) == objectives
    assert ADAPTER.validate_json(ADAPTER.dump_json(objectives)) == objectives
    assert ADAPTER.validate_python(objectives) == objectives


@given(texts)
def test_what_is_read_matches_the_pattern_of_the_schema(pieces):
    assert re.search(PATTERN, "; ".join(pieces))


@given(st.text(alphabet="tfpgodu{}<>=:;,.0159 ms%e", max_size=40))
def test_any_text_is_read_or_refused_with_a_rule(text):
    try:
        objectives = parse_objectives(text)
    except InputError as error:
        objectives, messages = None, [problem.message for problem in error.problems]
    if objectives is None:
        assert all(message.startswith("must ") for message in messages)
    else:
        assert parse_objectives(objectives_text(objectives)) == objectives


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tppt:p95<5ms", "must bound a metric, got 'tppt' in 'tppt:p95<5ms'; did you mean 'tpot'?"),
        (
            "latency:p95<5ms",
            (
                "must bound a metric, got 'latency' in 'latency:p95<5ms'; "
                "known: ttft, tpot, itl, e2e, wait"
            ),
        ),
        (
            "ttft:p95<500",
            (
                "must be a duration with a unit, got '500'; write '500 ms' or '500 s' "
                "(in 'ttft:p95<500')"
            ),
        ),
        (
            "ttft<500ms",
            "must name a statistic, got 'ttft<500ms'; write for instance 'ttft:p95<...'",
        ),
        (
            "ttft:p100<5s",
            (
                "must be mean or a percentile between p0 and p100, as p95 or p99.9, "
                "got 'p100' in 'ttft:p100<5s'"
            ),
        ),
        (
            "ttft:p0<5s",
            (
                "must be mean or a percentile between p0 and p100, as p95 or p99.9, "
                "got 'p0' in 'ttft:p0<5s'"
            ),
        ),
        ("ttft:p5<0s", "must be a duration > 0, got '0s' in 'ttft:p5<0s'"),
        (
            "ttft:p5>3s",
            "must read as 'ttft:p95<500ms' or 'goodput{ttft<2s,tpot<50ms}>=0.95', got 'ttft:p5>3s'",
        ),
        (
            "goodput{ttft<2s}>=1.5",
            "must be a share above 0, up to 1, got '1.5' in 'goodput{ttft<2s}>=1.5'",
        ),
        (
            "goodput{ttft<2s}>=0",
            "must be a share above 0, up to 1, got '0' in 'goodput{ttft<2s}>=0'",
        ),
        (
            "goodput{ttft:p95<2s}>=0.9",
            (
                "must bound ttft of each request, got 'ttft:p95<2s' in "
                "'goodput{ttft:p95<2s}>=0.9'; one request has no p95; leave it out"
            ),
        ),
        (
            "goodput{ttft<2s,ttft<3s}>=0.9",
            "must bound each metric once, got 'ttft<3s' in 'goodput{ttft<2s,ttft<3s}>=0.9'",
        ),
        (
            "goodput{itl<2s}>=0.9",
            (
                "must bound a metric, got 'itl' in 'goodput{itl<2s}>=0.9'; "
                "known: ttft, tpot, e2e, wait"
            ),
        ),
        (
            "goodput>=0.9",
            (
                "must read goodput{<bounds>}>=<share>, got 'goodput>=0.9'; "
                "write for instance 'goodput{ttft<2s,tpot<50ms}>=0.95'"
            ),
        ),
        (
            "goodptu{ttft<2s}>=1",
            "must be goodput, got 'goodptu' in 'goodptu{ttft<2s}>=1'; did you mean 'goodput'?",
        ),
        ("ttft:p9<2s; ttft:p9 < 2s", "must be given once, got 'ttft:p9<2s' twice"),
    ],
)
def test_messages_quote_the_piece_that_is_wrong(text, message):
    with pytest.raises(InputError) as caught:
        parse_objectives(text)
    assert [problem.message for problem in caught.value.problems] == [message]


def test_all_pieces_that_are_wrong_are_reported():
    with pytest.raises(InputError) as caught:
        parse_objectives("ttft:p95<1; tpot:p95<50ms; x")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("value", [3, None, {"ttft": 3}, [3], ["ttft:p95<1s", None]])
def test_only_text_and_lists_of_text_are_objectives(value):
    with pytest.raises(ValidationError, match="must be text or a list of texts"):
        ADAPTER.validate_python(value)


def test_a_strict_bound_is_not_met_by_the_bound_itself_and_nan_meets_nothing():
    below, upto, goodput = parse_objectives("ttft:p95<1s; e2e:mean<=1s; goodput{wait<1s}>=0.9")
    assert [below.met(value) for value in (0.999, 1.0, math.nan)] == [True, False, False]
    assert [upto.met(value) for value in (1.0, 1.001, math.nan)] == [True, False, False]
    assert [goodput.met(value) for value in (0.9, 0.899, math.nan)] == [True, False, False]


def test_the_quantile_is_a_share_and_the_mean_has_none():
    p999, mean = parse_objectives("ttft:p99.9<1s; ttft:mean<1s")
    assert p999.quantile == pytest.approx(0.999)
    assert mean.quantile is None
