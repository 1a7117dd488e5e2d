"""The JSON of ``simulate --json``: the layout that others build on, and numbers that agree."""

import json

import jsonschema
import pytest
from command_line import CLOSED, LLM, STAGES, planner, sets

PARTS = ("wait", "compute", "storage", "transfer", "overhead")
CLASSES = """[
  {name: chat, arrivals: {kind: poisson, rate: 4 req/s}, objectives: "ttft:p90<1s",
   lengths: {kind: lognormal, prompt: {mean: 300, cv: 1}, output: {mean: 30, cv: 1}}},
  {name: label, arrivals: {kind: gamma, rate: 2 req/s, cv: 3},
   lengths: {kind: fixed, prompt: 500, output: 1}}]"""
ONE_OUTPUT = "traffic.lengths.output=1"
CASES = {
    "llm": (LLM, []),
    "stages": (STAGES, ["objectives=e2e:p99<1s; goodput{e2e<1s}>=0.9"]),
    "closed loop": (CLOSED, []),
    "overloaded": (LLM, ["traffic.arrivals.rate=2000 req/s", "traffic.duration=10 s"]),
    "overloaded stages": (STAGES, ["traffic.arrivals.rate=500 req/s"]),
    "one token": (LLM, [ONE_OUTPUT]),
    "classes": (
        LLM,
        ["traffic={duration: 40 s, classes: " + " ".join(CLASSES.split()) + "}"],
    ),
    "some rejected": (
        LLM,
        [
            "service.engine.max_model_len=400",
            "traffic.lengths={kind: uniform, prompt: {min: 9, max: 600}, output: {min: 1, max: 9}}",
        ],
    ),
    "failing fleet": (
        LLM,
        ["fleet.events=[{at: 20 s, kind: fail, replicas: 2}]", "objectives=e2e:p99.9<1s"],
    ),
    "rare statistic": (LLM, ["objectives=ttft:p99.9<1s; goodput{ttft<1s,tpot<1s}>=0.5"]),
    "single request": (
        LLM,
        ["traffic.duration=null", "traffic.requests=1", "simulation.warmup=0 s"],
    ),
}


@pytest.fixture(scope="module")
def schema():
    shown = planner("schema", "simulate")
    assert shown.code == 0
    schema = json.loads(shown.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


@pytest.fixture(scope="module", params=CASES)
def result(request, tmp_path_factory):
    text, changes = CASES[request.param]
    path = tmp_path_factory.mktemp("case") / "s.yaml"
    path.write_text(text)
    ran = planner("simulate", path, "--json", "-q", *sets(*changes))
    assert ran.code in {0, 3}, ran.err
    return json.loads(ran.out)


def groups(result):
    """Yield what is reported of all requests, then of each class."""
    yield result
    yield from (result["classes"] or {}).values()


def test_a_result_has_the_published_layout(result, schema):
    jsonschema.Draft202012Validator(schema).validate(result)


def test_keys_are_those_of_the_contract_in_its_order(result):
    contract = [
        "schema_version", "tool_version", "command", "scenario", "seed", "provenance", "requests",
        "steady", "saturation_requests_per_s", "metrics", "parts", "throughput", "utilisation",
        "objectives", "cost",
    ]  # fmt: skip
    assert [key for key in result if key in contract] == contract
    assert list(result["metrics"]) == ["ttft_s", "tpot_s", "itl_s", "e2e_s", "wait_s"]
    for statistics in result["metrics"].values():
        assert list(statistics)[:5] == ["mean", "p50", "p90", "p95", "p99"]
    for by in result["parts"].values():
        assert list(by) == ["mean", "p50", "p95", "p99"]
        assert {tuple(parts) for parts in by.values()} == {PARTS}


def test_every_request_has_one_fate(result):
    for group in groups(result):
        counts = group["requests"]
        fates = [counts[fate] for fate in ("finished", "waiting", "running", "rejected")]
        assert counts["arrived"] == sum(fates)
        assert counts["arrived"] > 0
    if result["classes"]:
        for fate, total in result["requests"].items():
            assert total == sum(each["requests"][fate] for each in result["classes"].values())


def test_a_value_lies_in_its_interval(result):
    for group in groups(result):
        for metric, statistics in group["metrics"].items():
            for statistic, each in statistics.items():
                value, where = each["value"], (metric, statistic, each)
                if value is None:
                    assert each["low"] is None, where
                    assert each["high"] is None, where
                    continue
                assert value >= 0, where
                assert each["low"] is None or 0 <= each["low"] <= value * (1 + 1e-12), where
                assert each["high"] is None or value <= each["high"] * (1 + 1e-12), where


def test_percentiles_do_not_fall(result):
    for group in groups(result):
        for metric, statistics in group["metrics"].items():
            values = [statistics[p]["value"] for p in ("p50", "p90", "p95", "p99")]
            known = [value for value in values if value is not None]
            assert known == sorted(known), metric


def test_parts_add_up_to_the_value(result):
    for group in groups(result):
        for metric, by in group["parts"].items():
            for statistic, parts in by.items():
                value = group["metrics"][metric][statistic]["value"]
                if value is None:
                    assert set(parts.values()) == {None}, (metric, statistic)
                    continue
                assert sum(parts.values()) == pytest.approx(value, rel=1e-9, abs=1e-12)
                assert min(parts.values()) >= -1e-12, (metric, statistic)


def test_what_is_null_says_why(result):
    nulls = {
        f"metrics.{metric}.{statistic}"
        for metric, statistics in result["metrics"].items()
        for statistic, each in statistics.items()
        if each["value"] is None
    }
    assert set(result["undefined"]) == nulls


def test_shares_are_shares(result):
    for name, share in result["utilisation"].items():
        assert share is None or -1e-12 <= share <= 1 + 1e-9, name


def test_an_objective_is_met_as_its_value_says(result):
    for group in groups(result):
        for each in group["objectives"]:
            assert each["value"] is not None or not each["met"]
            for metric, statistics in group["metrics"].items():
                start, _, rest = each["objective"].partition(":")
                if f"{start}_s" == metric:
                    statistic = rest.replace("=", "").partition("<")[0]
                    assert each["value"] == statistics[statistic]["value"]


def values(result, metric):
    return [each["value"] for each in result["metrics"][metric].values()]


@pytest.fixture
def run(tmp_path):
    def once(name):
        text, changes = CASES[name]
        (tmp_path / "s.yaml").write_text(text)
        ran = planner("simulate", tmp_path / "s.yaml", "--json", "-q", *sets(*changes))
        return json.loads(ran.out)

    return once


def test_an_overload_is_no_steady_state_with_its_saturation(run):
    for name in ("overloaded", "overloaded stages"):
        result = run(name)
        assert result["steady"] is False
        assert result["saturation_requests_per_s"] < result["offered_requests_per_s"]
        assert values(result, "ttft_s") == values(result, "e2e_s") == [None] * 5
        assert not any(each["met"] for each in result["objectives"])


def test_one_token_has_no_time_per_token(run):
    result = run("one token")
    assert values(result, "tpot_s") == values(result, "itl_s") == [None] * 5
    assert None not in values(result, "ttft_s")
    assert result["metrics"]["ttft_s"] == result["metrics"]["e2e_s"]


def test_rejected_requests_are_counted_and_said(run):
    result = run("some rejected")
    assert result["requests"]["rejected"] > 0
    said = [each["count"] for each in result["notices"] if "rejected" in each["message"]]
    assert said == [result["requests"]["rejected"]]


def test_requests_of_a_fleet_that_is_gone_wait(run):
    result = run("failing fleet")
    assert result["requests"]["waiting"] > 0
    assert not any(each["met"] for each in result["objectives"])


def test_classes_have_results_of_their_own(run):
    result = run("classes")
    assert list(result["classes"]) == ["chat", "label"]
    assert [each["objective"] for each in result["classes"]["chat"]["objectives"]] == [
        "ttft:p90<1s"
    ]


def test_a_closed_loop_offers_no_rate(run):
    assert run("closed loop")["offered_requests_per_s"] is None


def test_the_schema_refuses_what_the_contract_does_not_have(run, schema):
    result = run("stages")
    check = jsonschema.Draft202012Validator(schema)
    for broken in (
        result | {"surprise": 1},
        {key: value for key, value in result.items() if key != "steady"},
        result | {"steady": "yes"},
        result | {"metrics": result["metrics"] | {"latency_s": {}}},
    ):
        assert not check.is_valid(broken)
