"""The JSON of simulate: its keys, its nulls, steadiness and cost."""

import dataclasses
import json

import numpy as np
import pytest
from records_factory import make_records

from planner.errors import Notice
from planner.results.context import RunContext
from planner.results.records import FINISHED, PARTS, WAITING
from planner.results.samples import METRICS
from planner.results.summary import summarise
from planner.scenario.objectives import parse_objectives


def context(**changes):
    settings = {
        "command": "planner simulate x.yaml",
        "tool_version": "0.1.0",
        "scenario": {"name": "x"},
    }
    return RunContext(**{**settings, "seed": 7, **changes})


def thousand(**changes):
    waits = np.random.default_rng(1).exponential(0.1, 1000)
    return make_records(np.arange(1000) / 10, waits, **changes)


def test_the_json_has_the_promised_keys_in_their_order():
    result = summarise([thousand()], context(objectives=parse_objectives("ttft:p95<1s")))
    got = result.to_json()
    promised = [
        "schema_version", "tool_version", "command", "scenario", "seed", "provenance", "requests",
        "steady", "saturation_requests_per_s", "metrics", "parts", "throughput", "utilisation",
        "objectives", "cost",
    ]  # fmt: skip
    assert [key for key in got if key in promised] == promised
    assert list(got["requests"]) == [
        "arrived",
        "finished",
        "waiting",
        "running",
        "rejected",
        "retried",
    ]
    assert list(got["metrics"]) == [f"{metric}_s" for metric in METRICS]
    for statistics in got["metrics"].values():
        assert list(statistics) == ["mean", "p50", "p90", "p95", "p99"]
        assert all(list(each) == ["value", "low", "high"] for each in statistics.values())
    assert list(got["parts"]) == ["ttft_s", "e2e_s"]
    for statistics in got["parts"].values():
        assert list(statistics) == ["mean", "p50", "p95", "p99"]
        assert all(tuple(each) == PARTS for each in statistics.values())
    assert list(got["throughput"]) == [
        "requests_per_s",
        "output_tokens_per_s",
        "prompt_tokens_per_s",
    ]
    assert list(got["utilisation"]) == ["busy", "compute", "storage", "transfer", "kv_cache"]
    assert list(got["objectives"][0])[:5] == ["objective", "value", "low", "high", "met"]
    assert list(got["cost"]) == ["usd_per_hour", "usd_per_million_output_tokens"]
    assert got["classes"] is None
    json.dumps(got, allow_nan=False)


def test_parts_in_the_json_add_up_to_the_metrics_in_it():
    got = summarise([thousand(), thousand()], context()).to_json()
    for metric, statistics in got["parts"].items():
        for statistic, parts in statistics.items():
            value = got["metrics"][metric][statistic]["value"]
            assert sum(parts.values()) == pytest.approx(value, abs=1e-9)


def test_a_load_beyond_saturation_has_no_finite_tail():
    objectives = parse_objectives("ttft:p99<1h; tpot:p95<1h")
    result = summarise(
        [thousand()], context(offered_per_s=10.0, saturation_per_s=9.0, objectives=objectives)
    )
    got = result.to_json()
    assert got["steady"] is False
    assert got["saturation_requests_per_s"] == 9.0
    for metric in ("ttft_s", "e2e_s", "wait_s"):
        assert {each["value"] for each in got["metrics"][metric].values()} == {None}
        assert "no steady state" in got["undefined"][f"metrics.{metric}.p99"]
    assert not any(each["met"] for each in got["objectives"])
    assert not result.met
    assert {part for each in got["parts"]["e2e_s"].values() for part in each.values()} == {None}


@pytest.mark.parametrize(
    ("offered", "saturation", "steady"),
    [
        (9.0, 10.0, True),
        (10.0, 10.0, True),
        (10.1, 10.0, False),
        (None, 1.0, True),
        (5.0, None, True),
    ],
)
def test_steady_means_that_the_offered_load_is_sustained(offered, saturation, steady):
    result = summarise([thousand()], context(offered_per_s=offered, saturation_per_s=saturation))
    assert result.steady is steady


def test_without_a_saturation_rate_many_unfinished_requests_show_an_overload():
    status = np.where(np.arange(1000) < 900, FINISHED, WAITING)
    assert not summarise([thousand(status=status)], context(offered_per_s=5.0)).steady


def test_undefined_values_say_why():
    status = np.where(np.arange(1000) < 960, FINISHED, WAITING)
    got = summarise([thousand(status=status, output_tokens=1)], context()).to_json()["undefined"]
    assert got["metrics.ttft_s.p99"] == "falls among 40 unfinished requests"
    assert got["metrics.itl_s.p50"] == "no request has a value of it"


def test_cost_is_replica_time_paid_for():
    # 8 s window, 16 replica-seconds at $3/h; 22 output tokens finish in it
    records = make_records([0.0, 2, 3, 9], window=(2.0, 10.0), replica_seconds=16.0)
    cost = summarise([records], context(price_per_replica_hour=3.0)).cost
    assert cost["usd_per_hour"] == pytest.approx(6.0)
    assert cost["usd_per_million_output_tokens"] == pytest.approx(16 / 3600 * 3 / 22 * 1e6)
    assert set(summarise([records], context()).cost.values()) == {None}


def test_utilisation_is_averaged_and_null_where_not_recorded():
    runs = [make_records([0.0], usage={"busy": busy}) for busy in (0.2, 0.6)]
    utilisation = summarise(runs, context()).utilisation
    assert utilisation["busy"] == pytest.approx(0.4)
    assert utilisation["kv_cache"] is None


def test_classes_carry_their_own_objectives_and_decide_too():
    records = thousand(class_id=np.arange(1000) % 2, class_names=("chat", "batch"))
    result = summarise(
        [records], context(class_objectives={"chat": parse_objectives("e2e:p50<1ms")})
    )
    classes = result.to_json()["classes"]
    assert list(classes) == ["chat", "batch"]
    assert classes["chat"]["objectives"][0]["met"] is False
    assert classes["batch"]["objectives"] == []
    assert classes["chat"]["requests"]["arrived"] == 500
    assert not result.met


def test_objectives_of_an_unknown_class_are_an_error():
    objectives = {"chta": parse_objectives("e2e:p50<1s")}
    with pytest.raises(ValueError, match="unknown classes: chta"):
        summarise([thousand()], context(class_objectives=objectives))
    with pytest.raises(ValueError, match="at least one replication"):
        summarise([], context())


def test_notices_appear_once_with_their_counts():
    runs = [
        make_records([0.0], notices=[Notice("rows left out", 3), Notice("truncated", k)])
        for k in (1, 2)
    ]
    result = summarise(runs, context(notices=(Notice("efficiencies assumed"),)))
    assert [str(notice) for notice in result.notices] == [
        "efficiencies assumed", "3 rows left out", "3 truncated",
    ]  # fmt: skip


def test_the_method_is_named_with_how_much_it_rests_on():
    method = summarise([thousand(), thousand()], context()).to_json()["method"]
    assert method["kind"] == "replications"
    assert method["replications"] == 2
    assert method["measured_requests"] == 2000
    assert "2 independent replications" in method["statement"]


def test_the_same_records_give_the_same_json():
    first, again = (json.dumps(summarise([thousand()], context()).to_json()) for _ in range(2))
    assert first == again
    other = summarise([thousand()], dataclasses.replace(context(), seed=8)).to_json()
    assert (
        other["metrics"]["ttft_s"]["p95"]["value"]
        == json.loads(first)["metrics"]["ttft_s"]["p95"]["value"]
    )
