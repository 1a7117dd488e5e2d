"""From a scenario to the text of a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner import __version__
from planner.errors import InputError, Problem
from planner.report.deploy.compose import compose_text
from planner.report.deploy.kubernetes import kubernetes_text
from planner.report.deploy.serve import Deployment, deployment, vllm_text
from planner.report.deploy.text import Written, comments
from planner.scenario.service import StagesService
from planner.simulation.provenance import served_by
from planner.simulation.system import build_system

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from planner.scenario.model import Scenario

#: Version of the JSON; raised when a key changes its meaning or goes away.
SCHEMA_VERSION = 1
_WRITERS: Mapping[str, Callable[[Deployment], Written]] = {
    "vllm": vllm_text,
    "k8s": kubernetes_text,
    "compose": compose_text,
}
#: What a deployment can be exported to.
TARGETS = tuple(_WRITERS)


@dataclass(frozen=True)
class Exported:
    """What deploys a fleet.

    Parameters
    ----------
    scenario, target : str
        Of what, in which form.
    made : tuple of str
        What made it.
    notices : tuple of str
        What was simulated and cannot be said in this form, each with what to do.
    args : tuple of str
        Words after ``vllm serve``, of each replica.
    body : str
        The command line, manifests or compose file.
    """

    scenario: str
    target: str
    made: tuple[str, ...]
    notices: tuple[str, ...]
    args: tuple[str, ...]
    body: str

    @property
    def text(self) -> str:
        """What is printed: the body below the rest as comments."""
        head = comments([*self.made, *self.notices])
        return "".join(f"{line}\n" for line in head) + self.body

    def to_json(self, command: str = "") -> dict[str, Any]:
        """Return it as JSON values; ``planner schema export`` describes them."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tool_version": __version__,
            "command": command,
            "scenario": self.scenario,
            "target": self.target,
            "made": list(self.made),
            "notices": list(self.notices),
            "args": list(self.args),
            "text": self.text,
        }


def export(scenario: Scenario, target: str) -> Exported:
    """Return the deployment of a scenario's fleet.

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
    ready = deployment(scenario, system, (made, served_by(scenario, system)))
    written = _WRITERS[target](ready)
    return Exported(
        scenario=scenario.name,
        target=target,
        made=ready.header,
        notices=(*ready.notices, *written.notices),
        args=tuple(ready.args),
        body=written.text,
    )
