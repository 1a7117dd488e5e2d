"""From a measured point to the replica that served it: data types, limits, scheduler, memory.

Tables of published results seldom print how the engine was started. What they leave out is read
as follows, the same for all rows of an engine, and stated here so that it can be argued with:

- Engines run with their own defaults on data-centre devices: 8,192 tokens in a step; vLLM [1]_
  takes 0.9 of the memory, SGLang [2]_ 0.88 and whole prompts first, TensorRT-LLM [3]_ 0.9 of what
  the weights leave, and admits only what is sure to fit to its end. SGLang's share is for weights
  and KV cache alone; vLLM's holds activations and graphs as well.
- Where a script of the benchmark was read, what it sets counts
  (:mod:`planner.validation.points.inferencex`).
- A checkpoint in 8 or 4 bits has its KV cache in fp8 under vLLM and TensorRT-LLM, as NVIDIA's
  checkpoints say; not so latent attention, and gpt-oss under vLLM.
- In `aic_silicon_sample`, ``tp = ep**2`` (and ``ep = tp**2``, ``dp = ep**2``) repeats the numbers
  of ``tp = ep`` to a per cent or two: the degrees were multiplied twice. They are read as ``ep``.

References
----------
.. [1] vLLM, ``vllm/engine/arg_utils.py``, defaults by usage context.
.. [2] SGLang, ``server_args.py``, ``mem_fraction_static`` and ``chunked_prefill_size``.
.. [3] TensorRT-LLM, ``KvCacheConfig.free_gpu_memory_fraction`` and the capacity scheduler
   ``GUARANTEED_NO_EVICT``.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from planner.catalog.catalogue import find_device, find_model
from planner.errors import PlannerError
from planner.latency.footprint import weight_bytes
from planner.latency.memory import kv_pool
from planner.latency.model_step import step_time
from planner.latency.settings import Settings, WeightDtype
from planner.scenario.engine import Engine
from planner.scenario.fleet import Fleet
from planner.scenario.service import LlmService
from planner.simulation.system import System
from planner.validation.points.inferencex import data_parallel, speculative, started

if TYPE_CHECKING:
    from planner.catalog.devices import Device
    from planner.catalog.models import ModelShape
    from planner.catalog.profile import Profile
    from planner.latency.memory import KvPool
    from planner.validation.points.table import Point

#: Engines by what their names hold.
FAMILIES = {"vllm": "vllm", "trtllm": "trtllm", "tensorrt-llm": "trtllm", "sglang": "sglang"}
#: Tokens in a step, and requests in service, by default on data-centre devices.
STEP_TOKENS, SEQUENCES = 8192, 1024
#: Share of the memory that an engine takes; TensorRT-LLM's is of what the weights leave.
MEMORY = {"vllm": 0.9, "sglang": 0.88, "trtllm": 0.9}
#: SGLang's activations and graphs are beside its share of the memory, not in it. [B]
_BESIDE = {"activation": 0.0, "cuda_graphs": 0.0}
_LIMITS = {
    "max_num_batched_tokens": re.compile(r"max-num-batched-tokens[ =](\d+)"),
    "max_num_seqs": re.compile(r"max-num-seqs[ =](\d+)"),
}


class UnsupportedError(PlannerError):
    """A point that cannot be simulated; the message is the reason, the same for all like it."""


@dataclass(frozen=True)
class Deployment:
    """A replica, but for its profile.

    Parameters
    ----------
    shape : ModelShape
        The model.
    device : Device
        Each of its devices.
    service : LlmService
        Settings and engine.
    fleet : Fleet
        One replica.
    pool : KvPool
        Its KV cache.
    """

    shape: ModelShape
    device: Device
    service: LlmService
    fleet: Fleet
    pool: KvPool

    def system(self, profile: Profile) -> System:
        """Return the replica as `profile` has it run."""
        step = step_time(
            self.shape,
            self.device,
            self.service.settings,
            profile,
            tensor_parallel=self.fleet.tensor_parallel,
            pipeline_parallel=self.fleet.pipeline_parallel,
        )
        weights = weight_bytes(self.shape, self.service.settings)
        return System(
            self.service, self.fleet, self.shape, self.device, profile, step, self.pool, weights
        )


def family(engine: str) -> str:
    """Return the engine's short name: ``vllm``, ``trtllm``, ``sglang``, or its own."""
    lower = engine.lower()
    return next((name for word, name in FAMILIES.items() if word in lower), lower)


def deployment(point: Point, longest: int) -> Deployment:
    """Return the replica that served `point`.

    Parameters
    ----------
    point : Point
        A row.
    longest : int
        Tokens of a request, prompt and answer together, that the engine reckons with. [tokens]

    Raises
    ------
    UnsupportedError
        If the row does not say enough, or says what is not modelled.
    """
    tensor, pipeline = _degrees(point)
    batch = int(point.numbers["load"]) if point.texts["load_type"] == "batch" else 1
    engine = family(point.texts["engine"])
    limits: dict[str, float] = {
        name: int(found[1])
        for name, pattern in _LIMITS.items()
        if (found := pattern.search(point.texts["notes"]))
    }
    if script := started(point, engine):
        clients = int(point.numbers["load"])
        tokens = script.step_tokens(int(point.numbers["isl"]), clients)
        every = script.polled(clients)
        limits = {"max_num_batched_tokens": tokens, "gpu_memory_utilization": script.memory}
        if script.sequences:
            limits["max_num_seqs"] = script.sequences
        if every > 1:
            limits["scheduler_recv_interval"] = every
    return _deployment(
        point.model,
        point.device,
        engine,
        _settings(point),
        (tensor, pipeline),
        longest,
        batch,
        tuple(limits.items()),
    )


def _degrees(point: Point) -> tuple[int, int]:
    """Return the tensor and pipeline degrees.

    Raises
    ------
    UnsupportedError
        If they are not given, attention is data-parallel, or decoding speculative.
    """
    engine = family(point.texts["engine"])
    if speculative(point, engine):
        raise UnsupportedError("speculative decoding")
    tp, ep = point.number("tp"), point.number("ep") or 1.0
    dp, pp = point.number("dp") or 1.0, point.number("pp") or 1.0
    if "disagg" in point.texts["kind"]:
        raise UnsupportedError("prefill and decode on different devices")
    if tp is None:
        raise UnsupportedError("the source gives no tensor-parallel degree")
    if (dp > 1 and not ep == tp**2) or data_parallel(point, engine):
        raise UnsupportedError("data-parallel attention")
    if ep > 1 and tp == ep**2:
        tp = ep
    return int(tp), int(pp)


def _settings(point: Point) -> Settings:
    """Return the data types.

    Raises
    ------
    UnsupportedError
        If the weights' type is not known.
    """
    weights, engine = point.texts["dtype"].lower(), family(point.texts["engine"])
    gpt_oss = point.model.startswith("gpt-oss")
    if gpt_oss and weights in {"fp4", "mxfp4"}:
        weights = "mxfp4"
    if weights not in get_args(WeightDtype):
        raise UnsupportedError(f"weights of type {point.texts['dtype'] or 'unknown'}")
    small = weights in {"fp8", "fp4", "mxfp4"} and engine in {"vllm", "trtllm"}
    latent = _found(point.model, point.device)[0].is_mla
    kv = "fp8" if small and not latent and not (gpt_oss and engine == "vllm") else "bf16"
    if script := started(point, engine):
        kv = script.kv if weights not in {"bf16", "fp16", "fp32"} else "bf16"
    return Settings.model_validate({"weights": weights, "kv_cache": kv})


@functools.lru_cache(maxsize=4096)
def _deployment(  # noqa: PLR0917 - the key of a cache
    model: str,
    device_name: str,
    engine: str,
    settings: Settings,
    degrees: tuple[int, int],
    longest: int,
    batch: int,
    given: tuple[tuple[str, float], ...],
) -> Deployment:
    shape, device = _found(model, device_name)
    if batch > 1 and shape.arch != "decoder":
        raise UnsupportedError("not a decoder")
    limits: dict[str, Any] = {
        "max_num_batched_tokens": max(STEP_TOKENS, SEQUENCES, batch),
        "max_num_seqs": max(SEQUENCES, batch),
        "gpu_memory_utilization": MEMORY.get(engine, 0.9),
        "scheduler": {"kind": "prefill_first" if engine == "sglang" else "chunked"},
        "disable_hybrid_kv_cache_manager": engine != "vllm",
        **dict(given),
    }
    if "scheduler_recv_interval" in limits:
        limits["scheduler"]["scheduler_recv_interval"] = limits.pop("scheduler_recv_interval")
    tensor, pipeline = degrees
    fleet = Fleet.model_validate(
        {"device": device.name, "tensor_parallel": tensor, "pipeline_parallel": pipeline}
    )
    try:
        if engine == "trtllm":
            limits = _free_memory(shape, device, settings, limits, degrees=degrees, longest=longest)
        limits["max_num_batched_tokens"] = max(
            limits["max_num_batched_tokens"], limits["max_num_seqs"]
        )
        made = Engine.model_validate(limits)
        pool = kv_pool(
            shape,
            device,
            settings,
            made,
            tensor_parallel=tensor,
            pipeline_parallel=pipeline,
            measured=_BESIDE if engine == "sglang" else None,
        )
        settings.check(device)
    except PlannerError as error:
        raise UnsupportedError(_why(str(error))) from None
    service = LlmService(model=model, settings=settings, engine=made)
    return Deployment(shape, device, service, fleet, pool)


def _found(model: str, device: str) -> tuple[ModelShape, Device]:
    try:
        shape = find_model(model)
    except PlannerError:
        raise UnsupportedError("a model that the catalogue does not have") from None
    try:
        return shape, find_device(device.removesuffix(" (per GPU)"))
    except PlannerError:
        raise UnsupportedError("a device that the catalogue does not have") from None


def _free_memory(
    shape: ModelShape,
    device: Device,
    settings: Settings,
    limits: dict[str, Any],
    *,
    degrees: tuple[int, int],
    longest: int,
) -> dict[str, Any]:
    """Return `limits` with TensorRT-LLM's KV pool, and as many requests as fit to their end."""
    share = limits["gpu_memory_utilization"]
    whole = Engine.model_validate({**limits, "gpu_memory_utilization": 1.0})
    pool = kv_pool(
        shape,
        device,
        settings,
        whole,
        tensor_parallel=degrees[0],
        pipeline_parallel=degrees[1],
    )
    tokens = int(share * pool.tokens)
    fit = max(1, tokens // max(longest, 1))
    return {
        **limits,
        "kv_tokens": max(tokens, 16),
        "max_num_seqs": min(limits["max_num_seqs"], fit),
    }


def _why(message: str) -> str:
    """Return the reason behind a refusal, without what differs from row to row."""
    if "must have memory for" in message:
        return "weights and KV cache do not fit the memory"
    if "peak for" in message:
        return "a data type that the device does not compute in"
    if "joins" in message or "link" in message:
        return "more devices than the link joins"
    if "divide" in message:
        return "a degree that does not divide the model"
    return message.split("; ", maxsplit=1)[0]
