"""The ``vllm serve`` command line of one replica, and what it cannot say."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.errors import InputError, Problem, shown
from planner.report.deploy.notices import notices_of
from planner.report.deploy.record import recorded_flags
from planner.report.deploy.text import Written
from planner.scenario.engine import Chunked, PrefillFirst
from planner.scenario.service import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from planner.scenario.model import Scenario
    from planner.simulation.system import System

#: Stands for a model without a name that vLLM could load.
MODEL = "MODEL"
#: vLLM's names of data types.
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
#: vLLM's names of quantised KV caches.
KV_DTYPES = {"fp8": "fp8", "int8": "int8_per_token_head"}
#: Weights that vLLM quantises while it loads a 16-bit model, with a scale per channel.
ONLINE = {("fp8", "fp8"): "fp8_per_channel"}
#: How kernels are launched, where vLLM has to be told: by itself it compiles and captures graphs.
LAUNCHES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "eager": (("--enforce-eager",),),
    "compile": (("--compilation-config", '{"cudagraph_mode":"NONE"}'),),
}


@dataclass(frozen=True)
class Deployment:
    """What every target is made from.

    Parameters
    ----------
    scenario : Scenario
        With the fleet.
    system : System
        Its replica, resolved.
    model : str
        What vLLM loads: a repository, a path, or :data:`MODEL`.
    flags : tuple of tuple of str
        Flags of ``vllm serve``, each with its value if it takes one.
    header : tuple of str
        What made it, for comments at the top.
    notices : tuple of str
        What the engine cannot be told, and what to do about it.
    """

    scenario: Scenario
    system: System
    model: str
    flags: tuple[tuple[str, ...], ...]
    header: tuple[str, ...]
    notices: tuple[str, ...]

    @property
    def args(self) -> list[str]:
        """Words after ``vllm serve``."""
        return [self.model, *(word for flag in self.flags for word in flag)]


def deployment(scenario: Scenario, system: System, header: tuple[str, ...]) -> Deployment:
    """Return what every target is made from.

    Parameters
    ----------
    scenario : Scenario
        With an LLM on a fleet.
    system : System
        Its replica, resolved.
    header : tuple of str
        Lines for the top.
    """
    version = recorded_flags()["version"]
    return Deployment(
        scenario=scenario,
        system=system,
        model=_model(system),
        flags=tuple(_flags(system)),
        header=(*header, f"flags of vLLM {version}"),
        notices=tuple(notices_of(scenario, system)),
    )


def vllm_text(made: Deployment) -> Written:
    """Return the command as a shell reads it, one flag a line, and what it cannot say."""
    replicas = made.scenario.fleet.replicas if made.scenario.fleet else 1
    several = f"one of {replicas} replicas; a router in front of them shares requests"
    words = [f"vllm serve {shlex.quote(made.model)}"]
    words += [" ".join(map(shlex.quote, flag)) for flag in made.flags]
    return Written([several] * (replicas > 1), " \\\n    ".join(words) + "\n")


def _model(system: System) -> str:
    """Return what vLLM loads; the folder of a configuration, where the weights should be.

    Raises
    ------
    InputError
        If the name holds characters that a terminal obeys and does not show.
    """
    chosen = system.service.model
    if isinstance(chosen, ModelConfig):
        name = chosen.config.rpartition("/")[0] or "."
    else:
        name = system.shape.hf_id or MODEL
    if not name.isprintable():
        message = f"must be printable to be exported, got {shown(name)}; name a model or a folder"
        raise InputError(Problem(message, "service.model"))
    return name


def _flags(system: System) -> Iterator[tuple[str, ...]]:
    """Yield the flags that make vLLM what was simulated."""
    service, fleet = system.service, system.fleet
    engine, settings = service.engine, service.settings
    if fleet.tensor_parallel > 1:
        yield "--tensor-parallel-size", str(fleet.tensor_parallel)
    if fleet.pipeline_parallel > 1:
        yield "--pipeline-parallel-size", str(fleet.pipeline_parallel)
    yield "--dtype", DTYPES[settings.plain_dtype]
    online = ONLINE.get((settings.weights, settings.compute_dtype))
    if online is not None and not stored_so(system):
        yield "--quantization", online
    if settings.kv_cache in KV_DTYPES:
        yield "--kv-cache-dtype", KV_DTYPES[settings.kv_cache]
    elif settings.kv_cache not in {settings.plain_dtype, "fp32"}:
        yield "--kv-cache-dtype", DTYPES[settings.kv_cache]
    yield "--max-model-len", str(system.pool.max_model_len)
    yield "--max-num-seqs", str(engine.max_num_seqs)
    yield "--max-num-batched-tokens", str(engine.max_num_batched_tokens)
    yield "--block-size", str(engine.block_size)
    yield "--gpu-memory-utilization", _share(engine.gpu_memory_utilization)
    if engine.kv_tokens is not None:
        yield "--num-gpu-blocks-override", str(system.pool.blocks)
    yield from LAUNCHES.get(settings.launch, ())
    yield from _scheduling(system)


def _scheduling(system: System) -> Iterator[tuple[str, ...]]:
    """Yield the flags of the scheduler and of what it does with sliding windows."""
    engine = system.service.engine
    if system.shape.n_windowed_layers and system.pool.layout.keeps_all:
        yield ("--disable-hybrid-kv-cache-manager",)
    if isinstance(engine.scheduler, Chunked):
        yield ("--enable-chunked-prefill",)
        if not engine.scheduler.scheduler_reserve_full_isl:
            yield ("--no-scheduler-reserve-full-isl",)
    elif isinstance(engine.scheduler, PrefillFirst) and whole_prompts(system):
        yield ("--no-enable-chunked-prefill",)


def stored_so(system: System) -> bool:
    """Return whether the published weights are in the format that the settings ask for."""
    return system.shape.native_dtype == system.service.settings.weights


def whole_prompts(system: System) -> bool:
    """Return whether vLLM takes whole prompts: the longest must fit into one step."""
    return system.service.engine.max_num_batched_tokens >= system.pool.max_model_len


def _share(value: float) -> str:
    """Return a share that vLLM reads back as no more than it is."""
    return f"{math.floor(value * 1e6) / 1e6:g}"
