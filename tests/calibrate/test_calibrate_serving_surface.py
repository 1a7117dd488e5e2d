"""The response surface: it finds a minimum where derivatives over small steps are noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.serving.coefficients import Bounds, Prior
from calibrate.serving.fit import fit
from calibrate.serving.problem import problem_of
from calibrate.serving.surface import SPREADS, cost, explore
from planner.catalog.catalogue import find_device
from planner.catalog.profile import load_profile

DEVICE = find_device("H100-SXM-80GB")
ASSUMED = load_profile("assumed")
TRUTH = {"compute_efficiency": 0.6, "storage_efficiency": 0.5}
START = {"compute_efficiency": 0.2, "storage_efficiency": 0.9}
WIDTHS = {"compute_efficiency": 1.0, "storage_efficiency": 0.5}
LIMITS = {"compute_efficiency": Bounds(0.05, 0.95), "storage_efficiency": Bounds(0.1, 0.97)}


@dataclass(frozen=True)
class Jumpy:
    """A made-up engine whose times jump by up to 5 % wherever a coefficient moves by 0.1 %."""

    share: float

    name = "jumpy"
    groups = {}  # noqa: RUF012 - a constant
    spread = {}  # noqa: RUF012

    @property
    def measured(self):
        return {"e2e.mean": 0.01 * sum(s / e for s, e in zip(self.shares, TRUTH.values()))}  # noqa: B905

    @property
    def shares(self):
        return self.share, 1 - self.share

    def predict(self, profile):
        values = [profile.coefficient(name, DEVICE).value for name in TRUTH]
        exact = 0.01 * sum(s / e for s, e in zip(self.shares, values, strict=True))
        jump = 0.05 * np.sin(sum(1e4 * np.log(value) for value in values))
        return {"e2e.mean": exact * (1 + jump)}


ENGINES = [Jumpy(share) for share in np.linspace(0.05, 0.95, 20)]


def problem():
    names = list(START)
    prior = Prior(np.log(list(START.values())), np.array([WIDTHS[name] for name in names]))
    return problem_of(ENGINES, ASSUMED, START, LIMITS, tolerance=0.1, prior=prior, rounds=1)


def test_it_comes_near_the_truth_from_starts_from_which_derivatives_do_not():
    off = []
    for one, other in [(0.2, 0.9), (0.1, 0.3), (0.9, 0.2), (0.07, 0.15)]:
        start = {"compute_efficiency": one, "storage_efficiency": other}
        found = fit(ENGINES, ASSUMED, values=start, widths=WIDTHS, rounds=1, spreads=SPREADS)
        assert found.values == pytest.approx(TRUTH, rel=0.1)
        blind = fit(ENGINES, ASSUMED, values=start, widths=WIDTHS, rounds=10)
        off += [abs(blind.values[name] / TRUTH[name] - 1) for name in TRUTH]
    assert max(off) > 0.4


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.floats(0.1, 0.97))
def test_the_best_point_is_within_bounds_and_never_worse_than_the_start(seed, one, other):
    each = problem()
    x = np.log([one, other])
    before = cost(each, x, each.residuals(x))
    best = explore(each, x, SPREADS[:2], seed)
    assert (each.low <= best).all()
    assert (best <= each.high).all()
    assert cost(each, best, each.residuals(best)) <= before


def test_a_round_simulates_two_points_more_than_there_are_coefficients():
    each = problem()
    explore(each, np.log(list(START.values())), SPREADS)
    assert each.evaluations == 1 + len(SPREADS) * (len(START) + 2)


def test_the_same_seed_gives_the_same_point():
    x = np.log(list(START.values()))
    one, other = (explore(problem(), x, SPREADS, 5) for _ in range(2))
    assert (one == other).all()
