"""What fits into memory: weights, and vLLM's arithmetic of the KV cache.

    pool = gpu_memory_utilization x physical memory
           - weights - peak activation - non-torch memory - CUDA graphs

on each device of a replica, and ``tokens = pool / (KV bytes per token on the device)`` in whole
blocks. The constants are in ``planner/catalog/data/memory.json`` with their sources.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from planner.catalog.files import packaged
from planner.catalog.provenance import SourcedNumber
from planner.errors import InputError, Problem
from planner.latency.parallel import check_parallel, check_served, kv_share, possible_degrees

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.catalog.devices import Device
    from planner.catalog.models import ModelShape
    from planner.latency.settings import Settings

GIB = 2.0**30


class EngineLimits(Protocol):
    """The limits of an engine that memory depends on, named as vLLM names them."""

    @property
    def gpu_memory_utilization(self) -> float:
        """Share of the device's memory that the engine may use."""

    @property
    def max_num_seqs(self) -> int:
        """Requests in service at once."""

    @property
    def max_num_batched_tokens(self) -> int:
        """Tokens in one step."""

    @property
    def block_size(self) -> int:
        """Tokens in one block of KV cache."""

    @property
    def max_model_len(self) -> int | None:
        """Longest prompt and answer together."""

    @property
    def kv_tokens(self) -> int | None:
        """KV pool as the engine logs it, in place of the arithmetic."""


@dataclass(frozen=True)
class KvPool:
    """KV cache of one replica.

    Parameters
    ----------
    tokens : int
        Tokens that it holds, ``blocks * block_size``. A sliding-window layer counts every token,
        as in engines without a hybrid cache manager. [tokens]
    block_size : int
        Tokens in one block. [tokens]
    blocks : int
        Blocks, of all pipeline stages' micro-batches together.
    max_model_len : int
        Longest prompt and answer together: what was asked for, or the smaller of the model's
        maximum and what one micro-batch may hold, ``blocks // pipeline_parallel``. [tokens]
    breakdown : dict of str to float
        Bytes of one device: ``physical``, ``usable``, ``weights``, ``activation``, ``non_torch``,
        ``cuda_graphs``, ``kv_cache``; only the last where the engine's own log gave the tokens. [B]
    provenance : list of SourcedNumber
        Where the numbers come from.
    """

    tokens: int
    block_size: int
    blocks: int
    max_model_len: int
    breakdown: dict[str, float]
    provenance: list[SourcedNumber]

    @property
    def max_concurrency(self) -> float:
        """Requests of the longest length that fit at once, as vLLM logs it."""
        return self.tokens / self.max_model_len


def weight_bytes(shape: ModelShape, settings: Settings) -> float:
    """Return the bytes of all weights as stored; what a cold start has to load [B]."""
    return (
        shape.fixed_parameters * settings.layer_bytes
        + shape.routed_parameters * settings.expert_bytes
        + shape.table_parameters * settings.plain_bytes
    )


def device_weight_bytes(
    shape: ModelShape, settings: Settings, tensor_parallel: int = 1, pipeline_parallel: int = 1
) -> float:
    """Return the bytes of the weights on the fullest device of a replica [B].

    Stages differ by at most one layer; the first also has the embedding table, the last the
    output head. Every device holds the whole table of rotary angles, a cosine and a sine for each
    position, which "model loading took" counts.
    """
    rotary = shape.max_position * (shape.qk_rope_dim or shape.head_dim) * settings.plain_bytes
    table = shape.table_parameters if pipeline_parallel == 1 else shape.embedding_parameters
    layers = weight_bytes(shape, settings) - shape.table_parameters * settings.plain_bytes
    stage = math.ceil(shape.n_layers / pipeline_parallel) / shape.n_layers
    return (layers * stage + table * settings.plain_bytes) / tensor_parallel + rotary


def device_kv_bytes_per_token(
    shape: ModelShape, settings: Settings, tensor_parallel: int = 1, pipeline_parallel: int = 1
) -> float:
    """Return the bytes of KV cache per token on the device with the most layers [B]."""
    layers = math.ceil(shape.n_layers / pipeline_parallel)
    per_layer = shape.kv_elements_per_layer * settings.kv_bytes
    return layers * per_layer * kv_share(shape, tensor_parallel)


def peak_activation(
    shape: ModelShape, settings: Settings, limits: EngineLimits, tensor_parallel: int = 1
) -> float:
    """Return the peak of activations while vLLM profiles a full step [B].

    The larger of the forward pass, whose ``max_num_batched_tokens`` tokens need copies of the
    hidden and feed-forward widths, and of the sampler, which sorts ``max_num_seqs`` rows of
    logits over the whole vocabulary on every device.
    """
    number = {name: each.value for name, each in _constants().items()}
    hidden = limits.max_num_batched_tokens * shape.hidden_size * settings.plain_bytes
    width = max(shape.ffn_size, shape.moe_ffn_size * shape.experts_per_token) / tensor_parallel
    ffn = limits.max_num_batched_tokens * width * settings.plain_bytes
    forward = number["forward_hidden_copies"] * hidden + number["forward_ffn_copies"] * ffn
    logits = limits.max_num_seqs * shape.vocab_size * number["sampler_bytes_per_logit"]
    return max(forward, logits + number["hidden_copies"] * hidden)


def kv_pool(
    shape: ModelShape,
    device: Device,
    settings: Settings,
    limits: EngineLimits,
    *,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    measured: Mapping[str, float] | None = None,
) -> KvPool:
    """Return the KV cache of one replica.

    Parameters
    ----------
    shape : ModelShape
        A decoder.
    device : Device
        Each of the replica's devices.
    settings : Settings
        Data types and pruning.
    limits : EngineLimits
        Limits of the engine, e.g. a scenario's ``engine``.
    tensor_parallel, pipeline_parallel : int
        Devices that share a layer; stages in a row.
    measured : mapping of str to float, optional
        Bytes from an engine's log in place of the estimates: ``weights``, ``activation``,
        ``non_torch``, ``cuda_graphs``. [B]

    Raises
    ------
    InputError
        If the model is not a decoder, cannot be divided so, does not fit, or is asked for a
        longer context than model or pool have; with the arithmetic and what to do.
    """
    check_served(shape)
    check_parallel(shape, device, tensor_parallel, pipeline_parallel)
    replica = _Replica(shape, device, settings, limits, tensor_parallel, pipeline_parallel)
    per_token = device_kv_bytes_per_token(shape, settings, tensor_parallel, pipeline_parallel)
    if limits.kv_tokens is not None:
        blocks = limits.kv_tokens // limits.block_size
        log = "service.engine.kv_tokens"
        sources = [SourcedNumber("kv_tokens", limits.kv_tokens, "tokens", "given", log)]
        parts = {"kv_cache": blocks * limits.block_size * per_token}
    else:
        parts = replica.parts(measured or {})
        sources = replica.sources(measured or {})
        blocks = math.floor(parts["kv_cache"] / (per_token * limits.block_size))
        if blocks < pipeline_parallel:
            raise InputError(Problem(replica.does_not_fit(parts), "fleet.device"))
    length = _max_model_len(shape, limits, blocks // pipeline_parallel * limits.block_size, parts)
    return KvPool(blocks * limits.block_size, limits.block_size, blocks, length, parts, sources)


@functools.cache
def _constants() -> dict[str, SourcedNumber]:
    """Return the numbers of ``data/memory.json`` by name."""
    numbers = packaged("data/memory.json")["numbers"]
    return {
        name: SourcedNumber(name, n["value"], n["unit"], n["provenance"], n["source"])
        for name, n in numbers.items()
    }


@dataclass(frozen=True)
class _Replica:
    """A model on devices, and what it takes of one device's memory."""

    shape: ModelShape
    device: Device
    settings: Settings
    limits: EngineLimits
    tensor: int
    pipeline: int

    @property
    def non_torch(self) -> SourcedNumber:
        """Memory outside PyTorch: context, and buffers of collectives over what links devices."""
        if self.tensor == 1:
            return _constants()["non_torch_single"]
        link, host = self.device.link, self.device.host_bandwidth
        if link is None or (host is not None and link.bandwidth <= host):
            return _constants()["non_torch_pcie"]
        return _constants()["non_torch_pair" if self.tensor == 2 else "non_torch_switched"]

    def parts(self, measured: Mapping[str, float]) -> dict[str, float]:
        """Return the breakdown of one device's memory [B]."""
        memory = self.device.memory
        if memory is None:
            message = (
                f"must be a device whose memory is known, got {self.device.name!r}; give "
                "engine.kv_tokens from the engine's log, or write the device inline with memory"
            )
            raise InputError(Problem(message, "fleet.device"))
        taken = {
            "weights": device_weight_bytes(self.shape, self.settings, self.tensor, self.pipeline),
            "activation": peak_activation(self.shape, self.settings, self.limits, self.tensor),
            "non_torch": 0.0 if self.device.kind == "cpu" else self.non_torch.value,
            "cuda_graphs": 0.0 if self.device.kind == "cpu" else _constants()["cuda_graphs"].value,
            **measured,
        }
        usable = self.limits.gpu_memory_utilization * memory
        left = usable - sum(taken.values())
        return {"physical": memory, "usable": usable, **taken, "kv_cache": left}

    def sources(self, measured: Mapping[str, float]) -> list[SourcedNumber]:
        """Return where the numbers come from."""
        origin = self.device.origin("memory")
        memory = self.device.memory or 0.0
        common = [n for name, n in _constants().items() if not name.startswith("non_torch")]
        return [
            SourcedNumber("memory", memory, "B", origin.provenance, origin.source),
            *common,
            self.non_torch,
            *(SourcedNumber(key, value, "B", "given", "log") for key, value in measured.items()),
        ]

    def does_not_fit(self, parts: Mapping[str, float]) -> str:
        """Return why the model does not fit, and the least tensor-parallel degree that would do."""
        most = self.device.link.devices if self.device.link else 1
        hint = "weights of fewer bytes, a device with more memory, or a smaller model"
        for degree in possible_degrees(self.shape, most):
            left = replace(self, tensor=degree).parts({})["kv_cache"]
            if degree > self.tensor and left > 0:
                hint = f"tensor_parallel: {degree} (leaves {left / GIB:.2f} GiB), or {hint}"
                break
        return (
            f"must have memory for {self.shape.name!r} and its KV cache at tensor_parallel "
            f"{self.tensor} and pipeline_parallel {self.pipeline}, got {self.device.name!r}: "
            f"{_arithmetic(self.limits, parts)} for the KV cache; try {hint}"
        )


def _arithmetic(limits: EngineLimits, parts: Mapping[str, float]) -> str:
    """Return the subtraction in words, GiB."""
    taken = ", ".join(
        f"{key.replace('_', '-')} {parts[key] / GIB:.2f}"
        for key in ("weights", "activation", "non_torch", "cuda_graphs")
    )
    return (
        f"{limits.gpu_memory_utilization:g} x {parts['physical'] / GIB:.2f} GiB = "
        f"{parts['usable'] / GIB:.2f} GiB, less {taken}, leaves {parts['kv_cache'] / GIB:.2f} GiB"
    )


def _max_model_len(
    shape: ModelShape, limits: EngineLimits, pool: int, parts: Mapping[str, float]
) -> int:
    """Return the longest prompt and answer together, given the tokens one request may hold."""
    wanted = limits.max_model_len
    if wanted is None:
        return min(shape.max_position, pool)
    if wanted > shape.max_position:
        raise InputError(
            Problem(
                f"must be at most the {shape.max_position} positions of {shape.name!r}, "
                f"got {wanted}",
                "service.engine.max_model_len",
            )
        )
    if wanted > pool:
        why = f" ({_arithmetic(limits, parts)})" if "physical" in parts else ""
        raise InputError(
            Problem(
                f"must be at most the {pool} tokens of KV cache that one request may hold{why}, "
                f"got {wanted}; lower it, raise gpu_memory_utilization or tensor_parallel, or "
                "take a kv_cache of fewer bytes",
                "service.engine.max_model_len",
            )
        )
    return wanted
