"""Axes of a sweep: what `--vary` reads, and what it refuses."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.planning.vary import Range, parse_vary, resolve


def axis(text, accepts=lambda _text: False):
    return resolve(*parse_vary(text), accepts, text)


def data(text, accepts=lambda _text: False):
    return [each.data for each in axis(text, accepts).choices]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1:4", [1, 2, 3, 4]),
        ("a=1:8:3", [1, 4, 7]),
        ("a=0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("a=3:1:-1", [3, 2, 1]),
        ("a=5:5", [5]),
        ("a=1:3,2:5,8", [1, 2, 3, 4, 5, 8]),
        ("a=bf16, fp8", ["bf16", "fp8"]),
        ("a=true,null,'1:2',\"x,y\"", [True, None, "1:2", "x,y"]),
        ("a=[1, 2],{kind: random}", [[1, 2], {"kind": "random"}]),
        ("a=ttft:p95<1s", ["ttft:p95<1s"]),
        ("a=1e2:3e2:1e2", [100, 200, 300]),
        ("a=1,1.0,1", [1, 1.0]),
    ],
)
def test_values_are_read(text, values):
    assert data(text) == values


def test_a_unit_is_taken_out_of_the_numbers_and_written_back():
    found = axis("traffic.duration=1:2:0.5 min")
    assert [each.text for each in found.choices] == ["1 min", "1.5 min", "2 min"]
    assert [each.data for each in found.choices] == [1, 1.5, 2]
    assert (found.unit, found.numeric) == ("min", True)
    priced = axis("fleet.price=$1/h:$2/h")
    assert [each.text for each in priced.choices] == ["$1/h", "$2/h"]
    assert priced.unit == "$/h"


def test_different_units_stay_in_the_values():
    found = axis("a=90 s,2 min")
    assert ([each.data for each in found.choices], found.unit) == (["90 s", "2 min"], "")
    assert not found.numeric


def test_what_the_key_takes_as_text_is_no_range():
    assert data("pattern=none,2:4", accepts=lambda text: text == '"2:4"') == ["none", "2:4"]


def test_a_bare_number_is_a_rate_only_where_the_key_wants_one():
    wants = axis("rate=1:3", accepts=lambda text: text.endswith("req/s"))
    assert [each.text for each in wants.choices] == ["1 req/s", "2 req/s", "3 req/s"]
    assert wants.unit == "req/s"
    takes = axis("replicas=1:3", accepts=lambda text: text.isdigit())
    assert [each.text for each in takes.choices] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must read key=values"),
        ("replicas", "must read key=values"),
        ("=1", "must read key=values"),
        ("a..b=1", "must read key=values"),
        ("a=", "must be values separated by commas"),
        ("a=1,,2", "must be values separated by commas"),
        ("a=3:1", "that its step leads along"),
        ("a=1:3:0", "that its step leads along"),
        ("a=1 s:3 min", "must have one unit in a range, got min and s"),
        ("a=[1", "put the value in quotes"),
        ("a={b: 1, b: 2}", "b"),
    ],
)
def test_what_cannot_be_read_says_why(text, message):
    with pytest.raises(InputError) as refused:
        axis(text)
    assert message in str(refused.value)
    assert f"--vary {text}" in str(refused.value) or text in str(refused.value)


@given(
    first=st.integers(-100, 100), steps=st.integers(0, 50), step=st.sampled_from(["0.1", "1", "-3"])
)
def test_a_range_holds_both_ends_exactly(first, steps, step):
    last = first + steps * Decimal(step)
    (found,) = parse_vary(f"a={first}:{last}:{step}")[1]
    assert found.size == steps + 1
    assert [Decimal(each) for each in found.texts()] == [
        first + k * Decimal(step) for k in range(steps + 1)
    ]


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        key, items = parse_vary(text)
    except InputError:
        return
    assert key
    assert items
    for item in items:
        assert item.size >= 1 if isinstance(item, Range) else item


@given(text=st.text(alphabet="0123456789.:,-+eE $/hs%'\"[]{}", max_size=30))
def test_any_range_is_read_or_refused_without_being_made(text):
    try:
        _key, items = parse_vary("a=" + text)
    except InputError:
        return
    for item in items:
        if isinstance(item, Range):
            assert item.size >= 1
            assert math.isfinite(float(item.first))
