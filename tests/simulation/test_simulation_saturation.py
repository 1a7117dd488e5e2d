"""The saturation rate against what can be worked out, and what a result makes of it."""

import pytest

from planner.evaluate import simulate
from planner.scenario.reader import read_scenario
from planner.simulation.saturation import saturation_per_replica
from planner.simulation.system import build_system

BASE = """
schema_version: 1
name: saturation
traffic:
  requests: 3000
  arrivals: {kind: poisson, rate: 5 req/s}
  lengths: {kind: fixed, prompt: 1000, output: 100}
service: {kind: llm, model: llama-3.1-8b, engine: {max_model_len: 4096, max_num_seqs: 1}}
fleet: {device: H100-SXM-80GB, replicas: 2}
simulation: {replications: 1, warmup: 0 s}
"""


def scenario(*overrides):
    return read_scenario(BASE, overrides=overrides)


def saturation(spec):
    requests = spec.traffic.draw(1, 0, spec.base_dir)
    return saturation_per_replica(build_system(spec), requests)


def test_one_slot_and_one_length_saturate_at_the_inverse_of_the_time_of_a_request():
    spec = scenario()
    step = build_system(spec).step
    alone = step.seconds(prefill=[(1000, 0)])
    alone += sum(step.seconds(decode=[1000 + k]) for k in range(99))
    assert saturation(spec) == pytest.approx(1 / alone, rel=1e-9)


def test_a_static_batch_saturates_at_its_size_over_its_time():
    spec = scenario(
        "service.engine.max_num_seqs=8",
        "service.engine.scheduler={kind: static, batch_size: 8, timeout: 1 s}",
    )
    step = build_system(spec).step
    batch = step.seconds(prefill=[(1000, 0)] * 8)
    batch += sum(step.seconds(decode=[1000 + k] * 8) for k in range(99))
    # batches end together: the count between two ends is off by at most one batch
    assert saturation(spec) == pytest.approx(8 / batch, rel=0.002)


def test_the_order_of_a_trace_does_not_bias_the_saturation_rate():
    """Short requests first: what counts is the mix, not what happens to come first."""
    mixed = "traffic.lengths={kind: independent, prompt: {kind: fixed, tokens: 100}, "
    mixed += "output: {kind: empirical, values: [10, 190]}}"
    spec = scenario(mixed, "traffic.requests=20000")
    requests = spec.traffic.draw(1, 0, spec.base_dir)
    system = build_system(spec)
    drawn = saturation_per_replica(system, requests)
    requests.output_tokens.sort()
    assert saturation_per_replica(system, requests) == pytest.approx(drawn, rel=0.03)


@pytest.mark.parametrize(("load", "steady"), [(0.9, True), (1.1, False)])
def test_a_load_above_the_saturation_rate_has_no_steady_state(load, steady):
    rate = 2 * saturation(scenario()) * load
    result = simulate(scenario(f"traffic.arrivals.rate={rate:.6g} req/s")).result
    assert result.steady is steady
    p99 = result.whole.metrics.latency["ttft"]["p99"].value
    assert (p99 is not None) is steady


def test_a_fleet_that_is_lost_on_the_way_has_no_steady_state():
    rate = saturation(scenario()) * 0.5
    result = simulate(
        scenario(
            f"traffic.arrivals.rate={rate:.6g} req/s",
            "fleet.events=[{at: 5min, kind: fail, replicas: 2}]",
        )
    ).result
    assert not result.steady
    assert result.to_json()["requests"]["waiting"] > 100


def test_reserving_the_whole_prompt_preempts_less_than_admitting_its_first_chunk():
    crowded = (
        "service.engine.max_num_seqs=64",
        "service.engine.kv_tokens=8192",
        "traffic.arrivals.rate=20 req/s",
        "traffic.requests=400",
        "service.engine.max_num_batched_tokens=256",
    )
    counts = [
        simulate(
            scenario(
                *crowded,
                f"service.engine.scheduler={{kind: chunked, scheduler_reserve_full_isl: {flag}}}",
            )
        ).result.preemptions
        for flag in ("true", "false")
    ]
    assert counts[0] < counts[1]
