"""The fit of coefficients to end-to-end results, on results whose coefficients are known."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from command_line import is_progress

from calibrate.serving.fit import Bounds, cross_validate, fit, with_values
from planner.catalog.catalogue import find_device
from planner.catalog.profile import load_profile
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICE = find_device("H100-SXM-80GB")
TRUTH = {"compute_efficiency": 0.55, "storage_efficiency": 0.7, "overhead_fixed": 2e-3}
START = {"compute_efficiency": 0.3, "storage_efficiency": 0.9, "overhead_fixed": 5e-3}


@dataclass(frozen=True)
class Engine:
    """A made-up engine: a prompt takes compute, a token storage, both an overhead."""

    compute_s: float
    storage_s: float
    noise: tuple[float, float] = (0.0, 0.0)
    group: str = "a"
    spread: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.compute_s} {self.storage_s}"

    @property
    def groups(self):
        return {"model": self.group}

    @property
    def measured(self):
        exact = self.predict(with_values(load_profile("assumed"), TRUTH))
        return {
            metric: value * np.exp(error)
            for (metric, value), error in zip(exact.items(), self.noise, strict=True)
        }

    def predict(self, profile):
        value = {name: profile.coefficient(name, DEVICE).value for name in TRUTH}
        return {
            "ttft.mean": self.compute_s / value["compute_efficiency"] + value["overhead_fixed"],
            "tpot.mean": self.storage_s / value["storage_efficiency"] + value["overhead_fixed"],
        }


def engines(n, sigma=0.0, seed=0, outliers=0):
    rng = np.random.default_rng(seed)
    times = rng.uniform(1e-3, 2e-2, size=(n, 2))
    noise = rng.normal(0, sigma, size=(n, 2)) if sigma else np.zeros((n, 2))
    noise[:outliers] = 1.5
    return [
        Engine(*map(float, row), tuple(map(float, errors)), group=f"m{k % 4}")
        for k, (row, errors) in enumerate(zip(times, noise, strict=True))
    ]


def test_exact_results_give_back_the_coefficients_that_made_them():
    told = []
    found = fit(engines(12), load_profile("assumed"), values=START, progress=told.append)
    assert is_progress(told, found.evaluations)
    assert found.values == pytest.approx(TRUTH, rel=1e-4)
    assert max(abs(row.error) for row in found.rows) < 1e-4


def test_a_few_runs_that_nothing_describes_bend_the_fit_little():
    bent = engines(40, outliers=3)
    found = fit(bent, load_profile("assumed"), values=START)
    squares = fit(bent, load_profile("assumed"), values=START, tolerance=100.0)
    assert found.values == pytest.approx(TRUTH, rel=0.08)
    assert squares.values != pytest.approx(TRUTH, rel=0.15)


def test_standard_errors_cover_the_truth_as_often_as_they_should():
    inside = total = 0
    for seed in range(40):
        found = fit(engines(30, 0.05, seed), load_profile("assumed"), values=START)
        for name, value in found.values.items():
            total += 1
            inside += abs(value - TRUTH[name]) < 2 * found.stderr[name]
    assert 0.86 < inside / total < 0.995


def test_predictions_are_as_sure_as_the_covariance_says():
    """An efficiency too high comes with an overhead too high: their errors cancel in a step."""
    joint, separate = [], []
    for seed in range(40):
        found = fit(engines(30, 0.05, seed), load_profile("assumed"), values=START)
        names, matrix = found.covariance.names, np.array(found.covariance.matrix)
        assert found.stderr == pytest.approx(dict(zip(names, np.diag(matrix) ** 0.5, strict=True)))
        moved = {name: found.values | {name: 1.0001 * found.values[name]} for name in names}
        here = request_s(found.values)
        slope = [(request_s(moved[k]) - here) / (1e-4 * found.values[k]) for k in names]
        off = here - request_s(TRUTH)
        joint.append(off / np.sqrt(slope @ matrix @ slope))
        separate.append(off / np.sqrt(np.square(slope) @ np.diag(matrix)))
    assert 0.75 < np.std(joint) < 1.35
    assert np.std(separate) < 0.75


def request_s(values):
    """Return what a prompt and a token of the made-up engine take together."""
    profile = with_values(load_profile("assumed"), values)
    return sum(Engine(0.01, 0.01).predict(profile).values())


def test_a_profile_has_the_covariance_of_its_fit():
    found = fit(engines(12, 0.05), load_profile("assumed"), values=START)
    made = found.profile("mine", dt.date(2026, 1, 1), "a test")
    assert made.covariance == found.covariance
    assert set(made.covariance.names) == set(START)
    for name, error in found.stderr.items():
        assert made.coefficients[name].stderr == error


def test_errors_of_coefficients_found_before_are_told_without_a_search():
    results, start = engines(30, 0.05), load_profile("assumed")
    searched = fit(results, start, values=START)
    told = fit(results, start, values=START, found=searched.values)
    assert told.values == pytest.approx(searched.values)
    assert told.stderr == pytest.approx(searched.stderr, rel=1e-3)
    assert np.array(told.covariance.matrix) == pytest.approx(
        np.array(searched.covariance.matrix), rel=1e-2
    )
    assert told.evaluations == 1 + len(START) < searched.evaluations
    elsewhere = {name: 1.2 * value for name, value in searched.values.items()}
    assert fit(results, start, values=START, found=elsewhere).values == pytest.approx(elsewhere)


def test_a_coefficient_at_its_bound_is_named_and_has_no_standard_error():
    bounds = {"storage_efficiency": Bounds(0.75, 0.97)}
    start = {**START, "storage_efficiency": 0.9}
    found = fit(engines(12), load_profile("assumed"), bounds, values=start)
    assert found.at_bound == ["storage_efficiency"]


def test_a_metric_that_repeats_do_not_agree_on_counts_less():
    wrong = [Engine(5e-3, 5e-3, (0.0, 0.3)) for _ in range(6)]
    noisy = [
        Engine(each.compute_s, each.storage_s, each.noise, spread={"tpot.mean": 2.0})
        for each in wrong
    ]
    plain = fit([*engines(8), *wrong], load_profile("assumed"), values=START)
    wiser = fit([*engines(8), *noisy], load_profile("assumed"), values=START)
    for name, truth in TRUTH.items():
        assert abs(wiser.values[name] - truth) < abs(plain.values[name] - truth)


def test_a_group_left_out_is_predicted_by_the_others():
    whole = fit(engines(12), load_profile("assumed"), values=START)
    found = cross_validate(engines(12), whole, "model")
    assert sorted(found) == ["m0", "m1", "m2", "m3"]
    assert [len(rows) for rows in found.values()] == [6, 6, 6, 6]
    assert max(abs(row.error) for rows in found.values() for row in rows) < 1e-4


def test_cross_validation_does_not_see_the_group_it_predicts():
    # every group measured 30 % longer than the one before: whoever saw it would be nearer
    slower = [
        Engine(each.compute_s, each.storage_s, (0.3 * int(each.group[1]),) * 2, each.group)
        for each in engines(24)
    ]
    alone = [each for each in slower if each.group != "m3"]
    left = [each for each in slower if each.group == "m3"]
    whole = fit(slower, load_profile("assumed"), values=START)
    found = cross_validate(slower, whole, "model", rounds=20)
    values = fit(alone, load_profile("assumed"), values=START).values
    profile = with_values(load_profile("assumed"), values)
    expected = [each.predict(profile)["ttft.mean"] for each in left]
    predicted = [row.predicted for row in found["m3"] if row.metric == "ttft.mean"]
    assert predicted == pytest.approx(expected, rel=0.01)


def test_fitted_coefficients_replace_those_of_the_device_too():
    profile = with_values(load_profile("assumed"), TRUTH)
    assert profile.coefficient("compute_efficiency", DEVICE).value == 0.55


@pytest.mark.parametrize(
    ("chosen", "values", "message"),
    [
        (engines(1), START, "more measured metrics than coefficients"),
        (engines(4), {**START, "overhead_fixed": 3.0}, "overhead_fixed must begin from"),
    ],
)
def test_what_cannot_be_fitted_is_refused(chosen, values, message):
    with pytest.raises(InputError, match=message):
        fit(chosen, load_profile("assumed"), values=values)


def test_what_the_results_do_not_tell_stays_where_the_prior_has_it():
    silent = {**START, "link_latency": 3e-6}
    found = fit(engines(12), load_profile("assumed"), values=silent, widths={"link_latency": 0.5})
    assert found.values["link_latency"] == pytest.approx(3e-6, rel=1e-6)
    assert found.values["overhead_fixed"] == pytest.approx(2e-3, rel=1e-3)
    assert found.stderr["link_latency"] == pytest.approx(0.5 * 3e-6, rel=0.1)  # the prior's width


def test_a_prior_weighs_as_much_as_one_metric():
    few, many = engines(3), engines(60)
    widths = dict.fromkeys(START, 0.1)
    drawn = [
        fit(each, load_profile("assumed"), values=START, widths=widths) for each in (few, many)
    ]
    off = [abs(each.values["compute_efficiency"] / 0.55 - 1) for each in drawn]
    assert off[1] < off[0] / 2


def test_groups_that_are_all_one_cannot_be_left_out():
    same = [Engine(each.compute_s, each.storage_s) for each in engines(4)]
    whole = fit(same, load_profile("assumed"), values=START)
    with pytest.raises(InputError, match="at least two groups"):
        cross_validate(same, whole, "model")


def test_a_group_by_itself_has_the_errors_of_its_rows():
    """Drawn whole, the one group would be drawn every time, without any spread."""
    some = [replace(each, group="a") for each in engines(40, sigma=0.05, seed=3)]
    start = load_profile("assumed")
    alone = fit(some, start, values=START, cluster="model").stderr
    rows = fit(some, start, values=START).stderr
    assert alone == rows
    assert all(error > 1e-4 * START[name] for name, error in alone.items())
