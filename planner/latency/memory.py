"""What fits into memory: vLLM's arithmetic of the KV cache.

    pool = gpu_memory_utilization x physical memory
           - weights - peak activation - non-torch memory - CUDA graphs

on each device of a replica, in whole blocks. A block of a model that keeps every token has so many
tokens of all its layers; :mod:`planner.latency.kv_layout` has the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from planner.catalog.provenance import SourcedNumber
from planner.errors import InputError, Problem
from planner.latency.footprint import device_weight_bytes, memory_constants, peak_activation
from planner.latency.kv_layout import KvLayers, KvLayout, kv_layout
from planner.latency.parallel import check_parallel, check_served, kv_share, possible_degrees

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.catalog.devices import Device
    from planner.catalog.models import ModelShape
    from planner.latency.footprint import EngineLimits
    from planner.latency.settings import Settings

GIB = 2.0**30


@dataclass(frozen=True)
class KvPool:
    """KV cache of one replica.

    Parameters
    ----------
    block_size : int
        Tokens in one block. [tokens]
    blocks : int
        Blocks, of all pipeline stages' micro-batches together.
    max_model_len : int
        Longest prompt and answer together: what was asked for, or the smaller of the model's
        maximum and what one micro-batch may hold, ``blocks // pipeline_parallel``. [tokens]
    layout : KvLayout
        Groups of layers that share the blocks.
    step_tokens : int
        Tokens that one step may compute. [tokens]
    breakdown : dict of str to float
        Bytes of one device: ``physical``, ``usable``, ``weights``, ``activation``, ``non_torch``,
        ``cuda_graphs``, ``kv_cache``; only the last where the engine's own log gave the tokens. [B]
    provenance : list of SourcedNumber
        Where the numbers come from.
    """

    block_size: int
    blocks: int
    max_model_len: int
    layout: KvLayout
    step_tokens: int
    breakdown: dict[str, float]
    provenance: list[SourcedNumber]

    @property
    def tokens(self) -> int:
        """Tokens that it holds, ``blocks * block_size``; with windows, in its longest requests.

        As vLLM logs it from version 0.21 on. Earlier ones divided the blocks by the groups.
        """
        if self.layout.keeps_all:
            return self.blocks * self.block_size
        return int(self.max_concurrency * self.max_model_len)

    @property
    def max_concurrency(self) -> float:
        """Requests of the longest length that fit at once, as vLLM logs it."""
        if self.layout.keeps_all:
            return self.tokens / self.max_model_len
        return self.blocks / self.layout.request_blocks(self.max_model_len, self.step_tokens)

    def fit(self, tokens: int) -> int:
        """Return how many requests of `tokens` tokens fit at once."""
        if self.layout.keeps_all:
            return self.tokens // tokens
        return self.blocks // self.layout.request_blocks(tokens, self.step_tokens)


def model_layout(
    shape: ModelShape,
    settings: Settings,
    limits: EngineLimits,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
) -> KvLayout:
    """Return how the layers of `shape` share blocks on the fullest device of a replica."""
    each = shape.kv_elements_per_layer * settings.kv_bytes * kv_share(shape, tensor_parallel)
    windowed = shape.n_windowed_layers if limits.frees_windows else 0
    kinds = [
        KvLayers(layers, each, window)
        for layers, window in ((shape.kv_layers - windowed, 0), (windowed, shape.sliding_window))
        if layers
    ]
    if shape.linear_attention:
        state = shape.linear_attention.state_bytes / tensor_parallel
        kinds.append(KvLayers(shape.linear_layers, 0.0, state_bytes=state))
    return kv_layout(kinds, limits.block_size, pipeline_parallel)


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
    layout = model_layout(shape, settings, limits, tensor_parallel, pipeline_parallel)
    step = limits.max_num_batched_tokens
    if limits.kv_tokens is not None:
        blocks = _logged_blocks(shape, layout, limits, limits.kv_tokens)
        log = "service.engine.kv_tokens"
        sources = [SourcedNumber("kv_tokens", limits.kv_tokens, "tokens", "given", log)]
        parts = {"kv_cache": blocks * layout.block_bytes}
    else:
        parts = replica.parts(measured or {})
        sources = replica.sources(measured or {})
        blocks = math.floor(parts["kv_cache"] / layout.block_bytes)
        if blocks // pipeline_parallel < layout.request_blocks(1, step):
            raise InputError(Problem(replica.does_not_fit(parts), "fleet.device"))
    most = layout.longest(blocks // pipeline_parallel, step, shape.max_position)
    length = _max_model_len(shape, limits, most, parts)
    return KvPool(layout.block_size, blocks, length, layout, step, parts, sources)


def _logged_blocks(shape: ModelShape, layout: KvLayout, limits: EngineLimits, tokens: int) -> int:
    """Return the blocks behind the tokens that an engine logs: whole requests of the longest."""
    if layout.keeps_all:
        return tokens // limits.block_size
    length = limits.max_model_len or min(shape.max_position, tokens)
    return math.ceil(tokens * layout.request_blocks(length, limits.max_num_batched_tokens) / length)


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
            return memory_constants()["non_torch_single"]
        link, host = self.device.link, self.device.host_bandwidth
        if link is None or (host is not None and link.bandwidth <= host):
            return memory_constants()["non_torch_pcie"]
        return memory_constants()["non_torch_pair" if self.tensor == 2 else "non_torch_switched"]

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
            "cuda_graphs": 0.0
            if self.device.kind == "cpu"
            else memory_constants()["cuda_graphs"].value,
            **measured,
        }
        usable = self.limits.gpu_memory_utilization * memory
        left = usable - sum(taken.values())
        return {"physical": memory, "usable": usable, **taken, "kv_cache": left}

    def sources(self, measured: Mapping[str, float]) -> list[SourcedNumber]:
        """Return where the numbers come from."""
        origin = self.device.origin("memory")
        memory = self.device.memory or 0.0
        common = [n for name, n in memory_constants().items() if not name.startswith("non_torch")]
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
        return pool
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
