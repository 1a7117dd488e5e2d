"""The equation as written."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.latency.stages import Constant, Exponential, Gamma, Stage, StagePart
from planner.latency.step import step_coefficients, step_parts
from planner.units import FROM_FILE

times = st.floats(0, 1e3).filter(lambda t: t == 0 or t > 1e-9)
parts = st.builds(StagePart, time=times, degree=st.integers(1, 64), speedup=st.floats(0.1, 10))


def article(*, degrees=(1, 1, 1), speedups=(1, 1, 1)):
    """Return the article's stage; its milliseconds as seconds, which floats hold exactly."""
    compute, storage, transfer = (
        StagePart(time=t, degree=p, speedup=a)
        for t, p, a in zip((10.0, 5.0, 3.0), degrees, speedups, strict=True)
    )
    return Stage(name="article", compute=compute, storage=storage, transfer=transfer)


def test_the_articles_example_takes_18_before_any_optimisation():
    assert article().total() == 18.0


def test_the_articles_example_takes_2_with_half_the_weights_pruned_and_8_4_4_units():
    stage = article(degrees=(8, 4, 4), speedups=(2, 2, 1))
    assert stage.parts() == (0.625, 0.625, 0.75, 0.0)
    assert stage.total() == 2.0


def test_the_article_as_typed_doubles_the_work_and_takes_5_75():
    stage = article(degrees=(8, 4, 4), speedups=(0.5, 0.5, 1))
    assert stage.parts() == (2.5, 2.5, 0.75, 0.0)
    assert stage.total() == 5.75


def test_the_article_as_printed_leaves_the_pruning_out_and_takes_3_25():
    stage = article(degrees=(8, 4, 4))
    assert stage.parts() == (1.25, 1.25, 0.75, 0.0)
    assert stage.total() == 3.25


@given(compute=parts, storage=parts, transfer=parts, overhead=st.floats(1e-6, 10))
def test_the_total_is_the_equation_in_exact_arithmetic(compute, storage, transfer, overhead):
    stage = Stage(name="s", compute=compute, storage=storage, transfer=transfer, overhead=overhead)
    exact = Fraction(overhead) + sum(
        Fraction(p.time) / (Fraction(p.speedup) * p.degree) for p in (compute, storage, transfer)
    )
    assert stage.total() == pytest.approx(float(exact), rel=1e-14)


@given(stage=st.builds(Stage, name=st.just("s"), compute=parts, storage=parts, transfer=parts,
                       overhead=st.floats(1e-6, 10)))  # fmt: skip
def test_a_step_without_overlap_is_the_stage_with_the_same_coefficients(stage):
    compute, storage, transfer, overhead = stage.parts()
    coefficients = step_coefficients(
        compute_per_token=compute,
        storage_fixed=storage,
        transfer_fixed=transfer,
        overhead_fixed=overhead,
        overlap=1,
    )
    one_token = step_parts(coefficients[0], 1, 1, 1, 1, 1, 1, 1, 0)
    assert one_token == pytest.approx(stage.parts(), rel=1e-12)


@given(compute=parts, storage=parts, transfer=parts)
def test_a_pool_takes_the_time_of_one_unit_and_sustains_the_rate_of_all(compute, storage, transfer):
    common = {"compute": compute, "storage": storage, "transfer": transfer, "overhead": 1.0}
    split = Stage(name="s", parallel="split", **common)
    pool = Stage(name="s", parallel="pool", **common)
    for one, many, part in zip(
        split.station_times(), pool.station_times(), (compute, storage, transfer), strict=True
    ):
        assert many == pytest.approx(one * part.degree, rel=1e-14)
    assert split.servers() == (1, 1, 1)
    assert pool.servers() == (compute.degree, storage.degree, transfer.degree)
    assert pool.saturation_rate() == pytest.approx(split.saturation_rate(), rel=1e-14)


def test_the_slowest_station_sets_the_saturation_rate():
    stage = article(degrees=(8, 4, 4), speedups=(2, 2, 1))
    assert stage.saturation_rate() == 1 / 0.75
    assert Stage(name="delay", overhead=1.0).saturation_rate() == math.inf


@pytest.mark.parametrize("cv", [0.1, 0.5, 1.0, 2.0])
def test_factors_have_mean_one_and_the_cv_asked_for(cv):
    n = 200_000
    factors = Gamma(cv=cv).factors(n, np.random.default_rng(1))
    assert factors.shape == (n, 3)
    # Standard errors of the mean and of the variance of a gamma of shape cv**-2.
    np.testing.assert_allclose(factors.mean(axis=0), 1, atol=5 * cv / math.sqrt(n))
    error = cv**2 * math.sqrt((2 + 6 * cv**2) / n)
    np.testing.assert_allclose(factors.var(axis=0), cv**2, atol=5 * error)


def test_exponential_factors_have_an_exponentials_quantiles_and_constant_ones_are_one():
    factors = Exponential().factors(200_000, np.random.default_rng(1))
    for share in (0.5, 0.9, 0.99):
        expected = -math.log1p(-share)
        error = math.sqrt(share / (1 - share) / 200_000)
        np.testing.assert_allclose(np.quantile(factors, share, axis=0), expected, atol=5 * error)
    assert (Constant().factors(4, np.random.default_rng(1)) == np.ones((4, 3))).all()


@pytest.mark.parametrize("variability", [Exponential(), Gamma(cv=0.7), Gamma(cv=3)])
def test_a_request_draws_the_same_factors_however_many_follow(variability):
    few = variability.factors(10, np.random.default_rng(7))
    many = variability.factors(1000, np.random.default_rng(7))
    assert (few == many[:10]).all()


def test_a_stage_is_read_from_a_file_with_units():
    stage = Stage.model_validate(
        {
            "name": "encoder",
            "compute": {"time": "10 ms", "degree": 8, "speedup": 2},
            "overhead": "500us",
            "parallel": "pool",
            "variability": {"kind": "gamma", "cv": 0.5},
        },
        context=FROM_FILE,
    )
    assert stage.parts() == (0.005, 0.0, 0.0, pytest.approx(0.0005))
    assert Stage.model_validate_json(stage.model_dump_json(), context=FROM_FILE) == stage


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"compute": {"time": 10}}, "must be a duration with a unit, got 10; write '10 ms'"),
        ({"compute": {"time": "10 parsec"}}, "'parsec' is no unit of it"),
        ({"compute": {"time": "-1 ms"}}, "greater than or equal to 0"),
        ({"compute": {"time": "1 ms", "degree": 0}}, "greater than or equal to 1"),
        ({"compute": {"time": "1 ms", "degree": True}}, "valid integer"),
        ({"compute": {"time": "1 ms", "degree": 1.5}}, "integer"),
        ({"compute": {"time": "1 ms", "speedup": 0}}, "greater than 0"),
        ({"compute": {"time": "1 ms", "speedup": math.nan}}, "finite"),
        ({"compute": {"time": "1 ms", "speed_up": 2}}, "Extra inputs"),
        ({"compute": {}}, "Field required"),
        ({}, "must take a finite time > 0, got 0.0 s in all; give 'time' to at least one"),
        ({"overhead": "0 ms", "storage": {"time": "0 s"}}, "must take a finite time > 0"),
        ({"compute": {"time": "1e12 s", "speedup": 1e-300}}, "finite time > 0, got inf s"),
        ({"overhead": "1 ms", "parallel": "both"}, "'split' or 'pool'"),
        ({"overhead": "1 ms", "variability": {"kind": "gamma"}}, "Field required"),
        ({"overhead": "1 ms", "variability": {"kind": "gamma", "cv": 0}}, "greater than"),
        ({"overhead": "1 ms", "variability": {"kind": "normal"}}, "'exponential', 'gamma'"),
        ({"overhead": "1 ms", "name": ""}, "at least 1 character"),
    ],
)
def test_a_bad_stage_is_refused_with_the_reason(keys, message):
    with pytest.raises(ValidationError) as error:
        Stage.model_validate({"name": "s", **keys}, context=FROM_FILE)
    assert message in str(error.value)
