"""Rules between the sizes of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.catalog.rules import Rule

if TYPE_CHECKING:
    from planner.catalog.models import ModelShape


def rules_of(shape: ModelShape) -> list[Rule]:
    """Return what the sizes of `shape` must be, by each other."""
    moe, windowed, mla = shape.n_experts > 0, shape.sliding_window > 0, shape.kv_lora_rank > 0
    mla_dims = (shape.qk_rope_dim, shape.qk_nope_dim, shape.v_head_dim)
    experts = range(1, shape.n_experts + 1) if moe else range(1)
    windows = range(1, shape.n_layers + 1) if windowed else range(1)
    linear, others = shape.linear_layers, max(shape.n_windowed_layers, 1)
    return [
        Rule("head_dim", "given where n_heads does not divide hidden_size", shape.head_dim > 0),
        Rule(
            "n_kv_heads",
            f"a divisor of n_heads ({shape.n_heads})",
            shape.n_heads % shape.n_kv_heads == 0,
        ),
        Rule(
            "experts_per_token",
            f"from 1 to n_experts ({shape.n_experts}), or 0 without experts",
            shape.experts_per_token in experts,
        ),
        Rule("moe_ffn_size", "given with experts only", (shape.moe_ffn_size > 0) == moe),
        Rule("n_shared_experts", "0 without experts", moe or not shape.n_shared_experts),
        Rule(
            "n_dense_layers",
            f"at most n_layers ({shape.n_layers}), and 0 without experts",
            shape.n_dense_layers <= (shape.n_layers if moe else 0),
        ),
        Rule(
            "n_windowed_layers",
            f"from 1 to n_layers ({shape.n_layers}) with a sliding_window, else 0",
            shape.n_windowed_layers in windows,
        ),
        Rule(
            "kv_lora_rank",
            "given with qk_rope_dim, qk_nope_dim and v_head_dim, or none of them",
            min(mla_dims) > 0 if mla else max(mla_dims) == 0,
        ),
        Rule(
            "n_layers",
            f"at least the {linear} of linear_attention and {others} others",
            not linear or shape.n_layers >= linear + others,
        ),
        Rule("arch", "'decoder' with linear_attention", not linear or shape.arch == "decoder"),
        Rule("gated_attention", "false with kv_lora_rank", not (shape.gated_attention and mla)),
        Rule(
            "n_layers_dec",
            "given with arch 'enc-dec' only",
            (shape.n_layers_dec > 0) == (shape.arch == "enc-dec"),
        ),
    ]
