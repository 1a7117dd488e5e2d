"""What holds on every path, whatever the numbers."""

import itertools

import numpy as np
from cases import cases, make_fleet, run_plane
from hypothesis import given, settings
from hypothesis import strategies as st

TIMES = ("arrival", "admitted", "first", "finished")


@given(case=cases(changes=True), stop=st.floats(0.01, 30))
@settings(max_examples=150, deadline=None)
def test_requests_are_conserved_and_the_cache_is_accounted_for(case, stop):
    fleet = make_fleet(case)
    fleet.advance(stop)
    plane, lanes = fleet.plane, fleet.plane.lanes
    arrived = plane.requests["arrival"] <= stop
    states = np.bincount(plane.requests["status"][arrived], minlength=4)
    assert states[1] == lanes["running"].sum()
    assert states[0] == lanes["waiting"].sum() + plane.fleet[0].held
    assert states[2] == plane.fleet[0].finished
    assert states[3] == plane.fleet[0].rejected
    assert arrived.sum() == plane.fleet[0].arrived
    assert np.all(lanes["free_blocks"] >= 0)
    assert np.all(lanes["free_blocks"] <= case.limits.blocks)
    assert np.all(lanes["running"] <= case.limits.max_num_seqs)
    empty = (lanes["running"] == 0) & (lanes["waiting"] == 0)
    assert np.all(lanes["free_blocks"][empty] == case.limits.blocks)


@given(case=cases(), stop=st.floats(0.01, 30))
@settings(max_examples=150, deadline=None)
def test_a_lane_is_never_idle_while_work_fits(case, stop):
    fleet = make_fleet(case)
    fleet.advance(stop)
    for lane in fleet.plane.lanes:
        work = lane.running > 0 or lane.waiting > 0
        if case.limits.scheduler == "static" and not lane.padded:
            head = fleet.plane.requests[lane.queue_head].queued if lane.waiting else np.inf
            due = head + case.limits.timeout <= stop
            work = lane.waiting >= case.limits.batch_size or due
        # a step that would start at this very moment is for later
        assert lane.stepping == 1 or not work or lane.now == stop or lane.next_event >= stop


@given(case=cases(changes=True) | cases(changes=True, hybrid=True))
@settings(max_examples=150, deadline=None)
def test_times_are_in_order_and_parts_explain_them(case):
    rows = run_plane(case).plane.requests
    done = rows["status"] == 2
    for earlier, later in itertools.pairwise(TIMES):
        assert np.all(rows[earlier][done] <= rows[later][done] + 1e-9)
    work = sum(rows[part][done] for part in ("compute", "storage", "transfer", "overhead"))
    wait = rows["finished"][done] - rows["arrival"][done] - work
    assert np.all(wait >= -1e-9)
    admitted = rows["admitted"][done] - rows["arrival"][done]
    calm = rows["preemptions"][done] == 0
    np.testing.assert_allclose(wait[calm], admitted[calm], atol=1e-9)
    assert np.all(wait[~calm] >= admitted[~calm] - 1e-9)


@given(case=cases(closed=False))
@settings(max_examples=100, deadline=None)
def test_the_time_in_steps_is_the_sum_of_its_parts_and_of_nothing_else(case):
    lanes = run_plane(case).plane.lanes
    parts = lanes["compute"] + lanes["storage"] + lanes["transfer"] + lanes["overhead"]
    np.testing.assert_allclose(parts, lanes["busy"], atol=1e-9)


@given(case=cases(closed=False))
@settings(max_examples=100, deadline=None)
def test_littles_law_holds_on_every_path(case):
    """Blocks of time in queue and service, seen by the clock, are those seen by requests."""
    rows = run_plane(case).plane.requests
    done = rows["status"] == 2
    ends = np.union1d(rows["arrival"], rows["finished"][done])
    ends = ends[np.isfinite(ends)]
    fleet = make_fleet(case)
    inside, area = 0, 0.0
    for before, now in itertools.pairwise(ends):
        fleet.advance(before)
        inside = fleet.plane.fleet[0].arrived - fleet.plane.fleet[0].finished
        inside -= fleet.plane.fleet[0].rejected
        area += inside * (now - before)
    spent = (rows["finished"] - rows["arrival"])[done].sum()
    np.testing.assert_allclose(area, spent, atol=1e-9)


#: Coefficients that are no times.
NO_TIMES = {"overlap", "window", "experts_log_miss", "experts_free"}


@given(case=cases(closed=False) | cases(closed=False, hybrid=True))
@settings(max_examples=100, deadline=None)
def test_doubling_all_times_doubles_all_results(case):
    slow = {
        name: value * (1 if name in NO_TIMES else 2) for name, value in case.coefficients.items()
    }
    first = run_plane(case).plane.requests
    case.requests.arrival_s[:] *= 2
    case.limits.timeout *= 2
    case.coefficients = slow
    second = run_plane(case).plane.requests
    for name in TIMES:
        np.testing.assert_allclose(second[name], 2 * first[name], rtol=1e-12, err_msg=name)


@given(case=cases(changes=True), stop=st.floats(0.01, 30))
@settings(max_examples=150, deadline=None)
def test_at_every_moment_lanes_are_busy_at_most_all_the_time_and_parts_add_up(case, stop):
    fleet = make_fleet(case)
    for time, kind, replica, delay in [*case.changes, (np.inf, "", 0, 0.0)]:
        fleet.advance(min(time, stop))
        if time > stop:
            break
        if kind == "fail":
            fleet.fail(replica, retry_delay=delay, paid=True)
        else:
            fleet.join(replica)
    now = fleet.totals()
    assert now.time_s == stop
    assert now.busy <= now.lane_seconds + 1e-9
    assert now.kv_block_seconds <= now.busy * case.limits.blocks + 1e-9
    parts = now.compute + now.storage + now.transfer + now.overhead
    np.testing.assert_allclose(parts, now.busy, atol=1e-9)
