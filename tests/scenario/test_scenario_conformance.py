"""Every spec that a scenario can hold goes through a file and comes back."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scenario_strategies import STRATEGIES, reachable

from planner.scenario.document import parse_yaml
from planner.scenario.dump import scenario_yaml, yaml_text
from planner.scenario.fleet import Event
from planner.scenario.model import Scenario
from planner.scenario.reader import read_scenario
from planner.scenario.schema import scenario_schema
from planner.units import FROM_FILE

SPECS = sorted(reachable(Scenario), key=lambda spec: (spec.__module__, spec.__name__))
SCHEMA = scenario_schema()
slow = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def test_every_spec_has_a_strategy_and_every_strategy_a_spec():
    assert set(SPECS) == set(STRATEGIES)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
@slow
@given(data=st.data())
def test_a_spec_goes_through_a_file_unchanged(spec, data):
    instance = data.draw(STRATEGIES[spec])
    text = yaml_text(instance)
    document = parse_yaml(text, "x.yaml")
    assert document.problems == []
    assert TypeAdapter(spec).validate_python(document.data, context=FROM_FILE) == instance


@slow
@given(STRATEGIES[Scenario])
def test_a_scenario_goes_through_a_file_unchanged_and_matches_the_schema(scenario):
    text = scenario_yaml(scenario)
    assert read_scenario(text) == scenario
    assert scenario_yaml(read_scenario(text)) == text
    data = parse_yaml(text, "x.yaml").data
    jsonschema.Draft202012Validator(SCHEMA).validate(data)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_a_kind_tells_the_members_of_a_union_apart(spec):
    kind = spec.model_fields.get("kind")
    if kind is not None and spec.__name__ not in {"Device", Event.__name__}:
        assert kind.default is not None
        assert kind.annotation.__args__ == (kind.default,)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_a_spec_documents_each_of_its_keys(spec):
    schema = next(
        node for node in [SCHEMA, *SCHEMA["$defs"].values()] if node.get("title") == spec.__name__
    )
    assert schema["description"]
    undocumented = {
        key for key, value in schema["properties"].items() if "description" not in value
    }
    assert undocumented <= {"kind"}, undocumented
