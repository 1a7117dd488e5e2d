"""The nouns of a plan and their JSON."""

import pytest

from planner.planning.candidate import candidate_of
from planner.planning.limits import Bind
from planner.planning.option import Option as Fleet
from planner.planning.option import Outcome, Quality
from planner.planning.result import (
    Counts,
    Plan,
    PlanContext,
    Recommendation,
)
from planner.scenario.reader import read_scenario

SCENARIO = read_scenario(
    """
name: small
traffic:
  duration: 400 s
  arrivals: {kind: poisson, rate: 5 req/s}
  lengths: {kind: fixed, prompt: 100, output: 20}
service: {kind: llm, model: llama-3.1-8b, settings: {weights: fp8}}
fleet:
  device: L40S
  replicas: 2
  tensor_parallel: 2
  failures: {mtbf: 1 h, mttr: 1 min}
"""
)


def option(**changed):
    values = {
        "candidate": candidate_of(SCENARIO),
        "replicas": 3,
        "spares": 1,
        "usd_per_hour": 6.32,
        "usd_per_million_output_tokens": 1.5,
        "watts": 2800.0,
        "kwh_per_million_output_tokens": 1.2,
        "quality": Quality(None, "not measured"),
        "probability": 0.99,
        "outcomes": (Outcome("ttft:p95<300ms", None, 0.24, 0.22, 0.26, 0.3, 0.99),),
    }
    return Fleet(**{**values, **changed})


def test_devices_are_those_of_all_replicas_and_spares():
    assert option().devices == (3 + 1) * 2


def test_a_margin_is_what_is_left_to_the_bound():
    latency = Outcome("ttft:p95<300ms", None, 0.24, None, None, 0.3, 0.9)
    share = Outcome("goodput{ttft<2s}>=0.8", None, 0.9, None, None, 0.8, 0.9)
    assert latency.margin == pytest.approx(0.2)
    assert share.margin == pytest.approx(0.125)
    assert Outcome("ttft:p95<1s", None, None, None, None, 1.0, 0.0).margin is None


def test_a_candidate_makes_a_scenario_with_a_fixed_fleet():
    made = candidate_of(SCENARIO).scenario(SCENARIO, 7)
    assert made.fleet.replicas == 7
    assert made.fleet.failures is None
    assert made.service == SCENARIO.service
    assert made.traffic == SCENARIO.traffic


def test_candidates_that_differ_have_keys_that_differ():
    one = candidate_of(SCENARIO)
    other = candidate_of(SCENARIO.model_copy(update={"fleet": SCENARIO.fleet.model_copy(
        update={"tensor_parallel": 4})}))  # fmt: skip
    assert one.key == candidate_of(SCENARIO).key
    assert one.key != other.key


def test_the_json_has_the_keys_that_are_promised():
    recommendation = Recommendation(option(), {}, (Bind("wait", "it waits"),), 0.2, "because")
    context = PlanContext("", "0", {}, "small", 1, ("ttft:p95<300ms",), {}, 0.95, "", 5.0)
    counts = Counts(10, {"memory": 4}, 6)
    data = Plan(context, recommendation, (option(),), (option(),), counts, None).to_json()
    assert {"recommendation", "alternatives", "pareto", "candidates", "infeasible"} <= data.keys()
    assert data["candidates"] == {"total": 10, "excluded": {"memory": 4}, "simulated": 6}
    assert data["infeasible"] is None
    found = data["recommendation"]
    wanted = {
        "pools", "devices", "usd_per_hour", "quality_loss", "probability", "metrics", "binding",
        "binds",
        "headroom", "because",
    }  # fmt: skip
    assert wanted <= found.keys()
    pool = found["pools"][0]
    assert pool["device"] == "L40S"
    assert pool["replicas"] == 4
    assert pool["tensor_parallel"] == 2
    assert pool["pipeline_parallel"] == 1
    assert pool["settings"]["weights"] == "fp8"
    assert pool["engine"]["max_num_seqs"] == 256
