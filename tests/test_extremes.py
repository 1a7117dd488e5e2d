"""Sizes and rates beyond any machine, and fleets that break: a refusal or an end, in time."""

import json
import re
import time

import pytest
from command_line import CLOSED, HEAD, LLM, ROWS, STAGES, refused

pytestmark = pytest.mark.usefixtures("bounded")

# ---- scenarios: sizes


@pytest.mark.parametrize(
    ("text", "changes", "key"),
    [
        (LLM, ["traffic.duration=null", "traffic.requests=100000000"], "traffic.requests"),
        (LLM, ["traffic.duration=1e9 s", "traffic.arrivals.rate=0.05 req/s"], "traffic"),
        (LLM, ["traffic.arrivals.rate=20000 req/s", "simulation.replications=20"], "traffic"),
        (LLM, ["fleet.replicas=10000000"], "fleet.replicas"),
        (LLM, ["fleet.replicas=1000000000000000000"], "fleet.replicas"),
        (LLM, ["fleet.events=[{at: 9 s, kind: join, replicas: 10000000}]"], "fleet.events"),
        (
            LLM,
            ["fleet.autoscaler={kind: target_utilisation, max_replicas: 1000000000}"],
            "fleet.autoscaler.max_replicas",
        ),
        (
            LLM,
            [
                ("service.engine={max_num_seqs: 1000000000, max_num_batched_tokens: 1000000000,"
                " kv_tokens: 100000}")
            ],
            "fleet.replicas",
        ),
        (
            LLM,
            ["service.engine={block_size: 1000000000, kv_tokens: 1000000000}"],
            "fleet.replicas",
        ),
        (
            CLOSED,
            [("traffic={duration: 1 d, arrivals: {kind: closed_loop, clients: 100, think: 0.5 s},"
             " lengths: {kind: fixed, prompt: 1, output: 1}}")],
            "traffic",
        ),
        (STAGES, ["traffic.arrivals.rate=10000 req/s", "simulation.replications=100"], "traffic"),
    ],
    ids=[
        "requests", "duration", "replications", "replicas", "replicas beyond 64 bits", "joins",
        "autoscaler", "sequences", "blocks", "clients", "stages",
    ],
)  # fmt: skip
def test_what_does_not_fit_into_memory_is_refused_with_the_estimate(simulate, text, changes, key):
    started = time.monotonic()
    message = refused(simulate(text, *changes))
    assert re.search(rf" {key}: must fit into memory, 2 GiB, got [\d.e+]+ GiB for ", message)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        (
            LLM,
            ["traffic.duration=1e9 s", "traffic.arrivals.rate=1e6 req/s"],
            "traffic: must bring at most 200,000,000 requests, got about 1e+15",
        ),
        (LLM, ["traffic.duration=null", "traffic.requests=1000000000"], "must be <= 200000000"),
        (LLM, ["traffic.arrivals.rate=5e-324 req/s"], "must bring at least one request"),
        (
            LLM,
            ["traffic.duration=null", "traffic.requests=3", "traffic.arrivals.rate=5e-324 req/s"],
            "must bring its requests within 1e+12 s, got one at inf s",
        ),
        (
            LLM,
            [
                ("traffic.arrivals={kind: mmpp, states: [{rate: 1 req/s, dwell: 1 ns},"
                " {rate: 0 req/s, dwell: 1 ns}]}")
            ],
            "traffic.arrivals.states: must change state at most",
        ),
        (
            CLOSED,
            [
                ("traffic={duration: 100 s, arrivals: {kind: closed_loop, clients: 8},"
                " lengths: {kind: fixed, prompt: 1, output: 1}}")
            ],
            "traffic.arrivals.think: pauses of 0 s leave open how many requests",
        ),
        (
            LLM,
            ["fleet.failures={mtbf: 1 us, mttr: 1 us}"],
            "fleet.failures.mtbf: must make at most 50,000 changes of the fleet",
        ),
        (
            LLM,
            ["fleet.failures={mtbf: 5e-324 s, mttr: 5e-324 s}"],
            "fleet.failures.mtbf: must make at most 50,000 changes of the fleet, got about inf",
        ),
        (
            LLM,
            ["fleet.autoscaler={kind: target_utilisation, max_replicas: 4, interval: 1 ns}"],
            "fleet.autoscaler.interval: must make at most 50,000 decisions",
        ),
        (
            LLM,
            ["traffic.duration=null", "traffic.requests=20", "simulation.warmup=1 h"],
            "simulation.warmup: must be shorter than the traffic",
        ),
        (CLOSED, ["simulation.warmup=1 d"], "simulation.warmup: must be shorter than the traffic"),
    ],
    ids=[
        "too many", "too many asked for", "none", "at infinity", "bursts", "endless clients",
        "failures", "instant failures", "decisions", "warm-up", "warm-up of clients",
    ],
)  # fmt: skip
def test_a_run_without_end_or_content_is_refused(simulate, text, changes, said):
    assert said in refused(simulate(text, *changes))


def test_a_warmup_longer_than_the_trace_is_refused(replay):
    ran = replay(HEAD + ROWS, "simulation.warmup=60 s")
    assert "simulation.warmup: must be shorter than the traffic (49.5 s)" in refused(ran)


def test_problems_with_a_class_name_its_place(simulate):
    classes = (
        "traffic={duration: 9 s, classes: ["
        "{name: a, arrivals: {kind: poisson, rate: 1 req/s},"
        " lengths: {kind: fixed, prompt: 1, output: 1}},"
        "{name: b, arrivals: {kind: mmpp, states: [{rate: 1 req/s, dwell: 1 ns},"
        " {rate: 2 req/s, dwell: 1 ns}]}, lengths: {kind: fixed, prompt: 1, output: 1}}]}"
    )
    assert " traffic.classes.1.arrivals.states: " in refused(simulate(LLM, classes))


# ---- scenarios: extremes that are served


@pytest.mark.parametrize(
    "changes",
    [
        ["traffic.arrivals.rate=3000 req/s"],
        ["fleet.replicas=1", "traffic.arrivals.rate=30000 req/s", "simulation.replications=1"],
    ],
    ids=["10 times", "100 times"],
)
def test_an_overload_ends_as_no_steady_state(simulate, changes):
    ran = simulate(LLM, *changes, "traffic.duration=10 s", "simulation.warmup=1 s")
    assert ran.code == 3
    assert re.search(r"no steady state: offered [\d,]+ req/s > saturation [\d,]+ req/s", ran.out)


def test_an_overload_of_stages_ends_as_no_steady_state(simulate):
    ran = simulate(STAGES, "traffic.arrivals.rate=20000 req/s", "simulation.replications=1")
    assert ran.code == 0  # no objective was missed
    assert "no steady state" in ran.out


@pytest.mark.parametrize(
    "events",
    [
        "{at: 20 s, kind: fail, replicas: 2}",
        "{at: 20 s, kind: leave, replicas: 2}",
        "{at: 0 s, kind: fail, replicas: 2}",
    ],
)
def test_a_fleet_that_never_comes_back_leaves_its_requests_waiting(simulate, events):
    ran = simulate(LLM, f"fleet.events=[{events}]", args=("--json", "-q"))
    assert ran.code == 3
    counts = json.loads(ran.out)["requests"]
    assert counts["waiting"] > 0
    assert counts["arrived"] == counts["waiting"] + counts["finished"]


def test_events_at_one_time_happen_in_their_order(simulate):
    at = "at: 20 s, replicas: 2, kind"
    ran = simulate(LLM, f"fleet.events=[{{{at}: fail}}, {{{at}: join}}]", args=("--json", "-q"))
    assert ran.code == 0
    counts = json.loads(ran.out)["requests"]
    assert counts["arrived"] == counts["finished"]


@pytest.mark.parametrize(
    "changes",
    [
        ["fleet.failures={mtbf: 5 ms, mttr: 50 ms}", "simulation.replications=1"],
        ["fleet.failures={mtbf: 1e12 s, mttr: 1e12 s}"],
        ["fleet.failures={mtbf: 10 s, mttr: 1 s, retry_delay: 1e12 s}"],
        ["fleet.autoscaler={kind: target_utilisation, max_replicas: 4, start_time: 1e12 s}"],
        ["traffic.lengths.output=1"],
        ["traffic.duration=null", "traffic.requests=1", "simulation.warmup=0 s"],
        ["service.engine.kv_tokens=128"],
        ["service.engine.max_num_seqs=1", "service.engine.max_num_batched_tokens=1"],
        ["service.engine.scheduler={kind: static, batch_size: 256, timeout: 1e12 s}"],
        ["traffic.sessions=1e300"],
        ["traffic.arrivals={kind: gamma, rate: 5 req/s, cv: 100}"],
        ["simulation.confidence=0.9999"],
        ["objectives=ttft:p99.99999<1s"],
        ["fleet.price=$1e300/h"],
    ],
    ids=lambda changes: changes[0][:60],
)
def test_extremes_end_with_every_request_accounted_for(simulate, changes):
    ran = simulate(LLM, *changes, args=("--json", "-q"))
    assert ran.code in {0, 3}, ran.err
    assert ran.err == ""
    counts = json.loads(ran.out)["requests"]
    assert counts["arrived"] == sum(
        counts[fate] for fate in ("finished", "waiting", "running", "rejected")
    )


@pytest.mark.parametrize(
    "rows",
    ["0,100,20\n", "0,100,20\n" * 50, "0,100,1\n"],
    ids=["one request", "one moment", "one token"],
)
def test_a_trace_of_one_moment_is_replayed(replay, rows):
    ran = replay(HEAD + rows)
    assert ran.code == 0, ran.err
    counts = json.loads(ran.out)["requests"]
    assert counts["arrived"] == counts["finished"] == rows.count("\n")


def test_stages_that_one_request_goes_through_have_one_block(simulate):
    changes = ["traffic.duration=null", "traffic.requests=1", "simulation.warmup=0 s"]
    regular = "traffic.arrivals={kind: deterministic, rate: 1 req/s}"
    ran = simulate(STAGES, *changes, regular, args=("--json", "-q"))
    assert ran.code in {0, 3}, ran.err
    assert ran.err == ""
    assert json.loads(ran.out)["requests"]["finished"] == 1


def test_clients_of_a_fleet_that_never_serves_are_refused(simulate):
    changes = ["fleet.events=[{at: 0 s, kind: fail}]", "simulation.warmup=0 s"]
    assert "at least one request" in refused(simulate(CLOSED, *changes))


def test_clients_of_a_fleet_that_is_gone_wait(simulate):
    changes = ["fleet.events=[{at: 5 s, kind: fail}]", "simulation.warmup=0 s"]
    ran = simulate(CLOSED, *changes, args=("--json", "-q"))
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["requests"]["waiting"] == 2 * 8


def test_clients_of_a_fleet_that_fails_at_once_are_refused(simulate):
    assert "fleet" in refused(simulate(CLOSED, "fleet.failures={mtbf: 1 us, mttr: 1 us}"))


def test_a_trace_on_a_fleet_that_fails_at_once_is_refused(replay):
    assert "fleet" in refused(replay(HEAD + ROWS, "fleet.failures={mtbf: 1 us, mttr: 1 us}"))
