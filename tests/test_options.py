"""No option is read and then ignored: changing any key changes what it should, and only that."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from option_cases import (
    CASES,
    COST,
    FILES,
    HEADER,
    INTERVALS,
    KEPT,
    NUMBERS,
    OBJECTIVES,
    PLANNED,
    PRICE,
    REFUSED,
    SOURCES,
)

from planner import evaluate
from planner.catalog import profile
from planner.errors import InputError
from planner.planning.plan import plan
from planner.scenario.model import Scenario
from planner.scenario.reader import read_scenario
from planner.spec import Spec

#: What may change along with each effect but need not: the resolved scenario always does.
ALONE = {
    COST: {COST},
    PRICE: {COST, SOURCES},
    INTERVALS: {INTERVALS},
    OBJECTIVES: {OBJECTIVES},
    SOURCES: {SOURCES},
    HEADER: {HEADER},
    KEPT: set(),
    PLANNED: set(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with traces, rates, configurations and a profile of our own."""
    folder = tmp_path_factory.mktemp("options")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    packaged = Path(profile.__file__).with_name("profiles") / "assumed.json"
    changed = json.loads(packaged.read_text(encoding="utf-8"))
    changed["coefficients"]["storage_efficiency"]["value"] = 0.5
    source = {"provenance": "assumed", "source": "made up for this test"}
    changed["settings"]["launch.eager"] = {"overhead": {"value": 0.5, **source}}
    (folder / "profile.json").write_text(json.dumps(changed), encoding="utf-8")
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 1024,
        "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "num_key_value_heads": 4, "vocab_size": 32000, "max_position_embeddings": 4096,
    }  # fmt: skip
    for name, layers in (("a", 24), ("b", 30)):
        text = json.dumps({**config, "num_hidden_layers": layers})
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return folder


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


@cache
def simulate(base, overrides, folder):
    """Return the areas of a result, by name."""
    result = evaluate.simulate(read_scenario(base, "x.yaml", folder, overrides)).result
    data = result.to_json()
    whole = [data, *(data["classes"] or {}).values()]
    latencies = [
        estimate
        for each in whole
        for statistics in each["metrics"].values()
        for estimate in statistics.values()
    ]
    same = ("steady", "requests", "saturation_requests_per_s", "utilisation", "preemptions")
    return {
        NUMBERS: [
            [data[key] for key in same],
            [[each["parts"], each["requests"], each["throughput"]] for each in whole],
            [each["value"] for each in latencies],
        ],
        INTERVALS: [[each["low"], each["high"]] for each in latencies],
        OBJECTIVES: [each["objectives"] for each in whole],
        COST: [data["cost"], data["watts_at_design_power"]],
        SOURCES: data["provenance"],
        HEADER: [result.context.title, result.context.served_by],
        "scenario": data["scenario"],
    }


@cache
def planned(base, overrides, folder):
    """Return what is recommended, or why nothing is, and what became of the candidates."""
    found = plan(read_scenario(base, "x.yaml", folder, overrides), store=folder / "kept", jobs=1)
    data = found.to_json()
    return data["recommendation"], data["infeasible"], data["candidates"]


def split(overrides):
    return tuple(each.strip() for each in overrides.split(" | ") if each.strip())


def test_every_key_of_the_schema_has_a_case():
    specs = set()
    reachable(Scenario, specs)
    keys = {f"{spec.__name__}.{key}" for spec in specs for key in spec.model_fields}
    assert keys == set(CASES)


@pytest.mark.parametrize("key", CASES)
def test_changing_a_key_changes_what_it_should_and_only_that(key, folder):
    case = CASES[key]
    before = simulate(case.base, split(case.setup), folder)
    overrides = split(case.setup) + split(case.change)
    if case.effect == REFUSED:
        with pytest.raises(InputError):
            simulate(case.base, overrides, folder)
        return
    if case.effect == PLANNED:
        assert planned(case.base, overrides, folder) != planned(
            case.base, split(case.setup), folder
        )
    after = simulate(case.base, overrides, folder)
    changed = {area for area, content in before.items() if content != after[area]}
    assert "scenario" in changed
    if case.effect == NUMBERS:
        assert NUMBERS in changed
    else:
        assert changed - {"scenario"} == ALONE[case.effect]
