"""The fit: known coefficients come back, with standard errors that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import synthetic_steps as synthetic

from calibrate.fit.least_squares import fit_steps
from calibrate.fit.plots import plot_residuals
from calibrate.fit.profile import calibration_of
from calibrate.fit.report import fit_report
from calibrate.fit.show import measured_text
from calibrate.fit.speedups import speedups
from calibrate.fit.step_model import Sample, setting_keys
from calibrate.measure.journal import read_measurements
from calibrate.measure.points import StepPoint, quick_points, shuffled, spread
from calibrate.measure.records import LeftOut, StepRecord
from planner.catalog.profile import load_profile
from planner.errors import InputError
from planner.latency.model_step import step_time
from planner.latency.settings import Settings

EVERYTHING = synthetic.SHARED | synthetic.REREAD | synthetic.SPEEDUPS


def fitted(truth, noise, seed, **how):
    found = synthetic.samples(truth, noise, np.random.default_rng(seed), **how)
    return fit_steps(found, synthetic.SHAPE, synthetic.MACHINE, synthetic.BASE)


def test_without_noise_the_coefficients_come_back():
    fit = fitted(synthetic.SHARED, 0.0, 0)
    assert fit.values() == pytest.approx(synthetic.SHARED, rel=1e-4)
    assert np.abs(fit.errors).max() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_every_coefficient_and_speedup_is_recovered_within_three_standard_errors(seed):
    fit = fitted(EVERYTHING, 0.02, seed, variants=tuple(synthetic.VARIANTS))
    assert fit.estimates.keys() == EVERYTHING.keys()
    for name, each in fit.estimates.items():
        assert each.stderr is not None, name
        assert abs(each.value - EVERYTHING[name]) <= 3 * each.stderr, name
        assert each.stderr < 0.2 * abs(each.value), name


def test_standard_errors_are_right():
    """Two standard errors cover 95 % of the truths: 57 of 60, and fewer than 51 once in 1000."""
    rng = np.random.default_rng(20261125)
    inside = dict.fromkeys(synthetic.SHARED, 0)
    repeats = 60
    for _ in range(repeats):
        found = synthetic.samples(synthetic.SHARED, 0.03, rng, points=synthetic.POINTS[::3])
        fit = fit_steps(found, synthetic.SHAPE, synthetic.MACHINE, synthetic.BASE)
        for name, truth in synthetic.SHARED.items():
            each = fit.estimates[name]
            inside[name] += each.stderr is not None and abs(each.value - truth) <= 2 * each.stderr
    for name, count in inside.items():
        assert 51 <= count <= repeats, (name, inside)


def test_kernels_that_read_weights_again_are_found_only_where_there_are_some():
    assert "reread" not in fitted(synthetic.SHARED, 0.02, 3).estimates
    fit = fitted(synthetic.SHARED | synthetic.REREAD, 0.02, 3)
    assert fit.values()["reread"] == pytest.approx(2.0, rel=0.1)


def test_points_left_out_are_predicted_as_well_as_the_noise_allows():
    fit = fitted(synthetic.SHARED, 0.03, 4, points=synthetic.POINTS[::3])
    left_out = fit.leave_one_out()
    assert left_out.shape == (len(fit.samples),)
    # |error| of log-normal noise has its median at 0.674 sigma
    assert np.median(np.abs(left_out)) == pytest.approx(0.674 * 0.03, rel=0.5)
    assert np.mean(left_out**2) > np.mean(fit.errors**2)


def test_a_point_left_out_does_not_help_to_predict_itself():
    found = synthetic.samples(
        synthetic.SHARED, 0.0, np.random.default_rng(0), points=synthetic.POINTS[::3]
    )
    odd = found[5]
    found[5] = Sample(odd.variant, odd.settings, odd.points, odd.seconds * 1.5)
    fit = fit_steps(found, synthetic.SHAPE, synthetic.MACHINE, synthetic.BASE)
    left_out = fit.leave_one_out()
    assert left_out[5] == pytest.approx(1 / 1.5 - 1, abs=1e-4)
    assert abs(fit.errors[5]) < abs(left_out[5])


def test_noisy_points_count_less():
    rng = np.random.default_rng(1)
    found = synthetic.samples(synthetic.SHARED, 0.0, rng)
    rough = [
        Sample(
            s.variant,
            s.settings,
            s.points,
            s.seconds * (2 if i % 5 == 0 else 1),
            0.5 * (i % 5 == 0),
        )
        for i, s in enumerate(found)
    ]
    fit = fit_steps(rough, synthetic.SHAPE, synthetic.MACHINE, synthetic.BASE)
    clean = np.array([i % 5 != 0 for i in range(len(found))])
    assert np.median(np.abs(fit.errors[clean])) < 0.02


def test_a_variant_whose_kernels_are_of_another_form_does_not_pull_the_others():
    rng = np.random.default_rng(2)
    truth = synthetic.SHARED | {
        name: value for name, value in synthetic.SPEEDUPS.items() if "pruning" not in name
    }
    found = synthetic.samples(truth, 0.01, rng, variants=("fp32", "int8"))
    odd = [
        s
        if s.variant == "fp32"
        else Sample(s.variant, s.settings, s.points, s.seconds * (2 if s.tokens > 16 else 1))
        for s in found
    ]
    fit = fit_steps(odd, synthetic.SHAPE, synthetic.MACHINE, synthetic.BASE)
    plain = np.array([each.variant == "fp32" for each in odd])
    assert np.median(np.abs(fit.errors[plain])) < 0.02
    assert np.median(np.abs(fit.errors[~plain])) > 0.05


def test_a_factor_that_is_hardly_known_has_a_warning_and_what_may_be_zero_none():
    fit = fitted(synthetic.SHARED, 0.02, 1)
    assert "is known to" not in fit_report(fit)
    unsure = {
        name: replace(each, stderr=3 * each.value)
        for name, each in fit.estimates.items()
        if name in {"compute_efficiency", "overhead_fixed"}
    }
    text = fit_report(replace(fit, estimates={**fit.estimates, **unsure}))
    assert "compute_efficiency is known to +/- 300% only: measure more points" in text
    assert "overhead_fixed is known" not in text


def test_a_coefficient_at_its_bound_has_no_error_and_a_warning():
    fit = fitted(synthetic.SHARED | {"overhead_fixed": 0.0, "overlap": 1.0}, 0.0, 0)
    assert fit.estimates["overlap"].open == "at its bound"
    assert fit.estimates["overlap"].stderr is None
    assert "overlap" not in fit.names
    assert "overlap is at its bound: the measurements do not determine it" in fit_report(fit)


def test_too_few_steps_are_an_error_that_says_what_to_do():
    with pytest.raises(InputError, match=r"more than 7 measured steps of the base, got 5; measure"):
        fitted(synthetic.SHARED, 0.0, 0, points=synthetic.POINTS[:5])
    rng = np.random.default_rng(0)
    found = synthetic.samples(EVERYTHING, 0.0, rng, points=synthetic.POINTS[:8])
    found += synthetic.samples(
        EVERYTHING, 0.0, rng, variants=tuple(synthetic.VARIANTS)[1:], points=synthetic.POINTS[:1]
    )
    with pytest.raises(InputError, match=r"got 11; measure with more time, or fewer variants"):
        fit_steps(found, synthetic.SHAPE, synthetic.MACHINE, synthetic.BASE)


def test_settings_that_differ_from_the_base_have_keys_of_a_profile():
    assert setting_keys(synthetic.BASE, synthetic.BASE) == []
    both = Settings(weights="int8", activations="bf16", pruning={"pattern": "2:4"})
    assert setting_keys(both, synthetic.BASE) == ["weights.int8-bf16", "pruning.2:4:0.5"]


def test_the_report_and_the_plot_show_every_coefficient_and_variant(tmp_path):
    variants = ("fp32", "int8")
    truth = {name: value for name, value in EVERYTHING.items() if "pruning" not in name}
    fit = fitted(truth, 0.02, 1, variants=variants)
    text = fit_report(fit, fit.errors)
    for name in fit.estimates:
        assert f"    {name} " in text
    assert "storage_efficiency" in text
    assert "(init 0.5, bounds 0.001 to 4)" in text  # of the first round, not of the last
    assert "left out, median absolute" in text
    assert "int8, decode" in text
    assert "[[Correlations]]" in text
    plot_residuals(fit, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    lines = synthetic.records(EVERYTHING, 0.02, np.random.default_rng(7))
    lines.append(LeftOut(what="step fp32: d1@4000", reason="out of memory: no more"))
    path = synthetic.write(tmp_path_factory.mktemp("measured") / "m.jsonl", lines)
    measured = read_measurements(path)
    return measured, calibration_of(measured, "mine")


def test_a_profile_made_of_measurements_predicts_their_steps(calibration, tmp_path):
    measured, found = calibration
    path = tmp_path / "profile.json"
    path.write_text(found.profile.model_dump_json())
    profile = load_profile(path)
    assert profile == found.profile
    assert profile.measured_device().peaks["fp32"] == pytest.approx(2e11)
    assert profile.created.isoformat() == "2026-11-20"
    assert any("out of memory" in line for line in profile.about)
    for name, settings in synthetic.VARIANTS.items():
        time = step_time(measured.header.shape, profile.measured_device(), settings, profile)
        errors = [
            sum(time.seconds(p.prefill, p.decode) for p in s.points) / s.seconds - 1
            for s in found.fit.samples
            if s.variant == name
        ]
        assert np.median(np.abs(errors)) < 0.03, name


def test_a_machine_that_others_slow_down_gives_the_same_coefficients(tmp_path):
    """Each point at a speed of its own, up to half, as the reference step beside it tells."""
    rng = np.random.default_rng(11)
    lines = synthetic.records(EVERYTHING, 0.02, rng)
    slow = {each.key: rng.choice([1.0, 1.0, 1.0, 1.4, 2.0]) for each in synthetic.POINTS}

    def slowed(line):
        if line.kind != "step":
            return line
        factor = slow[line.point.key]
        return line.model_copy(
            update={"seconds": line.seconds * factor, "reference": line.reference * factor}
        )

    path = synthetic.write(tmp_path / "m.jsonl", [slowed(line) for line in lines])
    measured = read_measurements(path)
    found = calibration_of(measured, "mine")
    for name, each in found.fit.estimates.items():
        assert abs(each.value - EVERYTHING[name]) <= 3 * each.stderr, name
    assert "WARNING: something else ran on this machine" in measured_text(measured, found)


def test_a_profile_has_the_covariance_of_its_coefficients(calibration):
    profile = calibration[1].profile
    names, matrix = profile.covariance.names, np.array(profile.covariance.matrix)
    errors = [profile.coefficients[name].stderr for name in names]
    np.testing.assert_allclose(np.sqrt(np.diag(matrix)), errors)
    assert np.linalg.eigvalsh(matrix / np.outer(errors, errors)).min() > 0


def test_links_are_fitted_as_the_simulator_uses_them(calibration):
    profile = calibration[1].profile
    assert profile.hardware.link.bandwidth == pytest.approx(synthetic.LINK)
    assert profile.coefficients["link_latency"].value == pytest.approx(synthetic.LATENCY)
    assert profile.coefficients["link_efficiency"].value == pytest.approx(synthetic.LINK_EFFICIENCY)


def test_speedups_include_what_follows_from_flops_and_bytes(calibration):
    measured, found = calibration
    by_variant = {each.variant: each for each in speedups(measured, found)}
    assert "fp32" not in by_variant
    none, half = by_variant["fp32+unstructured:0.5"], by_variant["fp32+structured:0.5"]
    assert abs(none.compute.value - 1) < 3 * none.compute.stderr
    assert abs(half.compute.value - 2 * 0.95) < 3 * half.compute.stderr
    assert 1 < half.decode.value < 2
    assert half.large.stderr > 0


def test_a_variant_added_on_a_slower_day_is_no_slower_for_it(tmp_path):
    """Three times as slow, as its reference step tells; beside the base's old times it is not."""
    lines = synthetic.records(EVERYTHING, 0.0, np.random.default_rng(0))

    def measured_on(days):
        changed = [
            each.model_copy(
                update={
                    "seconds": each.seconds * days[each.variant],
                    "reference": 0.01 * days[each.variant],
                }
            )
            if isinstance(each, StepRecord)
            else each
            for each in lines
        ]
        return read_measurements(synthetic.write(tmp_path / f"{len(set(days.values()))}", changed))

    alike = dict.fromkeys(synthetic.VARIANTS, 1.0)
    added = alike | {"fp32+structured:0.5": 3.0}
    for one, other in zip(
        speedups(measured_on(alike), None), speedups(measured_on(added), None), strict=True
    ):
        assert one.variant == other.variant
        assert other.large.value == pytest.approx(one.large.value)
        assert other.decode.value == pytest.approx(one.decode.value)


def test_measurements_without_the_device_s_peaks_make_no_profile(tmp_path):
    lines = synthetic.records(EVERYTHING, 0.0, np.random.default_rng(0), variants=("fp32",))
    lines = [each for each in lines if each.kind not in {"matmul", "bytes"}]
    measured = read_measurements(synthetic.write(tmp_path / "m.jsonl", lines))
    with pytest.raises(InputError, match="memory bandwidth and matrix products, got none"):
        calibration_of(measured, "mine")


def test_the_first_points_of_a_run_hold_every_kind_of_step():
    points = quick_points(2048)
    for seed in range(5):
        order = shuffled(points, seed)
        assert sorted(each.key for each in order) == sorted(each.key for each in points)
        assert {each.kind for each in order[:6]} == {"prefill", "decode", "mixed"}
    assert shuffled(points, 1) != shuffled(points, 2)


def test_lists_are_spread_evenly_each_in_its_order():
    assert spread([[1, 2, 3, 4], [10, 20]]) == [1, 10, 2, 3, 20, 4]
    assert spread([[], [1]]) == [1]


def test_points_have_names_that_tell_them_apart():
    assert StepPoint(((256, 0), (256, 0)), (5, 5, 7)).key == "p2x256@0 d2@5 d1@7"
    assert len({each.key for each in synthetic.POINTS}) == len(synthetic.POINTS)


def test_coefficients_that_do_each_others_work_are_said_not_to_be_told_apart():
    """One context and one number of sequences: what is fixed may be storage or overhead."""
    points = [StepPoint(decode=(64,) * 2), *(StepPoint(prefill=((n, 0),)) for n in (64, 256))]
    found = synthetic.samples(
        synthetic.SHARED | {"overlap": 1.0}, 0.001, np.random.default_rng(3), points=points * 5
    )
    fit = fit_steps(found, synthetic.SHAPE, synthetic.MACHINE, synthetic.BASE)
    assert "not told apart from others" in fit_report(fit)
    assert any(each.open == "not told apart from others" for each in fit.estimates.values())
