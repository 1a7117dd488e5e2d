"""Stretches of steps: where they begin and end, and what they add up to."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import synthetic_steps as synthetic
from hypothesis import given
from hypothesis import strategies as st

from calibrate.engine import StepLog
from calibrate.fit.profile import calibration_of
from calibrate.measure.journal import read_measurements
from calibrate.measure.points import StepPoint
from calibrate.measure.records import StepRecord
from calibrate.measure.stretches import (
    IDLE_S,
    MOST,
    STEPS,
    ServedRecord,
    Stretch,
    pulses_of,
    step_pulses,
    stretches_of,
    thinned,
)

DECODE = ((1, 8, True),)


def logs(gaps, seconds=0.01, pulses=()):
    """Return steps of `seconds` that begin each so long after the one before."""
    found, now = [], 0.0
    for gap, pulse in itertools.zip_longest(gaps, pulses, fillvalue=math.nan):
        found.append(StepLog(now + gap, now + gap + seconds, DECODE, 1, pulse))
        now += gap + seconds
    return found


@given(st.lists(st.sampled_from([1e-5, 5e-4, 0.02, 1.0]), min_size=1, max_size=60))
def test_stretches_hold_all_steps_once_and_all_time_but_the_pauses(gaps):
    steps = logs(gaps)
    found = stretches_of(steps)
    assert all(1 <= len(each.steps) <= STEPS for each in found)
    assert sum(len(each.steps) for each in found) == len(steps)
    busy = sum(0.01 + (gap if gap <= IDLE_S and i else 0) for i, gap in enumerate(gaps))
    assert sum(each.seconds for each in found) == pytest.approx(busy)


def test_a_step_has_the_pulse_between_those_before_and_after_it():
    steps = logs([1e-5] * 5, pulses=(1.0, 3.0, 3.0, 1.0, 2.0))
    assert step_pulses(steps) == [2.0, 3.0, 2.0, 1.5, 2.0]
    first, last = stretches_of(steps)  # of four steps and one
    assert first.pulse == pytest.approx((2.0 + 3.0 + 2.0 + 1.5) / 4)
    assert last.pulse == 2.0
    assert pulses_of(
        [ServedRecord(variant="fp32", clients=1, reference=0.1, stretches=(first, last))]
    ) == [first.pulse, 2.0]


def test_without_pulses_a_stretch_has_none():
    stretches = stretches_of(logs([1e-5] * 5))
    assert [each.pulse for each in stretches] == [None, None]
    assert (
        pulses_of([ServedRecord(variant="a", clients=1, reference=0.1, stretches=stretches)]) == []
    )
    assert step_pulses([]) == []


def test_of_many_stretches_some_are_kept_over_the_whole_time():
    every = stretches_of(logs([1e-5] * 5000))
    found = thinned(every)
    assert MOST / 2 < len(found) <= MOST < len(every)
    assert found == every[::16]  # of 1,250


def test_chunks_of_prompts_are_told_from_decoding_sequences():
    chunks = ((5, 0, True), (1, 0, True), (1, 7, True), (3, 16, False))
    (only,) = stretches_of([StepLog(0.0, 1.0, chunks, 1)])
    assert only.steps[0].point == StepPoint(prefill=((5, 0), (1, 0), (3, 16)), decode=(7,))


def test_what_happens_between_steps_is_fitted_as_overhead(tmp_path):
    """Steps alone take as the truth says; in serving each takes 2 ms more."""
    rng = np.random.default_rng(5)
    lines = synthetic.records(synthetic.SHARED, 0.0, rng, variants=("fp32",))
    more = synthetic.SHARED["overhead_fixed"] + 2e-3
    slower = synthetic.samples(synthetic.SHARED | {"overhead_fixed": more}, 0.0, rng)
    for clients in (4, 8):
        stretches = [
            Stretch.model_validate(
                {
                    "steps": [{"prefill": p.prefill, "decode": p.decode} for p in each.points],
                    "seconds": each.seconds,
                }
            )
            for each in slower * 4
        ]
        lines.append(
            ServedRecord(
                variant="fp32", clients=clients, reference=0.03, stretches=tuple(stretches)
            )
        )
    measured = read_measurements(synthetic.write(tmp_path / "m.jsonl", lines))
    found = calibration_of(measured, "served")
    kinds = {each.kind for each in found.fit.samples}
    assert {"prefill", "decode", "mixed"} <= kinds
    assert found.fit.values()["overhead_fixed"] == pytest.approx(more, rel=0.1)
    assert len(found.fit.leave_one_out()) == len(found.fit.samples)


@pytest.mark.parametrize("slowing", [0.6, 1.3])
def test_what_slows_the_core_now_and_then_is_told_by_pulses_and_not_fitted(tmp_path, slowing):
    """Two steps and stretches of five were measured while pulses took 1.4 times as long."""
    rng = np.random.default_rng(7)
    lines = synthetic.records(synthetic.SHARED, 0.0, rng, variants=("fp32",))
    exact = synthetic.samples(synthetic.SHARED, 0.0, rng)

    def disturbed(*, with_pulses):
        for line in lines:
            slow = 0.4 * bool(rng.random() < 0.4)
            if not isinstance(line, StepRecord):
                yield line
                continue
            pulse = 7e-5 * (1 + slow) if with_pulses else None
            seconds = line.seconds * (1 + slowing * slow)
            yield line.model_copy(update={"seconds": seconds, "pulse": pulse})

    def served(clients, *, with_pulses):
        found = []
        for each in exact * 4:
            slow = 0.4 * bool(rng.random() < 0.4)
            content = {
                "steps": [{"prefill": p.prefill, "decode": p.decode} for p in each.points],
                "seconds": each.seconds * (1 + slowing * slow),
                "pulse": 7e-5 * (1 + slow) if with_pulses else None,
            }
            found.append(Stretch.model_validate(content))
        return ServedRecord(variant="fp32", clients=clients, reference=0.03, stretches=tuple(found))

    def fitted(*, with_pulses):
        more = [served(clients, with_pulses=with_pulses) for clients in (4, 8)]
        steps = disturbed(with_pulses=with_pulses)
        path = synthetic.write(tmp_path / f"{with_pulses}.jsonl", [*steps, *more])
        return calibration_of(read_measurements(path), "served")

    found = fitted(with_pulses=True)
    values = found.fit.values()
    assert values["slowing"] == pytest.approx(slowing, rel=1e-3)
    for name, value in synthetic.SHARED.items():
        assert values[name] == pytest.approx(value, rel=1e-2), name
    assert np.abs(found.fit.errors).max() < 1e-3
    assert "slowing" not in found.profile.coefficients
    blind = fitted(with_pulses=False)
    assert "slowing" not in blind.fit.values()
    assert np.abs(blind.fit.errors).max() > 0.1 * slowing


def test_steps_without_pulses_are_fitted_at_the_speed_of_those_that_have_them(tmp_path):
    """An earlier version measured the steps, most of them while the core was slow."""
    rng = np.random.default_rng(8)
    lines = synthetic.records(synthetic.SHARED, 0.0, rng, variants=("fp32",))
    for i, line in enumerate(lines):
        if isinstance(line, StepRecord):
            slow = 1.5 if rng.random() < 0.7 else 1.0
            times = {"seconds": line.seconds * slow, "reference": line.reference * slow}
            lines[i] = line.model_copy(update=times)
    found = [
        Stretch(
            steps=[{"prefill": p.prefill, "decode": p.decode} for p in each.points] * 2,
            seconds=2 * each.seconds,
            pulse=7e-5,
        )
        for each in synthetic.samples(synthetic.SHARED, 0.0, rng)
    ]
    served = ServedRecord(variant="fp32", clients=4, reference=0.03, stretches=tuple(found))
    path = synthetic.write(tmp_path / "both.jsonl", [*lines, served])
    values = calibration_of(read_measurements(path), "both").fit.values()
    assert values["alone"] == pytest.approx(1.0, rel=1e-3)
    assert values["overhead_fixed"] == pytest.approx(synthetic.SHARED["overhead_fixed"], rel=1e-2)
