"""Probabilities: what they are in the limit, and how often they are right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalogue import find_device
from planner.catalog.profile import Covariance, load_profile
from planner.planning.probability import Tally, joint, merged
from planner.planning.uncertainty import changed_profile, draws, errors


def test_a_share_far_from_what_is_allowed_is_sure():
    few = Tally((1.0, 2.0, 1.0, 0.0, 1.0), (1000.0,) * 5, 0.05, neighbours=False)
    many = Tally((90.0, 80.0, 95.0, 85.0, 99.0), (1000.0,) * 5, 0.05, neighbours=False)
    assert few.probability() > 0.99
    assert many.probability() < 0.01


def test_a_share_that_equals_what_is_allowed_is_even():
    even = Tally((40.0, 60.0, 55.0, 45.0, 50.0), (1000.0,) * 5, 0.05, neighbours=False)
    assert even.probability() == pytest.approx(0.5)


def test_no_miss_seen_in_few_requests_is_not_none():
    few = Tally((0.0,) * 5, (4.0,) * 5, 0.05, neighbours=False)
    assert 0.3 < few.probability() < 0.95


def test_one_unit_says_nothing():
    assert Tally((1.0,), (100.0,), 0.05).probability() == 0.5


def test_a_mean_of_unfinished_requests_is_not_met():
    late = Tally((float("inf"),) * 5, (10.0,) * 5, 1.0, is_mean=True)
    assert late.probability() == 0.0


def test_shifts_that_add_misses_lower_the_probability():
    tally = Tally((30.0, 35.0, 28.0, 33.0, 31.0), (1000.0,) * 5, 0.05, neighbours=False)
    plain, shifted = tally.probability(), tally.probability([0.0, 0.03])
    assert plain > 0.99
    assert shifted == pytest.approx((plain + 0.0) / 2, abs=0.02)


@given(share=st.floats(0.01, 0.3), spread=st.floats(0.001, 0.3), looser=st.floats(0.0, 0.3))
def test_a_looser_bound_is_never_less_likely(share, spread, looser):
    bad = tuple(1000 * share * (1 + spread * k) for k in (-1, -0.5, 0, 0.5, 1))
    tight = Tally(bad, (1000.0,) * 5, share, neighbours=False)
    loose = Tally(bad, (1000.0,) * 5, min(0.99, share + looser), neighbours=False)
    assert loose.probability() >= tight.probability() - 1e-12


def test_probabilities_are_right_as_often_as_they_say():
    """Of binomial counts with known shares, those stated at 0.95 or more are met in 95 %."""
    rng = np.random.default_rng(3)
    stated = right = 0
    for _ in range(4000):
        true = rng.uniform(0.02, 0.08)
        level = rng.gamma(20, true / 20, size=5).clip(0, 1)
        bad = tuple(rng.binomial(2000, level).astype(float))
        probability = Tally(bad, (2000.0,) * 5, 0.05, neighbours=False).probability()
        if 0.9 < probability < 0.999:
            stated += probability
            right += true <= 0.05
    assert right >= 0.98 * stated


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_all_together_are_no_likelier_than_the_least(probabilities):
    assert 0 <= joint(probabilities) <= min(probabilities) + 1e-12


def test_few_replications_are_cut_into_blocks_and_many_are_units():
    runs = [Tally((1.0, 2.0), (10.0, 20.0), 0.1), Tally((3.0, 4.0), (30.0, 40.0), 0.1)]
    assert merged(runs, by_unit=True).bad == (1.0, 2.0, 3.0, 4.0)
    assert merged(runs, by_unit=False).total == (30.0, 70.0)


def with_errors(**share):
    profile = load_profile("assumed")
    coefficients = {
        name: each.model_copy(update={"stderr": each.value * share.get(name, 0.0) or None})
        for name, each in profile.coefficients.items()
    }
    return profile.model_copy(update={"coefficients": coefficients})


def test_draws_have_the_errors_and_the_covariance_of_the_profile():
    profile, device = with_errors(overhead_fixed=0.1, storage_efficiency=0.05), find_device("L4")
    value = {name: each.value for name, each in profile.coefficients.items()}
    a, b = 0.1 * value["overhead_fixed"], 0.05 * value["storage_efficiency"]
    covariance = Covariance(
        names=("overhead_fixed", "storage_efficiency"),
        matrix=((a * a, -0.9 * a * b), (-0.9 * a * b, b * b)),
    )
    profile = profile.model_copy(update={"covariance": covariance})
    rows = [dict(each) for each in draws(profile, device, seed=5, count=4000)]
    fixed = np.array([row["overhead_fixed"] for row in rows])
    storage = np.array([row["storage_efficiency"] for row in rows])
    assert fixed.mean() == pytest.approx(1, abs=1e-12)  # each draw has its mirror image
    assert fixed.std() == pytest.approx(0.1, rel=0.05)
    assert storage.std() == pytest.approx(0.05, rel=0.05)
    assert np.corrcoef(fixed, storage)[0, 1] == pytest.approx(-0.9, abs=0.03)


def test_a_profile_without_errors_has_no_draws():
    profile = load_profile("assumed")
    assert errors(profile, find_device("L4")) == {}
    assert draws(profile, find_device("L4"), 1) == []


def test_changed_coefficients_stay_possible():
    changed = changed_profile(
        load_profile("assumed"), {"storage_efficiency": 3.0, "overlap": 0.1, "overhead_fixed": 2.0}
    )
    assert changed.coefficients["storage_efficiency"].value == 1.0
    assert changed.coefficients["overlap"].value == 1.0
    assert changed.coefficients["overhead_fixed"].value == pytest.approx(0.0018)
