"""A scenario written out in full: defaults, units, and what overrides changed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

if TYPE_CHECKING:
    from planner.scenario.model import Scenario
    from planner.spec import Spec


def scenario_yaml(scenario: Scenario) -> str:
    """Return the resolved scenario as YAML that loads back to an equal one.

    Keys that were left out and have no value are left out; relative paths stay relative to
    ``scenario.base_dir``.
    """
    return yaml_text(scenario)


def yaml_text(spec: Spec) -> str:
    """Return any spec as the YAML that it may be written as in a scenario."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 1_000_000  # one line per text, so that the same input gives the same lines
    out = io.StringIO()
    yaml.dump(_quoted(spec.model_dump(mode="json", exclude_none=True)), out)
    return out.getvalue()


def _quoted(data: Any) -> Any:  # noqa: ANN401 - data of any kind
    """Return `data` with texts that hold line ends or control characters as quoted ones."""
    if isinstance(data, dict):
        return {_quoted(key): _quoted(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_quoted(value) for value in data]
    if isinstance(data, str) and not data.isprintable():
        return DoubleQuotedScalarString(data)
    return data


def scenario_json(scenario: Scenario) -> dict[str, Any]:
    """Return the resolved scenario as JSON values, quantities with their units."""
    return scenario.model_dump(mode="json", exclude_none=True)
