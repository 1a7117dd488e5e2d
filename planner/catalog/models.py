"""Shapes of models, and what follows from them: parameters, KV cache, attention arithmetic."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.catalog.dimensions import Dimension, DimensionOrZero, Layers
from planner.catalog.linear_attention import LinearAttention
from planner.catalog.provenance import GIVEN, Origin
from planner.catalog.rules import check
from planner.catalog.shape_rules import rules_of
from planner.spec import Spec


class ModelShape(Spec):
    """Sizes of a transformer, in the words of its configuration file.

    Norms, biases and position embeddings are not counted: below 1 % of any model here.

    Parameters
    ----------
    name : str
        Name in the catalogue, or anything for a model of your own.
    hf_id : str
        Repository on the Hugging Face hub, or empty.
    arch : {"decoder", "encoder", "enc-dec"}
        Kind of transformer. Only decoders are served token by token.
    hidden_size : int
        Width of the residual stream.
    n_layers : int
        Layers; of an ``enc-dec`` model those of the encoder.
    n_layers_dec : int
        Layers of the decoder of an ``enc-dec`` model, 0 for others.
    n_heads, n_kv_heads : int
        Attention heads; key and value heads (default: as many).
    head_dim : int
        Width of a head (default: ``hidden_size / n_heads``).
    ffn_size : int
        Width of the dense feed-forward layers.
    ffn_gated : bool
        Whether they have three matrices (SwiGLU, GeGLU) rather than two.
    vocab_size : int
        Tokens in the vocabulary.
    max_position : int
        Longest context. [tokens]
    tied_embeddings : bool
        Whether the output head shares the embedding table.
    n_experts, experts_per_token : int
        Routed experts of a mixture-of-experts layer and how many of them a token uses; 0 if dense.
    moe_ffn_size : int
        Width of one expert.
    n_shared_experts : int
        Experts that every token uses, beside the routed ones.
    n_dense_layers : int
        Layers that are dense although the model has experts.
    sliding_window : int
        Tokens that a windowed layer attends to; 0 if no layer is windowed. [tokens]
    n_windowed_layers : int
        Layers with the sliding window.
    kv_lora_rank, q_lora_rank : int
        Ranks of multi-head latent attention (MLA); ``kv_lora_rank`` 0 means ordinary attention.
    qk_rope_dim, qk_nope_dim, v_head_dim : int
        Head widths of MLA.
    gated_attention : bool
        Whether a gate as wide as the heads multiplies the output of ordinary attention.
    linear_attention : LinearAttention, optional
        Layers that have linear attention in place of the ordinary one.
    native_dtype : str
        Data type of the published weights.
    origin : Origin
        Where the shape comes from.
    """

    name: Annotated[str, Field(min_length=1)] = "inline model"
    hf_id: str = ""
    arch: Literal["decoder", "encoder", "enc-dec"] = "decoder"
    hidden_size: Dimension
    n_layers: Layers
    n_layers_dec: DimensionOrZero = 0
    n_heads: Dimension
    n_kv_heads: DimensionOrZero = 0
    head_dim: DimensionOrZero = 0
    ffn_size: Dimension
    ffn_gated: bool = True
    vocab_size: Dimension
    max_position: Dimension
    tied_embeddings: bool = False
    n_experts: DimensionOrZero = 0
    experts_per_token: DimensionOrZero = 0
    moe_ffn_size: DimensionOrZero = 0
    n_shared_experts: DimensionOrZero = 0
    n_dense_layers: DimensionOrZero = 0
    sliding_window: DimensionOrZero = 0
    n_windowed_layers: DimensionOrZero = 0
    kv_lora_rank: DimensionOrZero = 0
    q_lora_rank: DimensionOrZero = 0
    qk_rope_dim: DimensionOrZero = 0
    qk_nope_dim: DimensionOrZero = 0
    v_head_dim: DimensionOrZero = 0
    gated_attention: bool = False
    linear_attention: LinearAttention | None = None
    native_dtype: str = "bfloat16"
    origin: Origin = GIVEN

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: object) -> object:
        """Derive the head counts and widths that follow from others."""
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        heads, hidden = filled.get("n_heads"), filled.get("hidden_size")
        if not filled.get("n_kv_heads") and heads is not None:
            filled["n_kv_heads"] = heads
        plain = all(
            isinstance(size, int) and not isinstance(size, bool) for size in (heads, hidden)
        )
        if not filled.get("head_dim") and plain and heads and heads > 0 and hidden % heads == 0:
            filled["head_dim"] = hidden // heads
        return filled

    @model_validator(mode="after")
    def _sizes_fit_together(self) -> ModelShape:
        check(self, rules_of(self))
        return self

    @property
    def is_mla(self) -> bool:
        """Whether attention is multi-head latent attention."""
        return self.kv_lora_rank > 0

    @property
    def kernels(self) -> str:
        """What its steps run: ``mla`` for latent attention, ``moe`` for experts, else ``dense``."""
        return "mla" if self.is_mla else "moe" if self.n_experts else "dense"

    @property
    def moe_layers(self) -> int:
        """Layers with routed experts."""
        return self.n_layers - self.n_dense_layers if self.n_experts else 0

    @property
    def linear_layers(self) -> int:
        """Layers of linear attention."""
        return self.linear_attention.n_layers if self.linear_attention else 0

    @property
    def full_layers(self) -> int:
        """Layers that attend to the whole context."""
        return self.n_layers - self.n_windowed_layers - self.linear_layers

    @property
    def kv_layers(self) -> int:
        """Layers with a KV cache: all but those of linear attention."""
        return self.n_layers - self.linear_layers

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding table; a token reads one row of it."""
        return self.vocab_size * self.hidden_size

    @property
    def head_parameters(self) -> int:
        """Parameters that the output head multiplies, be they the embedding table's or not."""
        return 0 if self.arch == "encoder" else self.vocab_size * self.hidden_size

    @cached_property
    def attention_parameters(self) -> int:
        """Parameters of one layer's attention projections, linear attention aside.

        MLA: query (through ``q_lora_rank`` if there is one), key and value down to
        ``kv_lora_rank + qk_rope_dim``, up to the heads, and the output [1]_.

        References
        ----------
        .. [1] DeepSeek-AI, "DeepSeek-V2," 2024, section 2.1. arXiv:2405.04434
        """
        hidden, heads = self.hidden_size, self.n_heads
        if not self.is_mla:
            gate = heads if self.gated_attention else 0
            return hidden * self.head_dim * (2 * (heads + self.n_kv_heads) + gate)
        query = heads * (self.qk_nope_dim + self.qk_rope_dim)
        rank = self.q_lora_rank
        down_up = hidden * rank + rank * query if rank else hidden * query
        kv = hidden * (self.kv_lora_rank + self.qk_rope_dim)
        kv_up = self.kv_lora_rank * heads * (self.qk_nope_dim + self.v_head_dim)
        return down_up + kv + kv_up + heads * self.v_head_dim * hidden

    @property
    def ffn_matrices(self) -> int:
        """Matrices of a feed-forward layer."""
        return 3 if self.ffn_gated else 2

    @property
    def expert_parameters(self) -> int:
        """Parameters of one routed expert of one layer."""
        return self.ffn_matrices * self.hidden_size * self.moe_ffn_size

    @cached_property
    def routed_parameters(self) -> int:
        """Parameters of all routed experts of all layers."""
        return self.moe_layers * self.n_experts * self.expert_parameters

    @cached_property
    def fixed_parameters(self) -> int:
        """Parameters of the layers that every token uses: all but routed experts and embeddings.

        The decoder layers of an ``enc-dec`` model attend twice.
        """
        dense = self.ffn_matrices * self.hidden_size * self.ffn_size
        router = self.hidden_size * self.n_experts
        shared = self.n_shared_experts * self.expert_parameters
        linear = self.linear_attention.parameters(self.hidden_size) if self.linear_attention else 0
        return (
            self.kv_layers * self.attention_parameters
            + self.linear_layers * linear
            + (self.n_layers - self.moe_layers) * dense
            + self.moe_layers * (router + shared)
            + self.n_layers_dec * (2 * self.attention_parameters + dense)
        )

    @property
    def linear_parameters(self) -> int:
        """Parameters of all layers, without embedding table and output head."""
        return self.fixed_parameters + self.routed_parameters

    @property
    def active_linear_parameters(self) -> int:
        """Parameters of the layers that one token is multiplied with."""
        used = self.moe_layers * self.experts_per_token * self.expert_parameters
        return self.fixed_parameters + used

    @property
    def table_parameters(self) -> int:
        """Stored parameters of embedding table and output head, once if they are tied."""
        shared = self.tied_embeddings or self.arch == "encoder"
        return self.embedding_parameters + (0 if shared else self.head_parameters)

    @property
    def parameters(self) -> int:
        """All stored parameters."""
        return self.linear_parameters + self.table_parameters

    @property
    def active_parameters(self) -> int:
        """Stored parameters without the experts that a token does not use."""
        return self.active_linear_parameters + self.table_parameters

    @property
    def kv_elements_per_layer(self) -> int:
        """Elements of KV cache per token and layer: keys and values of all KV heads, or the latent.

        ``2 n_kv_heads head_dim``, and ``kv_lora_rank + qk_rope_dim`` for MLA; 0 for encoders.
        """
        if self.arch == "encoder":
            return 0
        if self.is_mla:
            return self.kv_lora_rank + self.qk_rope_dim
        return 2 * self.n_kv_heads * self.head_dim

    def kv_bytes_per_token(self, bytes_per_element: float = 2.0) -> float:
        """Return the bytes of KV cache per token, all layers, on one device [B].

        Parameters
        ----------
        bytes_per_element : float
            Of the KV cache's data type. [B]
        """
        layers = self.n_layers_dec if self.arch == "enc-dec" else self.kv_layers
        return layers * self.kv_elements_per_layer * bytes_per_element

    @property
    def attention_flops_per_pair(self) -> int:
        """FLOPs of one layer's attention per token and token attended to [FLOP].

        Two per multiply-add, for scores and for values: ``4 n_heads head_dim``; for MLA
        ``2 n_heads (qk_nope_dim + qk_rope_dim + v_head_dim)``, as in prefill.
        """
        if self.is_mla:
            width = self.qk_nope_dim + self.qk_rope_dim + self.v_head_dim
            return 2 * self.n_heads * width
        return 4 * self.n_heads * self.head_dim

    @property
    def decode_flops_per_pair(self) -> int:
        """FLOPs of one layer's attention per token attended to, where a sequence decodes [FLOP].

        For MLA those of the folded form [1]_: every head attends to the latent itself, with
        ``2 n_heads (kv_lora_rank + qk_rope_dim)`` for the scores and ``2 n_heads kv_lora_rank``
        for the values. The projections up, folded into query and output, are multiplied with the
        new token alone, as in prefill. Otherwise :attr:`attention_flops_per_pair`.

        References
        ----------
        .. [1] DeepSeek-AI, "DeepSeek-V2," 2024, section 2.1.2. arXiv:2405.04434
        """
        if self.is_mla:
            return 2 * self.n_heads * (2 * self.kv_lora_rank + self.qk_rope_dim)
        return self.attention_flops_per_pair
