"""Closed forms are bounds: no simulation beats them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.profile import load_profile
from planner.latency.step_time import step_batch
from planner.planning.bounds import first_guess
from planner.planning.constraints import constraints_of
from planner.planning.demand import Step, Work, capacity, means
from planner.planning.entries import bounded, taken, under
from planner.planning.evaluation import Evaluator
from planner.planning.plan import objectives_of
from planner.planning.sizing import smallest
from planner.planning.space import candidates
from planner.planning.unloaded import unloaded
from planner.planning.workload import Workload
from planner.scenario.reader import read_scenario
from planner.simulation.run import run_llm
from planner.simulation.saturation import saturation_per_replica
from planner.simulation.system import build_system

TEXT = """
name: x
traffic:
  requests: 400
  arrivals: {{kind: poisson, rate: {rate} req/s}}
  lengths:
    kind: lognormal
    prompt: {{mean: {prompt}, cv: 1, min: 5, max: 6000}}
    output: {{mean: {output}, cv: 1, min: 1, max: 900}}
service:
  kind: llm
  model: {model}
  settings: {{weights: {weights}}}
  engine: {{max_num_seqs: {sequences}, max_num_batched_tokens: {budget}, scheduler: {scheduler}}}
fleet: {{device: {device}, tensor_parallel: {tensor}}}
simulation: {{warmup: 0 s}}
"""
CASES = [
    ("llama-3.1-8b", "bf16", "H100-SXM-80GB", 1, 256, 2048, "{kind: chunked}"),
    ("llama-3.1-8b", "int4", "L4", 2, 64, 8192, "{kind: chunked}"),
    ("gemma-3-27b", "fp8", "H200-SXM-141GB", 2, 128, 1024, "{kind: chunked}"),
    ("gpt-oss-20b", "mxfp4", "H100-SXM-80GB", 1, 256, 2048, "{kind: chunked}"),
    ("llama-3.1-8b", "fp8", "L40S", 1, 32, 2048, "{kind: prefill_first}"),
    ("qwen3.5-9b", "bf16", "H100-SXM-80GB", 2, 256, 1024, "{kind: chunked}"),
    ("qwen3.5-35b-a3b", "fp8", "L40S", 1, 64, 2048, "{kind: prefill_first}"),
    ("qwen2.5-3b", "bf16", "L40S", 1, 32, 2048, "{kind: static, batch_size: 8, timeout: 50 ms}"),
]


def scenario(case, rate=5.0, prompt=700, output=120):
    names = ("model", "weights", "device", "tensor", "sequences", "budget", "scheduler")
    values = dict(zip(names, case, strict=True))
    return read_scenario(TEXT.format(rate=rate, prompt=prompt, output=output, **values))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("prompt", [100, 1500])
@pytest.mark.parametrize("output", [20, 250])
def test_no_replica_finishes_more_than_its_capacity(case, prompt, output):
    one = scenario(case, prompt=prompt, output=output)
    system = build_system(one)
    requests = one.traffic.draw(1, 0, one.base_dir)
    step = Step(system)
    bound = capacity(step, means(requests, step.c.window))
    # the backlog that saturation is measured on repeats these requests in another order
    assert saturation_per_replica(system, requests) <= 1.03 * bound


@pytest.mark.parametrize("prompt", [2, 300])
@pytest.mark.parametrize("output", [2, 100])
def test_bounds_hold_where_all_tokens_but_the_first_read_the_weights_again(
    tmp_path, prompt, output
):
    profile = load_profile("assumed").model_dump(mode="json", exclude_none=True)
    for name, value in (("reread", 3.0), ("reread_tokens", 2.0)):
        number = {"value": value, "provenance": "assumed", "source": "a test"}
        profile["coefficients"][name] = number
    (tmp_path / "again.json").write_text(json.dumps(profile))
    text = TEXT.format(
        rate=5.0, prompt=prompt, output=output, model="llama-3.1-8b", weights="bf16",
        device="H100-SXM-80GB", tensor=1, sequences=4, budget=64, scheduler="{kind: chunked}",
    ).replace("min: 5, max: 6000", "min: 1, max: 600")  # fmt: skip
    one = read_scenario(text, overrides=[f"service.profile={tmp_path / 'again.json'}"])
    system = build_system(one)
    requests = one.traffic.draw(1, 0, one.base_dir)
    step = Step(system)
    assert step.c.experts_free == 1
    bound = capacity(step, means(requests, step.c.window))
    assert saturation_per_replica(system, requests) <= 1.03 * bound
    record = run_llm(one, system, requests, replication=0)
    first = record.first_token_s - record.arrival_s
    bounds = np.array([step.first_token(int(each)) for each in record.prompt_tokens])
    assert (first >= bounds * (1 - 1e-9)).all()
    least = step.least_hit(prompt)
    step.c.experts_free = 0.0  # as of experts, it would be more
    assert least < step.least_hit(prompt)


@pytest.mark.parametrize("kv_tokens", [600, 1500, 4000])
def test_no_replica_finishes_more_than_its_capacity_where_answers_are_cut(kv_tokens):
    one = read_scenario(
        TEXT.format(
            rate=5.0, prompt=400, output=400, model="llama-3.1-8b", weights="bf16",
            device="H100-SXM-80GB", tensor=1, sequences=256, budget=2048,
            scheduler="{kind: chunked}",
        ),
        overrides=[f"service.engine.kv_tokens={kv_tokens}"],
    )  # fmt: skip
    system = build_system(one)
    requests = one.traffic.draw(1, 0, one.base_dir)
    served, step = taken(requests, system), Step(system)
    assert len(served) < len(requests)
    assert (served.prompt_tokens + served.output_tokens).max() <= kv_tokens
    found = saturation_per_replica(system, requests)
    assert found <= 1.03 * capacity(step, means(served, step.c.window))
    if kv_tokens == 600:  # what is not done was counted before
        assert found > 1.5 * capacity(step, means(requests, step.c.window))


@pytest.mark.parametrize("case", CASES[:-1], ids=str)
def test_no_request_is_faster_than_alone(case):
    one = scenario(case, rate=8.0)
    system = build_system(one)
    requests = one.traffic.draw(1, 0, one.base_dir)
    record = run_llm(one, system, requests, replication=0)
    alone = unloaded(Step(system), requests, None)
    done = record.finished_s - record.arrival_s
    assert np.quantile(done, 0.9) >= np.quantile(alone.e2e, 0.8)
    first = record.first_token_s - record.arrival_s
    step = Step(system)
    bound = np.array([step.first_token(int(each)) for each in record.prompt_tokens])
    assert (first >= bound * (1 - 1e-9)).all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_bound_of_one_step_is_its_time(case):
    step = Step(build_system(scenario(case)))
    batch = step_batch([(200, 0), (30, 50)], [10, 700], step.c.window)
    work = batch._asdict() | {
        "steps": 1,
        "experts": -np.expm1(batch.tokens * step.c.experts_log_miss),
    }
    seconds = step.seconds(((200, 0), (30, 50)), (10, 700))
    assert step.least(Work(**work)) == pytest.approx(seconds, rel=1e-9)


@pytest.mark.parametrize("case", [CASES[0], CASES[5], CASES[6]], ids=str)
def test_what_a_request_holds_is_no_more_than_its_blocks_and_less_by_part_of_one(case):
    system = build_system(scenario(case))
    step, layout, size = Step(system), system.pool.layout, system.pool.block_size
    one = SimpleNamespace(prompt_tokens=np.array([700]), output_tokens=np.array([120]))
    held = step.held(means(one, 0))
    blocks = sum(layout.request_blocks(700 + each, step.budget) for each in range(1, 120))
    assert held <= blocks * size < held + 119 * layout.full_groups * size


def test_a_guess_grows_with_the_rate():
    one = scenario(CASES[0])
    step = Step(build_system(one))
    requests = one.traffic.draw(1, 0, one.base_dir)
    mean = means(requests, step.c.window)
    guesses = [first_guess(step, mean, rate, 0.02, 1) for rate in (1, 10, 50, 200)]
    assert guesses == sorted(guesses)
    assert guesses[-1] > guesses[0]


@settings(max_examples=200)
@given(
    least=st.integers(1, 300),
    guess=st.integers(1, 300),
    low=st.integers(1, 100),
    span=st.integers(0, 300),
)
def test_the_smallest_number_that_passes_is_found_from_any_guess(least, guess, low, span):
    tried = []

    def passes(n):
        tried.append(n)
        return n >= least

    high = low + span
    found = smallest(passes, guess, low, high)
    assert found == (max(low, least) if least <= high else None)
    assert all(low <= n <= high for n in tried)
    assert len(tried) <= 25


PLANS = """
plan:
  devices: [L40S, L4]
  tensor_parallel: [1, 3]
  weights: [bf16, fp8]
  kv_cache: [bf16, fp8]
  max_num_batched_tokens: [2048]
  {limits}
objectives: "ttft:p95<{ttft} ms"
"""


@pytest.mark.parametrize("ttft", [5, 600])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("max_cost: $1/h", "max_cost: $100/h"),
        ("max_cost: $100/h", "max_cost: $1/h"),
        ("{max_quality_loss: 1%, max_power: 300 W}", "max_power: 300 W"),
        ("{measured_only: true, max_quality_loss: 1%}", "max_quality_loss: 1%"),
    ],
)
def test_bounds_that_are_known_are_the_same_under_other_constraints(before, after, ttft):
    rows = []
    for limits in (before, after):
        text = TEXT + PLANS.replace("{limits}", limits.strip("{}").replace(", ", "\n  "))
        names = ("model", "weights", "device", "tensor", "sequences", "budget", "scheduler")
        values = dict(zip(names, CASES[0], strict=True))
        one = read_scenario(text.format(rate=20, prompt=700, output=120, ttft=ttft, **values))
        evaluator = Evaluator(Workload(one, objectives_of(one)), load_profile("assumed"))
        space = list(enumerate(candidates(one, one.plan, evaluator.profile)))
        constraints = constraints_of(one, one.plan)
        rows.append((bounded(evaluator, space, constraints), constraints))
    (known, _), (anew, constraints) = rows
    derived = [under(each, constraints) for each in known]
    assert len(derived) == 16
    for from_known, computed in zip(derived, anew, strict=True):
        assert from_known in {computed, None}
    assert any(derived)
    unknown = sum(each is None for each in derived)
    assert (unknown > 0) == before.startswith("{")
