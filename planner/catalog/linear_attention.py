"""Layers of linear attention: a state of one size in place of a KV cache that grows.

The layer is Gated DeltaNet [1]_ in the form of Qwen3-Next and Qwen3.5 [2]_: a state of
``key_head_dim x value_head_dim`` for each value head, updated with every token, and a short
convolution over the last tokens' keys, queries and values.

References
----------
.. [1] S. Yang, J. Kautz, A. Hatamizadeh, "Gated Delta Networks," 2024. arXiv:2412.06464
.. [2] Hugging Face transformers 5.24.0, ``models/qwen3_next``, ``models/qwen3_5_moe``.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from planner.catalog.dimensions import Dimension
from planner.catalog.rules import Rule, check
from planner.spec import Spec

#: Bytes of an element of the recurrent state, which engines keep in fp32; of the convolution's, in
#: 16 bits (sgl-project/sglang, ``--mamba-ssm-dtype``; noonghunna/club-3090#652, for vLLM).
STATE_BYTES, CONVOLUTION_BYTES = 4.0, 2.0


class LinearAttention(Spec):
    """Sizes of a model's layers of linear attention, in the words of its configuration file.

    Parameters
    ----------
    n_layers : int
        How many of the model's layers they are.
    key_heads, value_heads : int
        Heads of keys and queries, and of values; each key head serves as many value heads.
    key_head_dim, value_head_dim : int
        Widths of the heads.
    conv_kernel : int
        Tokens that the convolution spans. [tokens]
    """

    n_layers: Dimension
    key_heads: Dimension
    value_heads: Dimension
    key_head_dim: Dimension
    value_head_dim: Dimension
    conv_kernel: Dimension = 4

    @model_validator(mode="after")
    def _keys_serve_values(self) -> Self:
        rule = f"a multiple of key_heads ({self.key_heads})"
        check(self, [Rule("value_heads", rule, self.value_heads % self.key_heads == 0)])
        return self

    @property
    def convolved(self) -> int:
        """Channels of the convolution: queries, keys and values."""
        keys = self.key_heads * self.key_head_dim
        return 2 * keys + self.value_heads * self.value_head_dim

    def parameters(self, hidden_size: int) -> int:
        """Return the parameters of one layer's projections.

        Queries, keys, values and gate from the hidden state, two numbers for each value head, and
        back from the values.
        """
        values = self.value_heads * self.value_head_dim
        return hidden_size * (self.convolved + 2 * values + 2 * self.value_heads)

    @property
    def state_elements(self) -> int:
        """Elements of one layer's recurrent state, of one sequence."""
        return self.value_heads * self.key_head_dim * self.value_head_dim

    @property
    def state_bytes(self) -> float:
        """Memory of one layer's state, of one sequence: recurrent state and convolution [B]."""
        tail = self.convolved * (self.conv_kernel - 1)
        return STATE_BYTES * self.state_elements + CONVOLUTION_BYTES * tail

    @property
    def flops_per_token(self) -> int:
        """FLOPs of one layer's state per token, beside the projections [FLOP].

        The state is read with the key, changed by an outer product, and read with the query: two
        per element each. A prompt is computed in chunks, which takes about as many.
        """
        return 6 * self.state_elements
