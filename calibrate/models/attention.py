"""Attention over a flat batch: chunks of several sequences in one pass, each with its cache.

A transformers model calls :func:`attend` in place of its own attention. Everything else in the
model works on single tokens and does not notice that a row holds several sequences.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from calibrate.models.free_memory import free_memory
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Name of :func:`attend` among the attention implementations of transformers.
NAME = "planner_flat_batch"
#: The batch of the forward pass under way.
current_batch: ContextVar[FlatBatch] = ContextVar("current_batch")


@dataclass
class KvCache:
    """Keys and values of all layers, allocated when a layer first sees some.

    Parameters
    ----------
    slots : int
        Sequences that it holds.
    length : int
        Tokens of each. [tokens]
    depth : int
        Layers that will see some: the first tells how much memory they all will take.
    """

    slots: int
    length: int
    depth: int
    layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def store(
        self, layer: int, rows: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write keys and values of shape ``(tokens, kv_heads, head_dim)`` into `rows`.

        Returns the layer's cache, shape ``(slots * length, kv_heads, head_dim)`` each. Its shape
        is that of what the model computes, so that pruned heads take no room.

        Raises
        ------
        MemoryError
            If the free memory of the device is less than the cache will take. A CPU would give it
            and then end some program.
        """
        if layer not in self.layers:
            rows_in_all = self.slots * self.length
            size = rows_in_all * (key[0].nbytes + value[0].nbytes)
            if not self.layers and size * self.depth > free_memory(key.device):
                raise MemoryError
            self.layers[layer] = (
                key.new_zeros((rows_in_all, *key.shape[1:])),
                value.new_zeros((rows_in_all, *value.shape[1:])),
            )
        keys, values = self.layers[layer]
        keys.index_copy_(0, rows, key)
        values.index_copy_(0, rows, value)
        return keys, values

    @property
    def bytes(self) -> int:
        """Memory that it takes [B]."""
        return sum(each.nbytes for pair in self.layers.values() for each in pair)


@dataclass(frozen=True)
class Span:
    """Where one chunk is in the flat batch and in the cache.

    Parameters
    ----------
    first, last : int
        Its tokens in the batch, ``[first, last)``.
    base : int
        Row of the cache where its sequence starts.
    start, end : int
        Its tokens in the sequence, ``[start, end)``.
    padding : int
        Tokens at the start of the sequence that stand for nothing.
    """

    first: int
    last: int
    base: int
    start: int
    end: int
    padding: int = 0


@dataclass
class FlatBatch:
    """The chunks of one forward pass.

    Parameters
    ----------
    spans : sequence of Span
        In the order of their tokens.
    rows : tensor of int, shape (tokens,)
        Cache row of each token.
    cache : KvCache
        That they write and read.
    """

    spans: Sequence[Span]
    rows: torch.Tensor
    cache: KvCache
    _masks: dict[tuple[int, int | None], torch.Tensor | None] = field(default_factory=dict)
    _varlen: dict[str, Any] | None = None

    def mask(self, k: int, window: int | None, like: torch.Tensor) -> torch.Tensor | None:
        """Return what to add to the scores of chunk `k`, shape ``(tokens, end)``.

        None where all of the chunk may see all of its sequence. Layers share it.
        """
        if (k, window) not in self._masks:
            self._masks[k, window] = self._make_mask(self.spans[k], window, like)
        return self._masks[k, window]

    @staticmethod
    def _make_mask(span: Span, window: int | None, like: torch.Tensor) -> torch.Tensor | None:
        if span.end - span.start == 1 and not span.padding and (not window or span.end <= window):
            return None
        row = torch.arange(span.start, span.end, device=like.device)[:, None]
        column = torch.arange(span.end, device=like.device)[None, :]
        seen = (column <= row) & (column >= span.padding)
        if window:
            seen &= column > row - window
        seen |= column == row  # a row of padding sees itself, so that no row sees nothing
        blocked = torch.zeros(seen.shape, dtype=like.dtype, device=like.device)
        return blocked.masked_fill_(~seen, float("-inf"))

    def varlen(self, device: torch.device) -> dict[str, Any]:
        """Return the arguments of ``varlen_attn`` that describe the chunks."""
        if self._varlen is None:

            def tensor(values: list[int]) -> torch.Tensor:
                return torch.tensor(values, dtype=torch.int32, device=device)

            self._varlen = {
                "cu_seq_q": tensor([0, *(span.last for span in self.spans)]),
                "cu_seq_k": tensor([*(span.base for span in self.spans), 0]),
                "seqused_k": tensor([span.end for span in self.spans]),
                "max_q": max(span.last - span.first for span in self.spans),
                "max_k": max(span.end for span in self.spans),
            }
        return self._varlen


@torch.compiler.disable  # type: ignore[untyped-decorator]
def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - the batch itself says who sees what
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,  # noqa: ANN401 - transformers passes what a model has
) -> tuple[torch.Tensor, None]:
    """Attend within each chunk's own sequence; the signature is that of transformers.

    Parameters
    ----------
    module : Module
        Attention layer, with its ``layer_idx``.
    query : tensor, shape (1, heads, tokens, head_dim)
        Of all chunks, flat.
    key, value : tensor, shape (1, kv_heads, tokens, head_dim)
        The same.
    attention_mask
        Not used.
    scaling : float, optional
        Factor of the scores, ``1 / sqrt(head_dim)`` by default.
    sliding_window : int, optional
        Tokens that a token sees at most, itself included.
    **options
        A cap or a sink of the scores is refused; the rest does not change the result.

    Returns
    -------
    tuple
        Output of shape ``(1, tokens, heads, head_dim)``, and None for the weights.
    """
    for name in ("softcap", "s_aux", "position_bias"):
        if options.get(name) is not None:
            raise InputError(f"the engine cannot run attention with {name}; choose another model")
    batch = current_batch.get()
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    cached = batch.cache.store(layer, batch.rows, key[0].transpose(0, 1), value[0].transpose(0, 1))
    if _has_kernel(batch, query):
        return _in_one_kernel(batch, query, *cached, scaling, sliding_window), None
    return _one_by_one(batch, query, *cached, scaling, sliding_window), None


def _has_kernel(batch: FlatBatch, query: torch.Tensor) -> bool:
    """Return whether FlashAttention's kernel for chunks of different lengths can run the batch."""
    half = query.dtype in {torch.float16, torch.bfloat16}
    return query.is_cuda and half and not any(span.padding for span in batch.spans)


def _in_one_kernel(  # noqa: PLR0917 - what attention takes
    batch: FlatBatch,
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """Attend on a GPU, all chunks at once."""
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - not in every torch

    out = varlen_attn(
        query[0].transpose(0, 1).contiguous(),
        keys,
        values,
        **batch.varlen(query.device),
        scale=scaling,
        window_size=(window - 1 if window else -1, 0),
        enable_gqa=True,
    )
    assert isinstance(out, torch.Tensor)  # noqa: S101 - nothing else was asked for
    return out[None]


def _one_by_one(  # noqa: PLR0917 - what attention takes
    batch: FlatBatch,
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """Attend chunk after chunk, each over the part of the cache that its sequence fills."""
    heads, shared = query.shape[1], query.shape[1] // keys.shape[1]
    outputs = []
    for k, span in enumerate(batch.spans):
        q = query[:, :, span.first : span.last]
        key = keys[span.base : span.base + span.end].transpose(0, 1)[None]
        value = values[span.base : span.base + span.end].transpose(0, 1)[None]
        if span.last - span.first == 1:
            # the heads that share a key become its queries: the cache is read once for them all
            mask = batch.mask(k, window, q)
            q = q.view(1, heads // shared, shared, -1)
            out = scaled_dot_product_attention(q, key, value, mask, scale=scaling)
            outputs.append(out.reshape(1, heads, 1, -1))
            continue
        causal = span.start == 0 and not span.padding and not (window and span.end > window)
        mask = None if causal else batch.mask(k, window, q)
        outputs.append(
            scaled_dot_product_attention(
                q, key, value, mask, is_causal=causal, scale=scaling, enable_gqa=shared > 1
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2)


AttentionInterface.register(NAME, attend)
