"""What binds a plan: without it the plan would be another, with it the plan is this one."""

import pytest

from planner.planning.limits import Bind

PARTS = {"wait", "compute", "storage", "transfer", "overhead", "kv"}


def names(plan):
    return [each.name for each in plan.recommendation.binds]


def cost(plan):
    return plan.recommendation.option.usd_per_hour


def priced(bind):
    """Return the cost that the sentence of a constraint speaks of."""
    return float(bind.why.partition("$")[2].partition("/h")[0])


def test_without_constraints_a_part_of_the_latency_binds(planned):
    plan = planned()
    assert len(names(plan)) == 1
    assert plan.recommendation.binding in PARTS


#: 3 x L40S are the cheapest, then 1 x H200.
BUSY = ("traffic.arrivals.rate=40 req/s", "plan.devices=[L40S, H200-SXM-141GB]")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("plan.max_quality_loss=2%", "quality"),
        ("plan.max_replicas=2", "replicas"),
        ("plan.max_power=1 kW", "power"),
        ("plan.max_devices={L40S: 0}", "devices"),
    ],
)
def test_a_constraint_that_keeps_a_cheaper_plan_out_binds_first(planned, change, name):
    free, held = planned(*BUSY), planned(*BUSY, change)
    assert cost(held) > cost(free)
    first = held.recommendation.binds[0]
    assert (first.name, held.recommendation.binding) == (name, name)
    assert priced(first) == pytest.approx(cost(free), abs=0.005)
    assert "would do" in first.why
    assert set(names(held)) & PARTS


@pytest.mark.parametrize(
    "change",
    ["plan.max_replicas=64", "plan.max_power=50 kW", "plan.max_devices={all: 100}"],
)
def test_a_constraint_that_changes_nothing_does_not_bind(planned, change):
    assert names(planned(change)) == names(planned())


def test_quality_that_loses_nothing_does_not_bind(planned):
    plan = planned("plan.max_quality_loss=2%", "plan.weights=[bf16]")
    assert "quality" not in names(plan)


def test_a_budget_for_no_replica_more_binds_last(planned):
    price = cost(planned())
    each = price / planned().recommendation.option.replicas
    tight = planned(f"plan.max_cost=${price + each / 2:.3f}/h")
    roomy = planned(f"plan.max_cost=${price + 1.01 * each:.3f}/h")
    assert cost(tight) == cost(roomy) == price
    last = tight.recommendation.binds[-1]
    assert last.name == "cost"
    assert priced(last) == pytest.approx(price + each, abs=0.005)
    assert tight.recommendation.binding in PARTS
    assert "cost" not in names(roomy)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        (["objectives=tpot:p95<14ms", "traffic.arrivals.rate=1 req/s", "plan.weights=[bf16]",
          "plan.devices=[H100-SXM-80GB]"], "storage"),
        (["objectives=ttft:p95<600ms", "traffic.arrivals.rate=0.2 req/s",
          "traffic.lengths={kind: fixed, prompt: 5000, output: 2}", "traffic.duration=4000 s"],
         "compute"),
        (["objectives=ttft:p95<8s", "plan.max_num_seqs=[4]", "plan.weights=[fp8]",
          "plan.devices=[L40S]"], "wait"),
    ],
)  # fmt: skip
def test_the_part_that_binds_is_what_the_latency_is_made_of(planned, changes, part):
    assert planned(*changes).recommendation.binding == part


def test_waiting_for_kv_blocks_is_named_as_that(planned):
    plan = planned(
        "objectives=ttft:p95<20s",
        "service.engine.gpu_memory_utilization=0.85",
        "service.engine.max_model_len=4096",
        "traffic.lengths={kind: fixed, prompt: 1000, output: 900}",
        "traffic.arrivals.rate=0.5 req/s",
        "traffic.duration=2000 s",
        "plan.devices=[L4]",
        "plan.weights=[bf16]",
    )
    assert plan.recommendation.binding == "kv"


def test_what_binds_is_written_with_its_reason():
    assert Bind("cost", "no more").to_json() == {"limit": "cost", "why": "no more"}
