from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from planner import units
from planner.units import FROM_FILE, Quantity

QUANTITIES = [each for each in vars(units).values() if isinstance(each, Quantity)]
FINITE = st.floats(min_value=0, allow_nan=False, allow_infinity=False)

any_quantity = st.sampled_from(QUANTITIES)


@given(any_quantity, FINITE)
def test_what_a_quantity_writes_it_reads_back_to_the_last_bit(quantity, value):
    assert quantity.parse(quantity.text(value)) == value


@given(st.data(), any_quantity, FINITE)
def test_a_number_with_a_unit_is_the_number_times_the_unit(data, quantity, number):
    unit = data.draw(st.sampled_from(sorted(quantity.units)))
    space = data.draw(st.sampled_from(["", " ", "  "]))
    text = f" {quantity.prefix}{space}{number!r}{space}{unit} "
    assert quantity.parse(text) == number * quantity.units[unit]


@given(any_quantity, FINITE)
def test_what_a_quantity_writes_matches_the_pattern_of_its_schema(quantity, value):
    assert re.search(quantity.schema()["pattern"], quantity.text(value))


@given(any_quantity, st.text(max_size=12))
def test_any_text_is_either_a_quantity_or_a_clear_error(quantity, text):
    try:
        value = quantity.parse(text)
    except PydanticCustomError as error:
        value, message = None, str(error)
    if value is None:
        assert message.startswith(f"must be {quantity.name} with a unit, got ")
    else:
        assert re.search(quantity.schema()["pattern"], text)


@pytest.mark.parametrize(
    ("quantity", "text", "value"),
    [
        (units.DURATION, "500ms", 0.5),
        (units.DURATION, "20 min", 1200.0),
        (units.DURATION, "10 d", 864_000.0),
        (units.DURATION, "1_000 us", 1e-3),
        (units.RATE, "12 req/s", 12.0),
        (units.RATE, "30 req/min", 0.5),
        (units.SIZE, "80GiB", 85_899_345_920.0),
        (units.SIZE, "80 GB", 80e9),
        (units.BANDWIDTH, "3.35 TB/s", 3.35e12),
        (units.BANDWIDTH, "8 Gbit/s", 1e9),
        (units.COMPUTE, "989 TFLOP/s", 989e12),
        (units.PRICE, "$2.5/h", 2.5),
        (units.PRICE, "$48 /d", 2.0),
        (units.POWER, "0.7 kW", 700.0),
    ],
)
def test_spellings(quantity, text, value):
    assert quantity.parse(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("quantity", "value", "message"),
    [
        (
            units.DURATION, 500,
            "must be a duration with a unit, got 500; write '500 ms' or '500 s'",
        ),
        (
            units.DURATION, "500",
            "must be a duration with a unit, got '500'; write '500 ms' or '500 s'",
        ),
        (units.PRICE, 2.5, "must be a price with a unit, got 2.5; write '$2.5/h' or '$2.5/month'"),
        (
            units.POWER, "3 watt",
            "must be a power with a unit, got '3 watt'; 'watt' is no unit of it; known: W, kW",
        ),
        (
            units.RATE, "often",
            "must be a rate with a unit, got 'often'; write for instance '1 req/s'",
        ),
        (
            units.SIZE, True,
            "must be a size in bytes with a unit, got True; write for instance '1 GiB'",
        ),
        (
            units.DURATION, None,
            "must be a duration with a unit, got None; write for instance '1 ms'",
        ),
    ],
)  # fmt: skip
def test_messages_show_how_to_write_it(quantity, value, message):
    with pytest.raises(PydanticCustomError) as caught:
        quantity.parse(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        (units.DURATION, 0.02, "20 ms"),
        (units.DURATION, 0.5, "0.5 s"),
        (units.DURATION, 60, "60 s"),
        (units.DURATION, 3600, "1 h"),
        (units.SIZE, 80 * 2**30, "80 GiB"),
        (units.PRICE, 2.5, "$2.5/h"),
        (units.BANDWIDTH, 2e9, "2 GB/s"),
        (units.DURATION, 1 / 3, "0.3333333333333333 s"),
    ],
)
def test_a_quantity_is_written_short(quantity, value, text):
    assert quantity.text(value) == text


@pytest.mark.parametrize(
    "annotation", [units.Duration, units.PositiveDuration, units.Rate, units.RateOrZero, units.Size,
                   units.Bandwidth, units.ComputeRate, units.Price, units.Power],
)  # fmt: skip
def test_a_bare_number_is_si_in_python_and_refused_in_a_file(annotation):
    adapter = TypeAdapter(annotation)
    assert adapter.validate_python(3) == 3.0
    with pytest.raises(ValidationError, match=r"with a unit, got 3; write '\$?3.*' or '\$?3.*'"):
        adapter.validate_python(3, context=FROM_FILE)


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (units.Duration, ["0 s", "1 s"], ["-1 s"]),
        (units.Size, ["1 B", "1000 TB"], ["0 B", "1e30 GiB"]),
        (units.SizeOrZero, ["0 B"], ["-1 B", "1e30 GiB"]),
        (units.PositiveDuration, ["1 ns"], ["0 s", "-1 s"]),
        (units.Rate, ["1 /h"], ["0 req/s"]),
        (units.RateOrZero, ["0 req/s"], ["-1 req/s"]),
        (units.Fraction, [0, 1, "5%", "100 %"], [-0.1, 1.1, "101%", "x"]),
        (units.PositiveFraction, [0.1, 1], [0, "0%"]),
        (units.OpenFraction, [0.1, "99.9%"], [0, 1]),
        (units.Count, [1, 10**6], [0, 1.0, True, "3"]),
        (units.CountOrZero, [0], [-1, False]),
    ],
)
def test_bounds(annotation, good, bad):
    adapter = TypeAdapter(annotation)
    for value in good:
        adapter.validate_python(value, context=FROM_FILE)
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value, context=FROM_FILE)


@pytest.mark.parametrize("annotation", [units.Duration, units.Size, units.Bandwidth])
def test_a_whole_number_beyond_floats_is_refused_in_python(annotation):
    with pytest.raises(ValidationError):
        TypeAdapter(annotation, config={"allow_inf_nan": False}).validate_python(10**400)


def test_a_percentage_is_a_share():
    assert TypeAdapter(units.Fraction).validate_python("5%") == 0.05
