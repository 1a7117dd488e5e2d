"""``planner export``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from planner.cli.options import AsJson, Overrides, ScenarioFile, command
from planner.cli.output import print_text
from planner.cli.shared import command_line, located, read_scenario


class Target(StrEnum):
    """What a deployment can be exported to."""

    VLLM = "vllm"
    K8S = "k8s"
    COMPOSE = "compose"


@command()
def export(
    scenario: ScenarioFile,
    to: Annotated[
        Target, typer.Option(help="vllm serve's command line, Kubernetes, or docker compose.")
    ],
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Print what deploys a scenario's fleet: a command line, manifests or a compose file."""
    from planner.report.deploy import export as deployed  # noqa: PLC0415 - start-up
    from planner.report.json import indented  # noqa: PLC0415 - start-up

    spec = read_scenario(scenario, overrides, None)
    with located(scenario, overrides):
        made = deployed(spec, to.value)
    print_text(indented(made.to_json(command_line())) if as_json else made.text)
