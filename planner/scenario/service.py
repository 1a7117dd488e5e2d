"""What serves the requests: a large language model, or stages of known times."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from planner.catalog.models import ModelShape
from planner.latency.settings import Settings
from planner.latency.stages import Stage
from planner.scenario.engine import Engine
from planner.spec import Spec
from planner.units import Duration


class ModelConfig(Spec):
    """A model as its Hugging Face configuration describes it.

    Parameters
    ----------
    config : str
        Path to a ``config.json``, relative to the scenario.
    """

    config: Annotated[str, Field(min_length=1)]


def _which(value: Any) -> str:  # noqa: ANN401 - a discriminator sees anything
    """Tell a name, a path to a configuration and a shape written out apart."""
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, ModelConfig) or (isinstance(value, dict) and "config" in value):
        return "<config>"
    return "<inline>"


ModelChoice = Annotated[
    Annotated[str, Field(min_length=1), Tag("<name>")]
    | Annotated[ModelConfig, Tag("<config>")]
    | Annotated[ModelShape, Tag("<inline>")],
    Discriminator(_which),
]


class LlmService(Spec):
    """A large language model on the replicas of a fleet.

    Parameters
    ----------
    model : str or ModelConfig or ModelShape
        Name in the catalogue, path to a configuration, or a shape written out.
    settings : Settings
        Types of weights, KV cache and activations; pruning.
    engine : Engine
        Limits and scheduler of each replica.
    profile : str
        Coefficients of the step time: a name in the catalogue, a path to a profile.json, relative
        to the scenario, or ``fitted``: of each device the packaged one that was fitted to
        measurements of vLLM there, with models of the same kind and weights of the same format;
        ``assumed`` where there is none.
    network : float
        One-way network and proxy time, added to the transfer of each request. [s]
    before, after : tuple of Stage
        Queueing stages around the model, as speech to text and text to speech.
    """

    kind: Literal["llm"] = "llm"
    model: ModelChoice
    settings: Settings = Settings()
    engine: Engine = Engine()
    profile: Annotated[str, Field(min_length=1)] = "assumed"
    network: Duration = 0.0
    before: tuple[Stage, ...] = ()
    after: tuple[Stage, ...] = ()


class StagesService(Spec):
    """Stages in a row, each a use of the equation as written.

    Parameters
    ----------
    stages : tuple of Stage
        At least one, in the order in which a request passes them.
    """

    kind: Literal["stages"] = "stages"
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]


Service = Annotated[LlmService | StagesService, Field(discriminator="kind")]
