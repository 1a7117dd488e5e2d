from __future__ import annotations

import json

import jsonschema
import pytest

from planner.scenario.bundled import SCHEMA_FILE, bundled_folder, list_bundled
from planner.scenario.document import parse_yaml, read_text
from planner.scenario.reader import load_scenario
from planner.scenario.schema import scenario_schema, schema_text

VALIDATOR = jsonschema.Draft202012Validator(scenario_schema())

GOOD = {
    "name": "x",
    "traffic": {
        "duration": "1h",
        "arrivals": {"kind": "poisson", "rate": "5 req/s"},
        "lengths": {"kind": "fixed", "prompt": 100, "output": 10},
    },
    "service": {"kind": "llm", "model": "llama-3.1-8b"},
    "fleet": {"device": "H100-SXM-80GB", "price": "$2.5/h"},
    "objectives": "ttft:p95<500ms; goodput{ttft<2s, tpot<50ms}>=0.95",
}


def changed(**changes):
    return {**GOOD, **changes}


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(scenario_schema())


def test_the_committed_schema_is_the_one_that_the_models_generate():
    committed = (bundled_folder() / SCHEMA_FILE).read_text(encoding="utf-8")
    assert committed == schema_text(), "run `planner schema > scenarios/scenario.schema.json`"
    assert json.loads(committed) == scenario_schema()


def test_a_default_is_what_a_file_may_say():
    schema = scenario_schema()
    nodes = [schema, *schema["$defs"].values()]
    keys = [each for node in nodes for each in node.get("properties", {}).values()]
    known = [each for each in keys if each.get("default") is not None]
    for each in known:
        jsonschema.Draft202012Validator({**each, "$defs": schema["$defs"]}).validate(
            each["default"]
        )
    assert {"60 s", "256 MiB", "2 GB/s"} <= {str(each["default"]) for each in known}


@pytest.mark.parametrize("name", list_bundled())
def test_a_bundled_scenario_points_at_the_schema_matches_it_and_loads(name):
    path = bundled_folder() / f"{name}.yaml"
    text = read_text(path)
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")
    VALIDATOR.validate(parse_yaml(text, str(path)).data)
    assert load_scenario(path).name == name


def test_a_good_scenario_matches():
    VALIDATOR.validate(GOOD)


@pytest.mark.parametrize(
    "bad",
    [
        changed(traffic={**GOOD["traffic"], "duration": 3600}),
        changed(traffic={**GOOD["traffic"], "duration": "1 hour"}),
        changed(traffic={**GOOD["traffic"], "arrivals": {"rate": "5 req/s"}}),
        changed(traffic={**GOOD["traffic"], "arrivals": {"kind": "gama", "rate": "5 req/s"}}),
        changed(service={"kind": "llm"}),
        changed(service={"kind": "llm", "model": "x", "modle": "y"}),
        changed(fleet={"device": "x", "replicas": 0}),
        changed(fleet={"device": "x", "replicas": 1.5}),
        changed(fleet={"device": "x", "price": "cheap"}),
        changed(fleet={"device": "x", "router": {}}),
        changed(objectives="ttft<500ms"),
        changed(objectives="ttft:p95<500"),
        changed(flet={}),
        changed(schema_version=2),
    ],
)
def test_what_an_editor_should_underline_does_not_match(bad):
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(bad)


def test_a_key_is_described_in_the_words_of_its_docstring():
    engine = scenario_schema()["$defs"]["Engine"]
    assert engine["description"] == "What one replica's engine may hold and batch."
    assert engine["properties"]["block_size"]["description"] == (
        "Tokens in one block of KV cache, >= 1. [tokens]"
    )
