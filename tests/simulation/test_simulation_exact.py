"""The compiled data plane against the plain stepper, request by request."""

import os
from collections import Counter

import numpy as np
import pytest
from cases import SCHEDULERS, cases, gap_bins, gap_histogram, run_plane, run_stepper
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

#: Without compilation a case takes a thousand times as long.
EXAMPLES = 20 if os.environ.get("NUMBA_DISABLE_JIT") == "1" else 150
STATES = ("waiting", "running", "finished", "rejected")


def assert_same(stepper, fleet):
    rows = fleet.plane.requests
    for name, field in (
        ("arrival", "arrival"), ("admitted", "admitted"), ("first", "first"),
        ("finished", "finished"),
    ):  # fmt: skip
        expected = [getattr(seq, field) for seq in stepper.seqs]
        np.testing.assert_allclose(rows[name], expected, atol=1e-9, rtol=1e-12, err_msg=name)
    sent = np.isfinite(rows["arrival"])  # clients send no more after the end
    states = [seq.state for seq in stepper.seqs]
    assert [STATES[s] for s in rows["status"][sent]] == list(np.array(states)[sent])
    assert rows["preemptions"].tolist() == [seq.preemptions for seq in stepper.seqs]
    assert rows["retries"].tolist() == [seq.retries for seq in stepper.seqs]
    done = rows["status"] == 2
    for k, part in enumerate(("compute", "storage", "transfer", "overhead")):
        first = [seq.parts_first[k] for seq in stepper.seqs]
        end = [seq.parts[k] for seq in stepper.seqs]
        np.testing.assert_allclose(rows["first_" + part], first, atol=1e-9, err_msg=part)
        np.testing.assert_allclose(rows[part][done], np.array(end)[done], atol=1e-9, err_msg=part)
    itl = fleet.plane.itl
    assert itl.sum(axis=2).tolist() == gap_histogram(stepper, itl.shape[1]).tolist()
    bins = np.repeat(np.arange(itl.shape[2]), itl.sum(axis=(0, 1)))
    assert np.all(np.abs(bins + 0.5 - gap_bins(stepper)) <= 0.5 + 1e-6)


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_open_loops_are_simulated_exactly(scheduler, data):
    case = data.draw(cases(scheduler, closed=False))
    assert_same(run_stepper(case), run_plane(case))


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_closed_loops_are_simulated_exactly(scheduler, data):
    case = data.draw(cases(scheduler, closed=True))
    assert_same(run_stepper(case), run_plane(case))


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_failures_and_repairs_are_simulated_exactly(scheduler, data):
    case = data.draw(cases(scheduler, changes=True))
    assert_same(run_stepper(case), run_plane(case))


@given(case=cases(hybrid=True) | cases(hybrid=True, changes=True))
@settings(max_examples=2 * EXAMPLES, deadline=None)
def test_blocks_that_leave_windows_are_simulated_exactly(case):
    assert_same(run_stepper(case), run_plane(case))


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_steps_that_become_slower_and_quicker_are_simulated_exactly(scheduler, data):
    case = data.draw(cases(scheduler, paces=True) | cases(scheduler, paces=True, changes=True))
    assert_same(run_stepper(case), run_plane(case))


@given(case=cases() | cases(hybrid=True), stops=st.lists(st.floats(0, 40), max_size=6))
@settings(max_examples=EXAMPLES, deadline=None)
def test_stopping_on_the_way_changes_nothing(case, stops):
    straight, stopped = run_plane(case), run_plane(case, stops)
    for name in straight.plane.requests.dtype.names:
        if name not in {"slot", "after"}:
            np.testing.assert_array_equal(
                straight.plane.requests[name], stopped.plane.requests[name], err_msg=name
            )
    np.testing.assert_array_equal(straight.plane.itl, stopped.plane.itl)


def test_the_cases_hold_what_they_are_meant_to_test():
    """Preemption, failures, waiting and several replicas do occur among random cases."""
    seen = Counter()

    @settings(max_examples=300, database=None, phases=[Phase.generate], deadline=None)
    @seed(1)
    @given(case=cases(changes=True))
    def look(case):
        rows = run_plane(case).plane.requests
        seen["preempted"] += bool(rows["preemptions"].any())
        seen["retried"] += bool(rows["retries"].any())
        seen["waited"] += bool((rows["admitted"] > rows["arrival"] + 1e-9).any())
        seen["replicas"] += len(set(rows["lane"][rows["lane"] >= 0])) > 1
        seen["rejected"] += bool((rows["status"] == 3).any())
        seen["windows"] += case.coefficients["window"] > 0

    @settings(max_examples=300, database=None, phases=[Phase.generate], deadline=None)
    @seed(1)
    @given(case=cases(hybrid=True))
    def look_at_windows(case):
        fleet = run_plane(case)
        seen["hybrid, preempted"] += bool(fleet.plane.requests["preemptions"].any())
        lengths = fleet.plane.requests["prompt"] + fleet.plane.requests["output"]
        seen["longer than a window"] += lengths.max() > 2 * case.coefficients["window"]
        assert np.all(fleet.plane.lanes["free_blocks"] == case.limits.blocks)  # all are back

    look()
    look_at_windows()
    assert min(seen.values()) >= 15, seen
