"""What an engine cannot be told on its command line: never left out in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.scenario.engine import PrefillFirst, Static
from planner.scenario.service import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.scenario.model import Scenario
    from planner.simulation.system import System

#: How to make a checkpoint in a format that vLLM does not quantise to while it loads.
CHECKPOINTS = {
    "fp8": "FP8 (compressed-tensors)",
    "int8": "INT8 (compressed-tensors)",
    "int4": "INT4 (AWQ, GPTQ or compressed-tensors)",
    "fp4": "NVFP4 (ModelOpt or compressed-tensors)",
    "mxfp4": "MXFP4 experts",
}


def notices_of(scenario: Scenario, system: System) -> Iterator[str]:
    """Yield what was simulated and vLLM cannot be told, each with what to do."""
    yield from _model_notices(system)
    yield from _weight_notices(system)
    yield from _kv_notices(system)
    yield from _pruning_notices(system)
    yield from _launch_notices(system)
    yield from _pool_notices(system)
    yield from _scheduler_notices(system)
    yield from _place_notices(scenario, system)


def _model_notices(system: System) -> Iterator[str]:
    chosen = system.service.model
    if isinstance(chosen, ModelConfig):
        yield "the model is a folder: its weights and tokenizer must lie beside the configuration"
    elif not system.shape.hf_id:
        name = chosen if isinstance(chosen, str) else system.shape.name
        yield f"the model {name!r} names no repository: write yours in place of MODEL"
    if system.service.engine.kv_tokens is not None:
        yield (
            "the KV pool was given as kv_tokens: if the device has less memory left, vLLM fails "
            "at start; lower --num-gpu-blocks-override"
        )


def _weight_notices(system: System) -> Iterator[str]:
    settings = system.service.settings
    weights, computes = settings.weights, settings.compute_dtype
    if weights in {"bf16", "fp16", "fp32"}:
        stored = system.shape.native_dtype
        if stored not in {"bfloat16", "float16", "float32", ""}:
            yield (
                f"the published model is stored as {stored}, {weights} was simulated: load a "
                f"{weights} checkpoint in its place"
            )
        return
    if system.shape.native_dtype == weights:
        return
    if (weights, computes) == ("fp8", "fp8"):
        yield (
            "weights are quantised to FP8 while the model loads; a checkpoint quantised before "
            "loads faster: then leave --quantization out"
        )
        return
    yield (
        f"vLLM does not quantise to {weights} weights with {computes} arithmetic while it loads: "
        f"load a checkpoint in {CHECKPOINTS[weights]}, as llm-compressor makes, in place of the "
        "model; vLLM reads its format from it"
    )


def _kv_notices(system: System) -> Iterator[str]:
    settings = system.service.settings
    if settings.kv_cache == "fp32" and settings.plain_dtype != "fp32":
        yield (
            f"vLLM keeps a KV cache of fp32 beside fp32 weights only: it is {settings.plain_dtype} "
            "here, half of what was simulated"
        )
    elif settings.kv_cache == "int8":
        yield "the INT8 KV cache has a scale per token and head, of which fewer backends know"


def _launch_notices(system: System) -> Iterator[str]:
    if system.service.settings.launch == "cuda_graphs":
        yield "vLLM compiles the model beside capturing CUDA graphs, unlike simulated"


def _pruning_notices(system: System) -> Iterator[str]:
    pruning = system.service.settings.pruning
    if pruning.pattern == "none":
        return
    yield f"weights pruned {pruning.pattern} {100 * pruning.rate:.0f} %: load the pruned checkpoint"
    if pruning.pattern == "2:4":
        yield (
            "vLLM has no kernels for 2:4 sparsity since compressed-tensors dropped it: as dense "
            "weights they are neither smaller nor faster, unlike simulated; choose another setting "
            "or an engine with such kernels"
        )
    elif pruning.pattern == "unstructured":
        yield "vLLM stores and multiplies single zeros as any other weight: no gain in speed"
    elif pruning.pattern == "structured":
        yield (
            "its configuration must have the smaller sizes, uniform over the layers or of an "
            "architecture that vLLM knows"
        )


def _pool_notices(system: System) -> Iterator[str]:
    pool, wanted = system.pool, system.service.engine.max_model_len
    if wanted is None and pool.max_model_len < system.shape.max_position:
        yield (
            f"--max-model-len {pool.max_model_len} is all of the predicted KV pool, less than the "
            f"model's {system.shape.max_position}: where the pool turns out smaller, vLLM "
            "does not start; set service.engine.max_model_len to what the longest request needs"
        )


def _scheduler_notices(system: System) -> Iterator[str]:
    engine = system.service.engine
    if isinstance(engine.scheduler, Static):
        yield (
            f"vLLM has no static batches (of {engine.scheduler.batch_size} requests or "
            f"{engine.scheduler.timeout:g} s, as simulated): it admits each request as soon as it "
            "can, and will be faster; simulate the chunked scheduler to see by how much"
        )
    elif isinstance(engine.scheduler, PrefillFirst):
        yield (
            "vLLM decodes in the same step as it reads prompts, unlike the prefill_first scheduler "
            "simulated"
        )
        every = engine.scheduler.scheduler_recv_interval
        if every > 1:
            yield (
                f"it takes new requests at every step, not every {every} as simulated "
                "(scheduler_recv_interval, a flag of SGLang): first tokens come sooner"
            )
        if engine.max_num_batched_tokens < system.pool.max_model_len:
            yield (
                "it cuts prompts into chunks, since max_num_batched_tokens is below max_model_len, "
                f"{system.pool.max_model_len}; raise it there to read prompts whole"
            )
    yield (
        "vLLM reuses the KV cache of equal beginnings of prompts, which is not simulated: it can "
        "only be faster; --no-enable-prefix-caching does without"
    )


def _place_notices(scenario: Scenario, system: System) -> Iterator[str]:
    service, device, fleet = system.service, system.device, system.fleet
    for name, stages in (("before", service.before), ("after", service.after)):
        if stages:
            listed = ", ".join(stage.name for stage in stages)
            yield f"stages {name} the model are services of their own, not made here: {listed}"
    if device.kind != "gpu":
        pool = "; VLLM_CPU_KVCACHE_SPACE sets its KV pool" * (device.kind == "cpu")
        yield f"the device is a {device.kind.upper()}: vLLM needs its build for it{pool}"
    width = fleet.tensor_parallel * fleet.pipeline_parallel
    if device.link is not None and width > device.link.devices:
        yield (
            f"a replica has {width} devices and a node {device.link.devices}: run it over several "
            "nodes, with --nnodes and --node-rank or with Ray"
        )
    if fleet.router.kind == "least_kv":
        yield (
            "no common load balancer routes by free KV cache as simulated: use one that reads "
            "vllm:kv_cache_usage_perc, as llm-d or the Gateway API inference extension"
        )
    if scenario.fleet is not None and scenario.fleet.failures is not None:
        yield "a request that loses its replica is sent again only if its client or router does so"
