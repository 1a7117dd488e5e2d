"""Stretches of steps: where they begin and end, and what they add up to."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_steps as synthetic
from hypothesis import given
from hypothesis import strategies as st

from calibrate.engine import StepLog
from calibrate.fit.profile import calibration_of
from calibrate.measure.journal import read_measurements
from calibrate.measure.points import StepPoint
from calibrate.measure.stretches import (
    IDLE_S,
    MOST,
    STEPS,
    ServedRecord,
    Stretch,
    stretches_of,
    thinned,
)

DECODE = ((1, 8, True),)


def logs(gaps, seconds=0.01):
    """Return steps of `seconds` that begin each so long after the one before."""
    found, now = [], 0.0
    for gap in gaps:
        found.append(StepLog(now + gap, now + gap + seconds, DECODE, 1))
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
