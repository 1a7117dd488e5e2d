"""The scenarios in ``scenarios/``: each runs as it is and does what it says, on every feature."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import get_args

import jsonschema
import numpy as np
import pytest

from planner import evaluate
from planner.catalog.catalogue import find_device, find_model
from planner.scenario.bundled import bundled_folder, copy_scenario, list_bundled
from planner.scenario.document import parse_yaml, read_text
from planner.scenario.fleet import Event
from planner.scenario.model import Scenario
from planner.scenario.reader import load_scenario
from planner.scenario.schema import scenario_schema
from planner.spec import Spec

NAMES = list_bundled()
FIRST_LINE = "# yaml-language-server: $schema=scenario.schema.json"
#: Makes any of them a run of a moment.
SHORT = ("traffic.requests=300", "simulation.replications=2", "simulation.warmup=0 s")
#: Keys of a scenario that no bundled one has, and why.
NOT_SHOWN = {
    ("ModelShape", "n_layers_dec"): "of encoder-decoders, which no engine here serves",
}


def load(name, *overrides):
    return load_scenario(bundled_folder() / f"{name}.yaml", overrides)


@cache
def run(name, *overrides):
    return evaluate.simulate(load(name, *overrides))


def value(result, metric, statistic):
    return result.whole.metrics.latency[metric][statistic].value


def test_the_scenarios_of_the_documentation_are_there():
    promised = {
        "chatbot", "customer_service", "assistant", "education", "finance", "code_completion",
        "bert_intent", "article_example",
    }  # fmt: skip
    assert promised <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_loads_and_matches_the_schema_that_its_first_line_points_at(name):
    path = bundled_folder() / f"{name}.yaml"
    text = read_text(path)
    assert text.splitlines()[0] == FIRST_LINE
    jsonschema.Draft202012Validator(scenario_schema()).validate(parse_yaml(text, str(path)).data)
    scenario = load(name)
    assert scenario.name == name
    assert scenario.description
    assert evaluate.check(scenario).lines()


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_of_a_scenario_has_all_the_files_it_needs(name, tmp_path):
    copy_scenario(name, tmp_path)
    assert evaluate.check(load_scenario(tmp_path / f"{name}.yaml")).lines()


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_gives_finite_metrics_whose_parts_add_up(name):
    made = run(name, *SHORT)
    result = made.result
    metrics = result.whole.metrics
    stages_only = result.context.scenario["service"]["kind"] == "stages"
    for metric, statistics in metrics.latency.items():
        for statistic in ("mean", "p50", "p90", "p95", "p99"):
            number = statistics[statistic].value
            if stages_only and metric in {"tpot", "itl"}:
                assert number is None
            else:
                assert number is not None
                assert math.isfinite(number)
                assert number >= 0
    for records in made.records:
        ttft = records.first_token_s - records.arrival_s
        np.testing.assert_allclose(records.parts_first.sum(axis=1), ttft, atol=1e-9)
        e2e = records.finished_s - records.arrival_s
        np.testing.assert_allclose(records.parts_end.sum(axis=1), e2e, atol=1e-9)
        assert (records.parts_end >= 0).all()
    counts = metrics.requests
    ends = ("finished", "waiting", "running", "rejected")
    assert counts["arrived"] == sum(counts[end] for end in ends) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_meets_its_objectives_below_saturation(name):
    result = run(name, "simulation.replications=1").result
    assert result.steady
    assert result.met
    assert result.whole.metrics.requests["waiting"] == 0


def test_chatbot_replays_every_request_of_the_hour():
    result = run("chatbot", "simulation.replications=1").result
    assert result.whole.metrics.requests["finished"] == 19_366
    assert not result.context.traffic_random
    assert 0.25 < result.context.offered_per_s / result.context.saturation_per_s < 0.5
    for outcome in result.whole.objectives:
        margin = outcome.value / outcome.bound
        assert margin > 1 if outcome.is_share else 0.2 < margin < 0.8


def test_code_completion_replays_every_request_of_the_hour():
    made = run("code_completion", "simulation.replications=1")
    assert made.result.whole.metrics.requests["finished"] == 8_819
    gaps = np.diff(made.records[0].arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(13, abs=0.5)


@pytest.mark.parametrize(
    ("name", "overrides", "milliseconds"),
    [
        ("article_example", (), 2.0),
        ("article_example_before", (), 18.0),
        (
            "article_example",
            (
                "service.stages.0.compute.speedup=0.5",
                "service.stages.0.storage.speedup=0.5",
            ),
            5.75,
        ),
        (
            "article_example",
            ("service.stages.0.compute.speedup=1", "service.stages.0.storage.speedup=1"),
            3.25,
        ),
    ],
)
def test_the_articles_example_takes_exactly_what_its_readings_say(name, overrides, milliseconds):
    records = run(name, *overrides).records[0]
    e2e = records.finished_s - records.arrival_s
    np.testing.assert_allclose(e2e, milliseconds / 1e3, rtol=0, atol=1e-12)
    text = read_text(bundled_folder() / "article_example.yaml")
    assert all(f"--set {override}" in text for override in overrides)
    assert f"{milliseconds:g} ms" in text or f"{milliseconds} ms" in text


def test_bert_intents_times_follow_from_the_catalogue():
    bert, l4 = find_model("bert-base"), find_device("L4")
    stage = next(each for each in load("bert_intent").service.stages if each.name == "bert-base")
    tokens = load("bert_intent").traffic.lengths.prompt
    flops = 2 * bert.linear_parameters * tokens
    flops += bert.n_layers * bert.attention_flops_per_pair * tokens**2
    assert stage.compute.time == pytest.approx(flops / l4.peaks["fp16"], rel=0.01)
    weights = bert.linear_parameters * 2
    assert stage.storage.time == pytest.approx(weights / l4.bandwidth, rel=0.01)


def test_customer_service_is_bursty_and_keeps_a_conversation_on_one_replica():
    scenario = load("customer_service", "simulation.replications=1")
    requests = scenario.traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
    counts = np.bincount((requests.arrival_s // 30).astype(int))
    assert counts.var() / counts.mean() > 3  # 1 for Poisson
    records = run("customer_service", "simulation.replications=1").records[0]
    pairs = np.unique(np.column_stack((requests.session_id, records.replica)), axis=0)
    assert len(pairs) == len(np.unique(requests.session_id))
    assert len(np.unique(records.replica)) == scenario.fleet.replicas
    assert set(run("customer_service", "simulation.replications=1").result.classes) == {
        "question", "complaint",
    }  # fmt: skip


def test_assistant_speaks_after_all_three_stages():
    scenario = load("assistant")
    records = run("assistant", *SHORT).records[0]
    work = sum(each.overhead for each in (*scenario.service.before, *scenario.service.after))
    least = work + scenario.service.network
    assert (records.first_token_s - records.arrival_s > least).all()


def test_educations_fleet_follows_the_day():
    timeline = run("education", "simulation.replications=1").records[0].timeline
    arrivals = run("education", "simulation.replications=1").records[0].arrival_s
    hourly = np.bincount((arrivals // 3600).astype(int))
    assert hourly.max() > 4 * hourly.min()
    up = [timeline.replicas_up[timeline.time_s // 3600 == hour].mean() for hour in range(24)]
    assert np.corrcoef(up, hourly[:24])[0, 1] > 0.7
    assert max(up) > min(up) >= 1


def test_finance_loses_replicas_and_retries_their_requests():
    made = run("finance", "simulation.replications=1", "fleet.failures.mtbf=2 h")
    assert made.result.whole.metrics.requests["retried"] > 0
    ups = [records.timeline.replicas_up.min() for records in made.records]
    assert min(ups) < load("finance").fleet.replicas


def test_outage_has_two_replicas_less_until_they_come_back():
    scenario = load("outage", "simulation.replications=1")
    made = run("outage", "simulation.replications=1")
    timeline = made.records[0].timeline
    leave, fail, join = (event.at for event in scenario.fleet.events)
    assert [event.kind for event in scenario.fleet.events] == ["leave", "fail", "join"]
    for start, stop, up in ((0, leave, 4), (leave, fail, 3), (fail, join, 2), (join, 1e9, 4)):
        inside = (timeline.time_s > start) & (timeline.time_s <= stop - 1)
        assert set(timeline.replicas_up[inside]) == {up}
    assert made.result.whole.metrics.requests["retried"] > 0


def test_load_test_never_has_more_requests_under_way_than_clients():
    scenario = load("load_test", "simulation.replications=1")
    records = run("load_test", "simulation.replications=1").records[0]
    for class_id, each in enumerate(scenario.traffic.classes):
        rows = records.class_id == class_id
        ends = np.sort(records.finished_s[rows])
        arrivals = np.sort(records.arrival_s[rows])
        under_way = np.arange(1, len(arrivals) + 1) - np.searchsorted(ends, arrivals, side="right")
        assert 0 < under_way.max() <= each.arrivals.clients


def test_zeroed_weights_make_the_baseline_no_faster():
    dense = ("service.settings.pruning.pattern=none", "service.settings.pruning.rate=0")
    pruned, whole = run("baseline", *SHORT).result, run("baseline", *SHORT, *dense).result
    assert value(pruned, "e2e", "mean") == value(whole, "e2e", "mean")


def test_the_sparse_model_gains_time_and_memory():
    dense = ("service.settings.pruning.pattern=none", "service.settings.pruning.rate=0")
    text = " ".join(read_text(bundled_folder() / "sparse_model.yaml").split())
    assert all(f"--set {override}" in text for override in dense)
    sparse, whole = run("sparse_model", *SHORT).result, run("sparse_model", *SHORT, *dense).result
    assert value(sparse, "tpot", "mean") < value(whole, "tpot", "mean")
    pools = [each.context.provenance["kv_pool"]["tokens"] for each in (sparse, whole)]
    assert pools[0] > pools[1]


def test_layers_of_linear_attention_gain_time_and_memory_where_documents_are_long():
    attends = "service.model.linear_attention=null"
    text = " ".join(read_text(bundled_folder() / "long_documents.yaml").split())
    assert f"--set {attends}" in text
    hybrid, whole = (run("long_documents", *SHORT, *each).result for each in ((), (attends,)))
    assert value(hybrid, "tpot", "mean") < value(whole, "tpot", "mean")
    assert value(hybrid, "ttft", "p95") < value(whole, "ttft", "p95")
    pools = [each.context.provenance["kv_pool"]["tokens"] for each in (hybrid, whole)]
    assert pools[0] > 2 * pools[1]


def test_the_first_token_of_a_document_comes_later_the_longer_it_is():
    records = run("document_chat", "simulation.replications=1").records[0]
    ttft = records.first_token_s - records.arrival_s
    long = records.prompt_tokens > np.median(records.prompt_tokens)
    assert ttft[long].mean() > 2 * ttft[~long].mean()
    assert len(np.unique(records.arrival_s)) == len(records.arrival_s)  # ties were spread


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_traffic_has_a_source_or_is_marked_as_assumed(name):
    text = read_text(bundled_folder() / f"{name}.yaml")
    words = r"assumed|invented|LICENSES\.md|article|benchmarks"
    assert re.search(words, text)


def written(spec, found):
    """Note every key that `spec`, and the specs in it, were given in the file."""
    for name in type(spec).model_fields:
        if name in spec.model_fields_set:
            found.add((type(spec).__name__, name))
            visit(getattr(spec, name), found)


def visit(item, found):
    if isinstance(item, Spec):
        found.add(type(item))
        if isinstance(item, Event):
            found.add(("event", item.kind))
        written(item, found)
    elif isinstance(item, dict | tuple | list):
        for child in item.values() if isinstance(item, dict) else item:
            visit(child, found)


def reachable(annotation, seen):
    """Collect every spec that a value of this type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        if annotation not in seen:
            seen.add(annotation)
            for field in annotation.model_fields.values():
                reachable(field.annotation, seen)
        return
    for argument in get_args(annotation):
        reachable(argument, seen)


def test_every_kind_and_every_key_of_the_schema_is_in_a_bundled_scenario():
    found, specs = set(), set()
    for name in NAMES:
        visit(load(name), found)
    reachable(Scenario, specs)
    assert {spec.__name__ for spec in specs if spec not in found} == set()
    keys = {(spec.__name__, key) for spec in specs for key in spec.model_fields}
    assert {key for key in keys if key not in found} == set(NOT_SHOWN)
    kinds = {("event", kind) for kind in get_args(Event.model_fields["kind"].annotation)}
    assert kinds <= found
