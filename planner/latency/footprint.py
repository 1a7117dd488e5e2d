"""What an engine takes of a device's memory beside the KV cache: weights, activations, buffers.

The constants are in ``planner/catalog/data/memory.json`` with their sources.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Protocol

from planner.catalog.files import packaged
from planner.catalog.provenance import SourcedNumber

if TYPE_CHECKING:
    from planner.catalog.models import ModelShape
    from planner.latency.settings import Settings


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

    @property
    def frees_windows(self) -> bool:
        """Whether layers with a sliding window give back the blocks that they do not see."""


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


def peak_activation(
    shape: ModelShape, settings: Settings, limits: EngineLimits, tensor_parallel: int = 1
) -> float:
    """Return the peak of activations while vLLM profiles a full step [B].

    The larger of the forward pass, whose ``max_num_batched_tokens`` tokens need copies of the
    hidden and feed-forward widths, and of the sampler, which sorts ``max_num_seqs`` rows of
    logits over the whole vocabulary on every device.
    """
    number = {name: each.value for name, each in memory_constants().items()}
    hidden = limits.max_num_batched_tokens * shape.hidden_size * settings.plain_bytes
    width = max(shape.ffn_size, shape.moe_ffn_size * shape.experts_per_token) / tensor_parallel
    ffn = limits.max_num_batched_tokens * width * settings.plain_bytes
    forward = number["forward_hidden_copies"] * hidden + number["forward_ffn_copies"] * ffn
    logits = limits.max_num_seqs * shape.vocab_size * number["sampler_bytes_per_logit"]
    return max(forward, logits + number["hidden_copies"] * hidden)


@functools.cache
def memory_constants() -> dict[str, SourcedNumber]:
    """Return the numbers of ``data/memory.json`` by name."""
    numbers = packaged("data/memory.json")["numbers"]
    return {
        name: SourcedNumber(name, n["value"], n["unit"], n["provenance"], n["source"])
        for name, n in numbers.items()
    }
