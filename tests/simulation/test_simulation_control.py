"""The control plane: planned events, failures, autoscaler, processes of the user."""

import contextlib
import dataclasses
import io
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

from planner.evaluate import simulate
from planner.latency.step import scaled_coefficients
from planner.scenario.reader import read_scenario
from planner.simulation.run import run_llm
from planner.simulation.system import build_system

ROOT = Path(__file__).parents[2]

BASE = """
schema_version: 1
name: control
traffic:
  duration: 20min
  arrivals: {kind: poisson, rate: 6 req/s}
  lengths: {kind: lognormal, prompt: {mean: 500, cv: 1, max: 4000}, output: {mean: 150, cv: 1}}
service: {kind: llm, model: llama-3.1-8b, engine: {max_model_len: 8192, max_num_seqs: 64}}
fleet: {device: H100-SXM-80GB, replicas: 2}
simulation: {replications: 1, warmup: 0 s}
"""


def scenario(*overrides):
    return read_scenario(BASE, overrides=overrides)


def run(*overrides, control=()):
    return simulate(scenario(*overrides), control=control)


def test_a_replica_that_leaves_finishes_what_it_has_and_is_paid_until_then():
    done = run("fleet.events=[{at: 10min, kind: leave}]")
    (records,) = done.records
    assert np.all(records.status == 2)
    assert records.retries.sum() == 0
    late = records.arrival_s >= 600
    assert set(records.replica[late]) == {0}
    assert set(records.replica[~late]) == {0, 1}
    last = records.finished_s[records.replica == 1].max()
    assert last > 600
    assert records.replica_seconds == pytest.approx(1200 + last, abs=1e-6)


def test_a_replica_that_joins_serves_and_is_paid_for_from_then_on():
    (records,) = run("fleet.events=[{at: 5min, kind: join, replicas: 2}]").records
    first = records.arrival_s[np.isin(records.replica, [2, 3])].min()
    assert 300 <= first < 330
    assert records.replica_seconds == pytest.approx(2 * 1200 + 2 * 900)
    assert records.timeline.replicas_up[0] == 2
    assert records.timeline.replicas_up[-1] == 4


def test_a_replica_that_fails_loses_its_requests_which_are_retried_and_counted():
    (records,) = run("fleet.events=[{at: 10min, kind: fail}]").records
    retried = records.retries > 0
    assert 1 <= retried.sum() < 200
    assert np.all(records.status == 2)
    assert np.all(records.arrival_s[retried] <= 600)
    assert np.all(records.admitted_s[retried] >= 600)
    assert set(records.replica[retried]) == {0}
    wait = records.parts_end[retried, 0]
    assert np.all(wait >= 600 - records.arrival_s[retried] - 1e-9)
    sums = records.parts_end.sum(axis=1)
    np.testing.assert_allclose(sums, records.finished_s - records.arrival_s, atol=1e-9)


def test_without_any_replica_requests_are_held_until_one_joins():
    events = "fleet.events=[{at: 5min, kind: fail, replicas: 2}, {at: 6min, kind: join}]"
    (records,) = run(events).records
    held = (records.arrival_s > 300) & (records.arrival_s < 360)
    assert held.sum() > 100
    assert np.all(records.admitted_s[held] >= 360)
    order = np.argsort(records.arrival_s[held], kind="stable")
    assert np.all(np.diff(records.admitted_s[held][order]) >= 0)


def test_changes_of_the_fleet_are_recorded_when_they_happen():
    events = (
        "[{at: 5min, kind: fail}, {at: 6min, kind: join, replicas: 2}, {at: 7min, kind: leave}]"
    )
    (records,) = run(f"fleet.events={events}").records
    assert records.changes == (
        (300.0, "fail", 1),
        (360.0, "order", 1),
        (360.0, "join", 2),
        (360.0, "order", 2),
        (360.0, "join", 3),
        (420.0, "leave", 2),
    )


def test_a_fleet_that_fails_for_good_ends_and_counts_who_waits():
    done = run("fleet.events=[{at: 5min, kind: fail, replicas: 2}]")
    counts = done.result.to_json()["requests"]
    assert counts["waiting"] > 4000
    assert counts["arrived"] == counts["finished"] + counts["waiting"]


def test_failures_make_the_share_of_time_up_that_mtbf_and_mttr_say():
    failing = ("fleet.failures={mtbf: 100 s, mttr: 25 s}", "fleet.replicas=8")
    (records,) = run(*failing, "traffic.duration=4h").records
    up = records.timeline.replicas_up[1:].mean() / 8
    # 8 replicas, about 115 cycles each: standard error of the share is about 0.01
    assert up == pytest.approx(0.8, abs=0.03)
    assert records.retries.sum() > 100
    assert records.replica_seconds == pytest.approx(8 * 4 * 3600), "broken ones stay paid for"


def test_failures_differ_between_replications_and_repeat_with_the_seed():
    overrides = ("fleet.failures={mtbf: 200 s, mttr: 60 s}", "simulation.replications=2")
    first, second = run(*overrides).records
    again, _ = run(*overrides).records
    assert not np.array_equal(first.timeline.replicas_up, second.timeline.replicas_up)
    np.testing.assert_array_equal(first.finished_s, again.finished_s)


SCALER = (
    "fleet.autoscaler={kind: target_utilisation, measure: %s, target: %s, interval: 10 s, "
    "min_replicas: 1, max_replicas: 6, start_time: 30 s, loading_bandwidth: 2 GB/s, "
    "scale_down_delay: 60 s}"
)


@pytest.mark.parametrize(
    ("measure", "target"), [("sequences", 0.1), ("kv_cache", 0.01), ("busy", 0.5)]
)
def test_the_autoscaler_follows_the_load_up_and_down(measure, target):
    points = (
        "[{at: 0 s, rate: 1 req/s}, {at: 7min, rate: 40 req/s}, {at: 13min, rate: 1 req/s}, "
        "{at: 40min, rate: 1 req/s}]"
    )
    (records,) = run(
        SCALER % (measure, target),
        "fleet.replicas=1",
        "traffic.duration=40min",
        f"traffic.arrivals={{kind: profile, shape: linear, points: {points}}}",
    ).records
    up, time = records.timeline.replicas_up, records.timeline.time_s
    assert up[time < 60].max() == 1
    assert up.max() >= 3
    assert up[-1] < up.max()
    assert np.all(records.status == 2)
    assert records.retries.sum() == 0


def test_a_cold_start_takes_start_time_and_loading_of_the_weights():
    system = build_system(scenario(SCALER % ("sequences", 0.1)))
    assert system.cold_start_s() == pytest.approx(30 + system.weight_bytes / 2e9)
    assert system.weight_bytes == pytest.approx(2 * 8.03e9, rel=0.01)
    (records,) = run(SCALER % ("busy", 0.1)).records
    time, up = records.timeline.time_s, records.timeline.replicas_up
    joined = time[np.argmax(up > 2)]
    # ordered at the first decision, 10 s; samples are 6 s apart
    assert 10 + system.cold_start_s() <= joined <= 10 + system.cold_start_s() + 6
    assert records.replica_seconds == pytest.approx(2 * 1200 + 4 * 1190, rel=1e-6)


def test_a_process_of_the_user_sees_the_past_and_changes_the_future():
    seen = []

    def watcher(env, fleet):
        for _ in range(5):
            yield env.timeout(100.0)
            seen.append((env.now, fleet.now, fleet.snapshot().running, fleet.totals().steps))
        fleet.fail(fleet.up[0], retry_delay=2.0, paid=False)

    (records,) = run(control=[watcher]).records
    assert [time for time, *_ in seen] == [now for _, now, *_ in seen] == [100, 200, 300, 400, 500]
    assert all(a[3] < b[3] for a, b in itertools.pairwise(seen))
    retried = records.retries > 0
    assert retried.any()
    assert np.all(records.admitted_s[retried] >= 502.0)
    alone = records.arrival_s > 500
    assert set(records.replica[alone]) == {1}


def test_the_page_on_extending_runs_as_it_is_written():
    text = (ROOT / "docs" / "extending.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    process = code[code.index("def crowd_watcher") : code.index("scenario = ")]
    assert len(process.strip().splitlines()) <= 20
    out = io.StringIO()
    names = {}
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs/extending.md", "exec"), names)  # noqa: S102 - our own page
    assert re.fullmatch(r"p95 of ttft: \d+ ms\n", out.getvalue())
    ups = names["run"].records[0].timeline.replicas_up
    assert set(ups[:-2].tolist()) == {1, 2}, "the replica of the page came and went"


def test_a_fleet_whose_steps_are_slower_from_the_start_is_one_of_slower_steps():
    def throttle(env, fleet):
        fleet.pace = 1.3
        assert fleet.pace == 1.3
        yield env.timeout(0.0)

    plain, throttled = run(), run(control=[throttle])
    system = build_system(scenario())
    slower = dataclasses.replace(
        system.step, coefficients=scaled_coefficients(system.step.coefficients, 1.3)
    )
    there = dataclasses.replace(system, step=slower)
    requests = scenario().traffic.draw(scenario().simulation.seed, 0, Path())
    expected = run_llm(scenario(), there, requests, replication=0)
    for name in ("admitted_s", "first_token_s", "finished_s", "parts_end"):
        np.testing.assert_array_equal(getattr(throttled.records[0], name), getattr(expected, name))
    assert np.median(throttled.records[0].finished_s - plain.records[0].finished_s) > 0.1
    again = run()  # a pace belongs to a run, not to the profile
    np.testing.assert_array_equal(again.records[0].finished_s, plain.records[0].finished_s)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf, "2", None, 1j, 10**400])
def test_a_pace_that_is_no_factor_is_refused(factor):
    def throttle(env, fleet):
        fleet.pace = factor
        yield env.timeout(0.0)

    with pytest.raises(ValueError, match="pace must be a number greater than 0"):
        run(control=[throttle])
