"""From a scenario to the text of a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner import __version__
from planner.errors import InputError, Problem
from planner.report.deploy.compose import compose_text
from planner.report.deploy.kubernetes import kubernetes_text
from planner.report.deploy.serve import Deployment, deployment, vllm_text
from planner.scenario.service import StagesService
from planner.simulation.provenance import served_by
from planner.simulation.system import build_system

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from planner.scenario.model import Scenario

_WRITERS: Mapping[str, Callable[[Deployment], str]] = {
    "vllm": vllm_text,
    "k8s": kubernetes_text,
    "compose": compose_text,
}
#: What a deployment can be exported to.
TARGETS = tuple(_WRITERS)


def export(scenario: Scenario, target: str) -> str:
    """Return the deployment of a scenario's fleet as text.

    Parameters
    ----------
    scenario : Scenario
        With an LLM service; the settings of a plan are a scenario's settings.
    target : {"vllm", "k8s", "compose"}
        The ``vllm serve`` command line of one replica; a Kubernetes Deployment, Service and
        HorizontalPodAutoscaler; or a file for docker compose.

    Raises
    ------
    InputError
        If the service is no LLM, it cannot be simulated, or the target cannot describe it. What
        an engine cannot be told is said in comments at the top, never left out in silence.
    """
    if target not in _WRITERS:
        known = ", ".join(TARGETS)
        raise InputError(f"a deployment must be exported to one of {known}, got {target!r}")
    if isinstance(scenario.service, StagesService):
        message = "must be an LLM to export a deployment, got stages; write kind: llm"
        raise InputError(Problem(message, "service.kind"))
    system = build_system(scenario)
    made = f"made by planner {__version__} from the scenario {scenario.name!r}"
    return _WRITERS[target](deployment(scenario, system, (made, served_by(scenario, system))))
