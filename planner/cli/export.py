"""``planner export``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from planner.cli.options import Overrides, ScenarioFile, command
from planner.cli.output import print_text
from planner.cli.shared import located, read_scenario


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
) -> None:
    """Print what deploys a scenario's fleet: a command line, manifests or a compose file."""
    from planner.report.deploy import export as deployed  # noqa: PLC0415 - start-up

    spec = read_scenario(scenario, overrides, None)
    with located(scenario, overrides):
        text = deployed(spec, to.value)
    print_text(text)
