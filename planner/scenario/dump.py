"""A scenario written out in full: defaults, units, and what overrides changed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from planner.scenario.model import Scenario


def scenario_yaml(scenario: Scenario) -> str:
    """Return the resolved scenario as YAML that loads back to an equal one.

    Keys that were left out and have no value are left out; relative paths stay relative to
    ``scenario.base_dir``.
    """
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 1_000_000  # one line per text, so that the same input gives the same lines
    out = io.StringIO()
    yaml.dump(scenario.model_dump(mode="json", exclude_none=True), out)
    return out.getvalue()
