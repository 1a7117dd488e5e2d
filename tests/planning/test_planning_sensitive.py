"""Sensitivity: an input that is said to change the plan does, and one that is not does not."""

import pytest

#: One L40S misses by little what one H100 meets by far, and costs less.
NEAR = (
    "plan.devices=[L40S, H100-SXM-80GB]",
    "plan.weights=[bf16]",
    "plan.max_devices={L40S: 1}",
    "traffic.rate=3 req/s",
    "objectives=tpot:p95<34ms",
)


def influences(plan):
    return {each.name: each for each in plan.sensitivity}


def test_an_input_that_would_let_a_cheaper_fleet_do_names_it(planned):
    plan = planned(*NEAR)
    assert plan.recommendation.option.candidate.device_name == "H100-SXM-80GB"
    found = influences(plan)
    assert found["storage_efficiency"].cheaper == "1 x L40S bf16/bf16, $0.79/h"
    assert found["overhead_fixed"].cheaper == ""
    for name, each in found.items():
        assert each.changes_plan is bool(each.cheaper), name
        assert each.to_json()["cheaper_would_do"] == (each.cheaper or None)


def test_with_that_input_the_cheaper_fleet_is_the_plan(planned):
    found = influences(planned(*NEAR))
    assert found["rate"].cheaper
    fewer = planned(*NEAR, "traffic.rate=2.7 req/s").recommendation.option
    assert (fewer.candidate.device_name, fewer.replicas) == ("L40S", 1)


@pytest.mark.parametrize(("tpot", "name"), [("38ms", "storage_efficiency"), ("39ms", "rate")])
def test_a_fleet_that_would_be_too_small_at_one_end_is_said_to_be(planned, tpot, name):
    plan = planned(*NEAR, f"objectives=tpot:p95<{tpot}")
    assert plan.recommendation.option.candidate.device_name == "L40S"
    each = influences(plan)[name]
    assert each.changes_plan is not each.enough
    assert each.enough is (name == "rate")
