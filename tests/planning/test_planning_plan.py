"""Plans: sane, explained, and the same however they are found."""

import json
import math

import jsonschema
import pytest
from command_line import planner

from planner.errors import InputError
from planner.evaluate import simulate
from planner.report.json import result_schema_text
from planner.report.plan_files import plan_json
from planner.scenario.reader import read_scenario

SCHEMA = json.loads(result_schema_text("plan"))


def cost(plan):
    return plan.recommendation.option.usd_per_hour


def test_a_plan_meets_every_objective_with_the_probability_asked_for(planned):
    plan = planned()
    option = plan.recommendation.option
    assert option.probability >= 0.95
    assert all(each.margin > 0 for each in option.outcomes)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(plan_json(plan)))


def test_a_plan_keeps_its_simulation_and_what_its_fleet_does_at_other_rates(planned):
    plan = planned("simulation.replications=1")
    assert plan.simulation.whole.to_json()["metrics"] == plan.recommendation.metrics
    offered = plan.simulation.context.offered_per_s
    rates = [each.value for each in plan.loads]
    assert rates == sorted(rates)
    assert rates[-1] < plan.simulation.context.saturation_per_s
    at = {each.value: each.cell for each in plan.loads}
    assert at[offered]["objectives_met"]
    waits = [each["metrics"]["wait_s"]["mean"]["value"] for each in at.values()]
    assert waits[0] < waits[-1]
    infeasible = planned("plan.max_cost=$0.01/h")
    assert (infeasible.simulation, infeasible.loads) == (None, ())


def test_candidates_are_excluded_by_reason_or_simulated(planned):
    counts = planned("plan.tensor_parallel=[1, 3, 16]").counts
    assert counts.total == sum(counts.excluded.values()) + counts.simulated
    assert counts.excluded["cannot be divided so"] == 8


def test_more_traffic_never_gives_a_cheaper_plan(planned):
    costs = [cost(planned(f"traffic.rate={rate} req/s")) for rate in (3, 8, 12, 18, 30)]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]


def test_a_looser_target_never_gives_a_dearer_plan(planned):
    costs = [
        cost(planned(f"objectives=ttft:p95<{ttft}ms; tpot:p95<{tpot}ms"))
        for ttft, tpot in ((250, 30), (300, 35), (400, 45), (800, 60), (3000, 90))
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_more_confidence_never_gives_a_cheaper_plan(planned):
    costs = [cost(planned(f"plan.confidence={share}")) for share in (0.5, 0.9, 0.99)]
    assert costs == sorted(costs)


def test_spares_survive_the_loss_of_as_many_replicas(planned):
    bare, spared = planned(), planned("plan.spares=1")
    one, more = bare.recommendation.option, spared.recommendation.option
    assert (more.replicas, more.spares) == (one.replicas, 1)
    assert more.devices == one.devices + 1
    outage = spared.recommendation.outage
    assert outage.lost == 1
    assert all(each.value <= each.bound for each in outage.outcomes)


def test_the_outage_is_a_simulation_in_which_a_replica_fails_halfway(planned, small):
    recommended = planned("plan.spares=1").recommendation
    option, outage = recommended.option, recommended.outage
    half = (20 + 200) / 2
    settings = option.candidate.settings
    failing = read_scenario(
        small.read_text(),
        overrides=[
            f"fleet.device={option.candidate.device_name}",
            f"fleet.replicas={option.replicas + 1}",
            f"service.settings.weights={settings.weights}",
            f"fleet.events=[{{at: {half} s, kind: fail, replicas: 1}}]",
            f"simulation.warmup={half} s",
        ],
    )
    found = simulate(failing).result.whole.objectives
    for here, there in zip(outage.outcomes, found, strict=True):
        assert here.value == pytest.approx(there.value, rel=1e-9)
        undisturbed = option.outcomes[outage.outcomes.index(here)]
        assert here.value != undisturbed.value


def test_availability_decides_the_spares(planned):
    failing = "fleet.failures={mtbf: 10 h, mttr: 1 h}"
    few = planned(failing, "plan.availability=50%").recommendation.option
    many = planned(failing, "plan.availability=99.99%").recommendation.option
    assert few.spares < many.spares


def test_the_same_plan_in_other_processes(planned, tmp_path):
    alone = planned(store=tmp_path / "a.jsonl").to_json()
    together = planned(store=tmp_path / "b.jsonl", jobs=2).to_json()
    for each in (alone, together):
        del each["method"]
    assert alone == together


def test_today_is_compared_with_the_plan(planned):
    plan = planned()
    assert plan.today.replicas == 6
    changed = {each.name: (each.sign, each.before, each.after) for each in plan.difference}
    option = plan.recommendation.option
    assert changed["replicas"] == ("~", "6", str(option.replicas))
    assert changed.keys() <= {"device", "replicas", "weights"}


def test_today_has_the_replicas_of_the_scenario_and_no_spares(planned):
    bare, spared = (planned(f"plan.spares={n}").today for n in (0, 2))
    assert (spared.replicas, spared.spares, spared.devices) == (6, 0, 6)
    assert spared.usd_per_hour == bare.usd_per_hour
    assert (spared.watts, spared.probability) == (bare.watts, bare.probability)


def test_activations_that_weights_compute_in_anyway_are_no_change(planned):
    changed = planned("plan.weights=[fp8]", "plan.activations=[fp8]").difference
    assert {each.name for each in changed} == {"replicas", "weights"}
    other = planned("plan.weights=[fp8]", "plan.activations=[bf16]").difference
    assert ("+", "activations", "", "bf16") in {
        (each.sign, each.name, each.before, each.after) for each in other
    }


def fleet(option):
    """Return what of a fleet is bought."""
    one = option.candidate
    settings = one.settings.model_dump(mode="json", exclude={"launch"})
    return option.replicas, one.device_name, one.tensor_parallel, json.dumps(settings)


def test_alternatives_differ_in_what_is_bought(planned):
    plan = planned("plan.max_num_batched_tokens=[1024, 2048, 8192]", "plan.kv_cache=[bf16, fp8]")
    fleets = [fleet(each) for each in (plan.recommendation.option, *plan.alternatives)]
    assert len(plan.alternatives) > 1
    assert len(set(fleets)) == len(fleets)


def test_alternatives_differ_in_the_settings_of_the_engine_where_nothing_else_does(planned):
    plan = planned(
        "plan.max_num_batched_tokens=[2048, 8192]",
        "plan.devices=[H100-SXM-80GB]",
        "plan.weights=[fp8]",
        "traffic.rate=1 req/s",
    )
    option, (other,) = plan.recommendation.option, plan.alternatives
    assert fleet(option) == fleet(other)
    assert option.candidate.key != other.candidate.key


def test_no_plan_beside_the_recommendation_is_better_in_everything(planned):
    plan = planned("plan.weights=[bf16, fp8, int8]")
    best = plan.recommendation.option
    assert best in plan.pareto
    for other in plan.pareto:
        assert other.usd_per_hour >= best.usd_per_hour
        assert not any(all(a <= b for a, b in zip(worth(one), worth(other), strict=True))
                       and worth(one) != worth(other) for one in plan.pareto)  # fmt: skip


def worth(option):
    """Return what a fleet is on a front for, less is better: cost, quality lost, margin used."""
    loss = option.quality.loss
    used = -min(each.margin for each in option.outcomes)
    return option.usd_per_hour, math.inf if loss is None else loss, used


def test_the_front_holds_fleets_of_which_there_is_an_estimate_and_says_so(planned):
    plan = planned(
        "traffic.arrivals.rate=40 req/s", "plan.devices=[L40S, A100-SXM-80GB, H100-SXM-80GB]"
    )
    best = plan.recommendation.option
    in_part = [each for each in plan.pareto if each.traffic_share < 1]
    assert in_part
    assert all(each.traffic_share == pytest.approx(1 / 5) for each in in_part)  # of 5 replications
    assert all(each.probability >= 0.95 for each in plan.pareto)
    assert all(each.usd_per_hour >= best.usd_per_hour for each in in_part)
    assert best.traffic_share == 1


def test_quality_that_nobody_measured_is_unknown_and_can_be_excluded(planned):
    lax, strict = planned(), planned("plan.max_quality_loss=2%")
    assert lax.recommendation.option.quality.loss is None
    assert any("quality" in each for each in lax.notices)
    option = strict.recommendation.option
    assert option.quality.loss == 0
    assert option.candidate.settings.weights == "bf16"
    assert strict.counts.excluded["quality not known"] == 2


@pytest.mark.parametrize(
    ("change", "binding", "flag"),
    [
        ("plan.max_cost=$0.5/h", "cost", "--max-cost"),
        ("plan.max_devices={all: 1}", "devices", "--max-devices"),
        ("plan.max_power=100 W", "power", "--max-power"),
        ("plan.max_replicas=1", "replicas", "plan.max_replicas"),
    ],
)
def test_an_infeasible_plan_names_what_binds_and_what_would_do(planned, change, binding, flag):
    plan = planned(change, "traffic.rate=30 req/s")
    assert plan.recommendation is None
    assert plan.infeasible.binding == binding
    assert any(each.change.startswith(flag) for each in plan.infeasible.nearest)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(plan_json(plan)))


def test_a_target_that_no_device_meets_comes_with_the_nearest_that_can_be_met(planned):
    plan = planned("objectives=ttft:p95<5ms; tpot:p95<45ms")
    assert plan.recommendation is None
    assert plan.infeasible.binding == "target"
    assert "no device meets ttft:p95<5ms even with an empty replica" in plan.infeasible.why
    nearest = plan.infeasible.nearest[0]
    target = nearest.change.removeprefix("--target '").removesuffix("'")
    assert planned(f"objectives={target}").recommendation is not None


@pytest.mark.parametrize("bounds", ["ttft<5ms", "ttft<100ms,tpot<3ms"])
def test_bounds_that_hardly_any_request_meets_are_made_longer(planned, bounds):
    plan = planned(f"objectives=goodput{{{bounds}}}>=0.9")
    assert plan.recommendation is None
    target = plan.infeasible.nearest[0].change.removeprefix("--target '").removesuffix("'")
    assert target.endswith(">=0.9")
    assert planned(f"objectives={target}").recommendation is not None


def test_a_target_and_a_limit_that_both_bind_are_both_changed(planned):
    one = ("plan.devices=[L40S]", "plan.weights=[fp8]")
    plan = planned("objectives=ttft:p95<5ms", "plan.max_cost=$0.5/h", *one)
    change = plan.infeasible.nearest[0].change
    target, cost = change.removeprefix("--target '").removesuffix("'").split("' --max-cost '")
    found = planned(f"objectives={target}", f"plan.max_cost={cost}", *one)
    assert found.recommendation is not None
    assert planned(f"objectives={target}", "plan.max_cost=$0.5/h", *one).recommendation is None


@pytest.mark.parametrize(
    ("more", "names", "flags"),
    [
        ((), "the cost and the power", ["--max-cost", "--max-power"]),
        (
            ("plan.max_quality_loss=1%", "plan.weights=[bf16, fp8]"),
            "the cost and the power",
            ["--max-cost", "--max-power"],
        ),
        (
            ("plan.max_quality_loss=1%", "plan.weights=[fp8]"),
            "the cost, the power and the quality",
            ["--max-cost", "--max-power", "--max-quality-loss"],
        ),
    ],
)
def test_limits_that_bind_together_are_named_and_the_target_stays(planned, more, names, flags):
    plan = planned("plan.max_cost=$0.3/h", "plan.max_power=60 W", *more)
    assert (plan.recommendation, plan.infeasible.binding) == (None, "cost")
    assert f"{names} bind together: without them the target can be met" in plan.infeasible.why
    (nearest,) = plan.infeasible.nearest
    assert [word for word in nearest.change.split() if word.startswith("--")] == flags
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(plan_json(plan)))


def test_a_space_of_which_nothing_can_be_built_is_what_binds(planned):
    plan = planned("plan.tensor_parallel=[3]")
    assert plan.infeasible.binding == "space"
    assert plan.infeasible.why == "no candidate is left (cannot be divided so 4)"
    assert plan.infeasible.nearest == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("service.model=lama-3.1-8b", "service.model: must be a model .*'llama-3.1-8b'"),
        ("service.model=bert-base", "service.model: must be a decoder"),
        ("fleet.device=L4OS", "fleet.device: must be a device of the catalogue"),
    ],
)
def test_what_no_catalogue_has_is_bad_input_rather_than_no_plan(planned, change, message):
    with pytest.raises(InputError, match=message):
        planned(change, *(["plan.devices=null"] if change.startswith("fleet") else []))


def test_a_plan_says_what_of_the_traffic_was_left_out_and_names_the_nearest_in_full(planned):
    plan = planned(
        "plan.tensor_parallel=[2]",
        "plan.weights=[fp8]",
        "plan.max_devices={all: 40}",
        "traffic.lengths.prompt.max=900",
    )
    assert any("prompt lengths drawn above 900 tokens" in each for each in plan.notices)


def test_a_space_too_large_is_refused_before_anything_is_built(planned, monkeypatch):
    monkeypatch.setattr("planner.planning.space.product", None)  # combines nothing
    numbers = list(range(1, 4001))
    options = [("plan.max_num_seqs", numbers), ("plan.max_num_batched_tokens", numbers)]
    with pytest.raises(InputError, match="at most 200,000 candidates, got 64,000,000"):
        planned(options=options)


def test_a_probability_from_too_few_misses_comes_with_a_notice(planned):
    short = (
        "traffic.duration=150 s",
        "traffic.arrivals={kind: deterministic, rate: 2 req/s}",
        "traffic.lengths={kind: fixed, prompt: 300, output: 20}",
        "objectives=ttft:p99<5s; tpot:p50<1s",
    )
    said = [each for each in planned(*short).notices if "may be overstated" in each]
    assert [each.partition(":")[0] for each in said] == ["ttft"]
    assert "ttft:p99<5s: of requests that miss together no more than" in said[0]
    assert not any("may be overstated" in each for each in planned().notices)


def test_nothing_measured_is_left_with_measured_only(planned):
    plan = planned("plan.measured_only=true")
    assert plan.infeasible.binding == "measured_only"
    assert plan.counts.excluded == {"not measured": 4}


def test_the_command_prints_the_plan_and_exits_0(small):
    ran = planner("plan", small, "--jobs", 1, "-q")
    assert ran.code == 0, ran.err
    assert "Plan: " in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_the_command_exits_4_where_there_is_no_plan(small):
    ran = planner("plan", small, "--jobs", 1, "-q", "--json", "--target", "ttft:p95<1ms")
    assert ran.code == 4
    data = json.loads(ran.out)
    assert data["recommendation"] is None
    assert data["infeasible"]["binding"] == "target"


def test_a_folder_holds_the_plan_and_is_taken_up_again(small, tmp_path):
    args = ("plan", small, "--jobs", 1, "-q", "--json", "--out", tmp_path / "run")
    first, again = (json.loads(planner(*args).out) for _ in range(2))
    assert first["method"]["evaluations_reused"] == 0
    assert again["method"]["evaluations_reused"] == first["method"]["evaluations"]
    assert json.loads((tmp_path / "run/plan.json").read_text()) == again
    del first["method"], again["method"]
    assert first == again


def test_objectives_of_classes_count(planned):
    text = """\
name: classes
traffic:
  duration: 200 s
  classes:
    - name: short
      arrivals: {kind: poisson, rate: 6 req/s}
      lengths: {kind: fixed, prompt: 200, output: 40}
      objectives: "ttft:p90<300ms"
    - name: long
      arrivals: {kind: poisson, rate: 2 req/s}
      lengths: {kind: fixed, prompt: 3000, output: 200}
      objectives: "goodput{ttft<2s,tpot<60ms}>=0.9; e2e:mean<20s"
service: {kind: llm, model: llama-3.1-8b}
fleet: {device: L40S}
simulation: {replications: 5, warmup: 20 s}
plan: {devices: [L40S], tensor_parallel: [1], weights: [fp8], kv_cache: [bf16]}
"""
    outcomes = planned(text=text).recommendation.option.outcomes
    assert [(each.class_name, each.objective) for each in outcomes] == [
        ("short", "ttft:p90<300ms"),
        ("long", "goodput{ttft<2s,tpot<60ms}>=0.9"),
        ("long", "e2e:mean<20s"),
    ]
    assert all(each.probability >= 0.95 for each in outcomes)


def test_clients_that_wait_can_be_planned_for(planned):
    text = """\
name: clients
traffic:
  requests: 1500
  arrivals: {kind: closed_loop, clients: 40, think: {kind: exponential, mean: 1 s}}
  lengths: {kind: fixed, prompt: 300, output: 60}
service: {kind: llm, model: llama-3.1-8b}
fleet: {device: L40S}
objectives: "tpot:p95<60ms"
simulation: {replications: 5, warmup: 2 s}
plan: {devices: [L40S], tensor_parallel: [1], weights: [fp8], kv_cache: [bf16]}
"""
    plan = planned(text=text)
    assert plan.recommendation.option.probability >= 0.95
    assert plan.recommendation.headroom is None


def test_a_plan_is_exported_as_what_deploys_it_and_shown_on_standard_error(tmp_path):
    args = ("plan", "small_cpu", "--seed", "1", "--jobs", "1", "--out", tmp_path / "a")
    ran = planner(*args, "--export", "vllm")
    assert ran.code == 0
    assert "vllm serve" in ran.out
    assert "Plan: 1 + 1 spare x" in ran.err
    assert "one of 2 replicas" in ran.out.replace("\n#  ", "")
    refused = planner(*args, "--export", "vllm", "--json")
    assert (refused.code, refused.clean) == (2, True)


def test_a_plan_names_the_fitted_profile_of_its_device_as_a_simulation_does(planned):
    one = ("plan.devices=[H100-SXM-80GB]", "plan.weights=[bf16]", "traffic.rate=1 req/s")
    plan = planned(*one)
    profile = "is fitted to measurements of vllm on this device"
    assert profile in plan.context.profile
    assert profile in plan.simulation.context.profile
    assert not any("fitted to measurements" in each for each in plan.notices)


def test_a_plan_of_several_types_of_devices_names_a_fitted_profile_for_each(planned):
    plan = planned("plan.devices=[H100-SXM-80GB, L4]", "plan.weights=[bf16]")
    assert "fitted to" not in plan.context.profile
    (said,) = (each for each in plan.notices if each.startswith("profiles fitted to"))
    assert "for H100-SXM-80GB" in said
