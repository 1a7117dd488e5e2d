"""Structured pruning: whole attention heads and feed-forward channels, layers rebuilt smaller."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from calibrate.compression.base import Compression, Place, blocks
from calibrate.compression.pruning import Criterion, Rate  # noqa: TC001 - pydantic reads them
from planner.catalog.models import ModelShape
from planner.errors import InputError

#: Channels are kept in multiples of this, since kernels read 16 bytes at a time.
MULTIPLE = 8


class Kept(NamedTuple):
    """What pruning leaves of one block.

    Parameters
    ----------
    groups : tensor of int
        KV heads, each with the query heads that share it, in order.
    channels : tensor of int
        Feed-forward channels, in order.
    """

    groups: torch.Tensor
    channels: torch.Tensor


@dataclass(frozen=True)
class _Block:
    """The linear layers of a block by what they do."""

    attention: Any  # the module that knows how many heads there are
    qkv: tuple[Place, ...]  # queries, keys, values; or all three in one matrix
    attention_out: Place
    ffn_in: tuple[Place, ...]
    ffn_out: Place
    head_dim: int

    @property
    def kv_heads(self) -> int:
        rows = self.qkv[-1].linear.out_features
        return rows // self.head_dim if len(self.qkv) == 3 else rows // (3 * self.head_dim)

    @property
    def shared(self) -> int:
        """Query heads that share a KV head."""
        return self.attention_out.linear.in_features // (self.head_dim * self.kv_heads)


def _parts(block: Any) -> _Block:  # noqa: ANN401 - any of transformers' blocks
    """Return the layers of a `block` of the kind of Llama, GPT-2 or BERT."""
    if hasattr(block, "self_attn") and hasattr(block.mlp, "gate_proj"):
        attention, mlp = block.self_attn, block.mlp
        return _Block(
            attention,
            tuple(Place(attention, name) for name in ("q_proj", "k_proj", "v_proj")),
            Place(attention, "o_proj"),
            (Place(mlp, "gate_proj"), Place(mlp, "up_proj")),
            Place(mlp, "down_proj"),
            int(attention.head_dim),
        )
    if hasattr(block, "attn") and hasattr(block.attn, "c_attn"):
        attention, mlp = block.attn, block.mlp
        return _Block(
            attention,
            (Place(attention, "c_attn"),),
            Place(attention, "c_proj"),
            (Place(mlp, "c_fc"),),
            Place(mlp, "c_proj"),
            int(attention.head_dim),
        )
    if hasattr(block, "attention") and hasattr(block.attention, "self"):
        attention = block.attention.self
        return _Block(
            attention,
            tuple(Place(attention, name) for name in ("query", "key", "value")),
            Place(block.attention.output, "dense"),
            (Place(block.intermediate, "dense"),),
            Place(block.output, "dense"),
            int(attention.attention_head_size),
        )
    raise InputError(
        "structured pruning must have blocks of the kind of Llama, GPT-2 or BERT, got "
        f"{type(block).__name__}"
    )


class StructuredPruning(Compression):
    """Remove attention heads and feed-forward channels, so that the matrices become smaller.

    Whole KV heads go with the query heads that share them, as many as come nearest to the rate;
    the channels make up for the rest, so that the layers lose the rate of their parameters within
    half of :data:`MULTIPLE` channels. A head or channel weighs what the squares of all its weights
    add up to [1]_, and the lightest go.

    Parameters
    ----------
    rate : float
        Share of the layers' parameters that is removed.
    criterion : {"magnitude", "random"}
        The lightest go, or any.
    seed : int
        Of the random choice.

    References
    ----------
    .. [1] G. Fang et al., "DepGraph: Towards any structural pruning," CVPR 2023.
       arXiv:2301.12900
    """

    kind: Literal["structured"] = "structured"
    rate: Rate
    criterion: Criterion = "magnitude"
    seed: int = 0

    def compressed(self, shape: ModelShape) -> ModelShape:
        """Return `shape` with the heads and channels that are left."""
        kv_heads, channels = self.sizes(shape)
        sizes = {
            "n_heads": shape.n_heads // shape.n_kv_heads * kv_heads,
            "n_kv_heads": kv_heads,
            "ffn_size": channels,
        }
        return ModelShape.model_validate(shape.model_dump() | sizes)

    def sizes(self, shape: ModelShape) -> tuple[int, int]:
        """Return the KV heads and the feed-forward channels that are left."""
        return _sizes(
            self.rate,
            shape.n_kv_heads,
            shape.ffn_size,
            shape.attention_parameters // shape.n_kv_heads,
            shape.ffn_matrices * shape.hidden_size,
        )

    def apply(self, model: nn.Module) -> nn.Module:
        """Rebuild the layers smaller, in place, and return `model`."""
        for block, kept in zip(blocks(model), self.kept(model), strict=True):
            _shrink(_parts(block), kept)
        first = _parts(blocks(model)[0])
        config: Any = model.config
        if hasattr(config, "num_key_value_heads"):
            config.num_key_value_heads = first.kv_heads
            config.head_dim = first.head_dim
        config.num_attention_heads = first.kv_heads * first.shared
        name = "n_inner" if hasattr(config, "n_inner") else "intermediate_size"
        setattr(config, name, first.ffn_out.linear.in_features)
        return model

    def kept(self, model: nn.Module) -> list[Kept]:
        """Return what :meth:`apply` leaves of each block of `model`."""
        generator = torch.Generator().manual_seed(self.seed)
        chosen = []
        for block in blocks(model):
            parts = _parts(block)
            per_group = sum(place.linear.weight.numel() for place in parts.qkv)
            per_group += parts.attention_out.linear.weight.numel()
            hidden = parts.ffn_out.linear.out_features
            n_groups, n_channels = _sizes(
                self.rate,
                parts.kv_heads,
                parts.ffn_out.linear.in_features,
                per_group // parts.kv_heads,
                (len(parts.ffn_in) + 1) * hidden,
            )
            weights = _weights_of_groups(parts), _weights_of_channels(parts)
            if self.criterion == "random":
                weights = (
                    torch.rand(len(weights[0]), generator=generator),
                    torch.rand(len(weights[1]), generator=generator),
                )
            groups, channels = (
                each.topk(n).indices.sort().values
                for each, n in zip(weights, (n_groups, n_channels), strict=True)
            )
            device = parts.ffn_out.linear.weight.device
            chosen.append(Kept(groups.to(device), channels.to(device)))
        return chosen


def _sizes(
    rate: float, kv_heads: int, channels: int, per_group: int, per_channel: int
) -> tuple[int, int]:
    """Return the KV heads and channels left of a block, given the parameters of each of them."""
    left = (kv_heads * per_group + channels * per_channel) * (1 - rate)
    groups = min(kv_heads, max(1, math.floor(kv_heads * (1 - rate) + 0.5)))
    multiple = MULTIPLE if channels >= 8 * MULTIPLE else 1
    width = round((left - groups * per_group) / per_channel / multiple) * multiple
    return groups, min(channels, max(multiple, width))


def _rows_of(group: torch.Tensor, size: int) -> torch.Tensor:
    """Return the rows of each of the heads in `group`, which have `size` rows each."""
    return (group[:, None] * size + torch.arange(size, device=group.device)).flatten()


def _weights_of_groups(parts: _Block) -> torch.Tensor:
    """Return the sum of the squares of all weights of each KV head and its query heads."""
    n = parts.kv_heads
    total = parts.attention_out.linear.weight.float().square().sum(0).view(n, -1).sum(1)
    for place in parts.qkv:
        rows = place.linear.weight.float().square().sum(1)
        total = total + rows.view(-1, n, len(rows) // (n * (1 if len(parts.qkv) == 3 else 3))).sum(
            (0, 2)
        )
    return total.cpu()


def _weights_of_channels(parts: _Block) -> torch.Tensor:
    """Return the sum of the squares of all weights of each feed-forward channel."""
    total = parts.ffn_out.linear.weight.float().square().sum(0)
    for place in parts.ffn_in:
        total = total + place.linear.weight.float().square().sum(1)
    return total.cpu()


def _shrink(parts: _Block, kept: Kept) -> None:
    """Rebuild the layers of a block with what is `kept`."""
    queries = _rows_of(kept.groups, parts.shared * parts.head_dim)
    others = _rows_of(kept.groups, parts.head_dim)
    n = parts.kv_heads * parts.head_dim
    rows = [queries, others, others]
    if len(parts.qkv) == 1:
        rows = [torch.cat([others, others + n, others + 2 * n])]
        parts.attention.split_size = len(others)
        parts.attention.num_heads = len(kept.groups)
    elif hasattr(parts.attention, "all_head_size"):
        parts.attention.all_head_size = len(others)
        parts.attention.num_attention_heads = len(kept.groups)
    for place, chosen in zip(parts.qkv, rows, strict=True):
        place.put(_part_of(place.linear, rows=chosen))
    parts.attention_out.put(_part_of(parts.attention_out.linear, columns=queries))
    for place in parts.ffn_in:
        place.put(_part_of(place.linear, rows=kept.channels))
    parts.ffn_out.put(_part_of(parts.ffn_out.linear, columns=kept.channels))


def _part_of(
    linear: nn.Linear, rows: torch.Tensor | None = None, columns: torch.Tensor | None = None
) -> nn.Linear:
    """Return a linear layer with the `rows` (outputs) or `columns` (inputs) of another."""
    weight, bias = linear.weight.detach(), linear.bias
    if rows is not None:
        weight = weight[rows]
        bias = None if bias is None else nn.Parameter(bias.detach()[rows], requires_grad=False)
    if columns is not None:
        weight = weight[:, columns].contiguous()
    smaller = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    smaller.weight = nn.Parameter(weight, requires_grad=False)
    smaller.bias = bias
    return smaller
