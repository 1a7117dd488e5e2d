"""Probabilities: what they are in the limit, and how often they are right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalogue import find_device
from planner.catalog.coefficients import Covariance
from planner.catalog.profile import load_profile
from planner.planning.answer import FEW
from planner.planning.found import edge_of
from planner.planning.probability import Tally, joint, merged
from planner.planning.uncertainty import changed_profile, draws, errors


def test_a_share_far_from_what_is_allowed_is_sure():
    few = Tally((1.0, 2.0, 1.0, 0.0, 1.0), (1000.0,) * 5, 0.05, neighbours=False)
    many = Tally((90.0, 80.0, 95.0, 85.0, 99.0), (1000.0,) * 5, 0.05, neighbours=False)
    assert few.probability() > 0.99
    assert many.probability() < 0.01


def test_a_share_that_equals_what_is_allowed_is_even():
    even = Tally((40.0, 60.0, 55.0, 45.0, 50.0), (1000.0,) * 5, 0.05, neighbours=False)
    assert even.probability() == pytest.approx(0.5, abs=0.02)


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


ALLOWED, COUNT, WARM_UP = 0.01, 3000, 1500


def waits(load, windows, seed=4):
    """Return waits for one server, by Lindley's recursion, shape ``(COUNT, windows)``."""
    rng = np.random.default_rng(seed)
    wait, found = np.zeros(windows), np.empty((COUNT, windows))
    for k in range(-WARM_UP, COUNT):
        wait += rng.exponential(1.0, windows) - rng.exponential(1 / load, windows)
        np.maximum(wait, 0, out=wait)
        if k >= 0:
            found[k] = wait
    return found


def tallied(wait, bound, allowed=ALLOWED):
    """Return one tally of the waits in each column, in thirty blocks."""
    at, size = np.arange(COUNT), COUNT // 30
    for column in wait.T:
        bad = tuple((column > bound).reshape(30, size).sum(axis=1).astype(float))
        yield Tally(bad, (float(size),) * 30, allowed, edge=edge_of(column, at, allowed))


@pytest.mark.parametrize(
    ("load", "misses", "most"),
    [(0.5, 1.05, 0.13), (0.8, 1.05, 0.14), (0.8, 3, 0.04), (0.9, 1.05, 0.07), (0.9, 3, 0.06)],
)
def test_what_misses_is_seldom_taken_for_sure_even_where_no_miss_was_seen(load, misses, most):
    """Of stretches of a busy queue most have no miss: misses come together, and seldom."""
    wait = waits(load, 300)
    bound = np.quantile(wait, 1 - misses * ALLOWED)
    stated = [each.probability() for each in tallied(wait, bound)]
    assert np.mean(np.array(stated) >= 0.95) <= most


@pytest.mark.parametrize(("load", "allowed"), [(0.5, 0.01), (0.5, 0.05), (0.7, 0.05), (0.8, 0.05)])
def test_of_what_is_stated_as_likely_as_much_is_met(load, allowed):
    """Bounds at random, by which a tenth to three times of what is allowed is missed."""
    rng, wait, stated, right = np.random.default_rng(5), waits(load, 300, seed=6), [], []
    for misses in np.exp(rng.uniform(np.log(0.1), np.log(3), size=40)):
        bound = np.quantile(wait, 1 - misses * allowed)
        some = wait[:, rng.integers(300, size=20)]
        likely = [p for p in (t.probability() for t in tallied(some, bound, allowed)) if p >= 0.9]
        stated += likely
        right += [misses <= 1] * len(likely)
    assert len(right) > 200
    assert np.mean(right) >= np.mean(stated) - 0.02


def test_where_probabilities_are_overstated_few_independent_misses_are_allowed():
    """Of a busy queue's p99; not of its p95, nor of an idle one's p99."""

    def allowed(load, share):
        wait = waits(load, 100, seed=6)
        bound = np.quantile(wait, 1 - share / 2)
        found = [t.may_miss for t in tallied(wait, bound, share) if t.probability() >= 0.9]
        return np.median(found)

    assert max(allowed(0.7, 0.01), allowed(0.8, 0.01)) < FEW
    assert min(allowed(0.5, 0.01), allowed(0.7, 0.05), allowed(0.8, 0.05)) > FEW


def test_independent_requests_without_a_miss_are_surer_than_those_that_come_together():
    rng = np.random.default_rng(8)
    apart = rng.exponential(1.0, COUNT)
    together = np.repeat(rng.exponential(1.0, COUNT // 100), 100)
    chances = [next(tallied(each[:, None], 100.0)).probability() for each in (apart, together)]
    assert chances[0] > 0.999
    assert chances[1] < 0.6


def test_a_short_trace_without_a_miss_is_sure_where_its_requests_are_independent():
    """Few blocks of time do not hide that its latencies do not come together."""
    values = np.random.default_rng(9).exponential(1.0, COUNT)
    edge = edge_of(values, np.arange(COUNT), 0.05)
    for blocks in (4, 8, 30):
        tally = Tally((0.0,) * blocks, (COUNT / blocks,) * blocks, 0.05, edge=edge)
        assert tally.probability() > 0.99


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
