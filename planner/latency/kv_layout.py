"""Blocks of KV cache: which layers share them, and how many a request holds.

Layers that cache alike form groups of one size, and a block holds some tokens of every layer of one
group. All groups draw on one pool. A layer with a sliding window gives back what the next token
cannot see, so that a long request holds few blocks for it. This is what vLLM calls its hybrid KV
cache manager [1]_ [2]_.

References
----------
.. [1] vLLM, "Hybrid KV Cache Manager," design documents of version 0.11 and later.
.. [2] vllm-project/vllm#40691 and #40694: what "GPU KV cache size" means for such models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Groups take the size of the larger kind where it exceeds the smaller by less than this factor, as
#: in current vLLM; 1.25 in earlier versions. No model of the catalogue lies between.
PADDED = 1.5
#: Blocks of a group of recurrent layers that a request holds while prefixes are cached: the state,
#: and the one to go back to (kaito-project/kaito#2052, for vLLM's mode "align").
STATE_BLOCKS = 2


@dataclass(frozen=True)
class KvLayers:
    """Layers of a model that cache alike, on one device.

    Parameters
    ----------
    layers : int
        How many, >= 1.
    token_bytes : float
        KV cache of one token in one of them; 0 for recurrent layers. [B]
    window : int
        Tokens that they attend to; 0 for all. [tokens]
    state_bytes : float
        State of one recurrent layer (linear attention, state spaces); 0 for attention. [B]
    """

    layers: int
    token_bytes: float
    window: int = 0
    state_bytes: float = 0.0


@dataclass(frozen=True)
class KvGroup:
    """Layers that have their blocks in common.

    Parameters
    ----------
    block_size : int
        Tokens in one block. [tokens]
    window : int
        Tokens that its layers attend to; 0 for all. [tokens]
    state_blocks : int
        Blocks that a request of any length holds, for recurrent layers; else 0.
    """

    block_size: int
    window: int = 0
    state_blocks: int = 0

    def blocks(self, tokens: int, step_tokens: int) -> int:
        """Return the blocks that a request holds at most until it has `tokens` tokens.

        Of a window, the tokens before a step that the step's first token sees, those of the step,
        and one block more, since the window may begin within a block.
        """
        if self.state_blocks:
            return self.state_blocks
        if not self.window:
            return -(-tokens // self.block_size)
        seen = min(self.window - 1 + step_tokens, tokens)
        return -(-seen // self.block_size) + 1


@dataclass(frozen=True)
class KvLayout:
    """How the layers of a model share a pool of blocks.

    Parameters
    ----------
    groups : tuple of KvGroup
        Each draws on the same pool.
    block_bytes : float
        One block on one device. [B]
    """

    groups: tuple[KvGroup, ...]
    block_bytes: float

    @property
    def keeps_all(self) -> bool:
        """Whether there is one group, which keeps every token."""
        return len(self.groups) == 1 and not (self.groups[0].window or self.groups[0].state_blocks)

    @property
    def block_size(self) -> int:
        """Tokens in a block of layers that attend: more than was asked for beside a state."""
        return self.groups[0].block_size

    @property
    def state_blocks(self) -> int:
        """Blocks that a request of any length holds for the states of recurrent layers."""
        return sum(group.state_blocks for group in self.groups)

    @property
    def full_groups(self) -> int:
        """Groups that keep every token."""
        return sum(not (group.window or group.state_blocks) for group in self.groups)

    @property
    def window_groups(self) -> int:
        """Groups that keep a window."""
        return sum(group.window > 0 for group in self.groups)

    def window_blocks(self, step_tokens: int) -> int:
        """Return the blocks that a request of any length holds at most in a group with a window."""
        return max(
            (
                group.blocks(group.window - 1 + step_tokens, step_tokens)
                for group in self.groups
                if group.window
            ),
            default=0,
        )

    def request_blocks(self, tokens: int, step_tokens: int) -> int:
        """Return the blocks of all groups that a request holds at most.

        Parameters
        ----------
        tokens : int
            Its prompt and answer. [tokens]
        step_tokens : int
            Tokens that one step may compute. [tokens]
        """
        return sum(group.blocks(tokens, step_tokens) for group in self.groups)

    def longest(self, blocks: int, step_tokens: int, most: int) -> int:
        """Return the longest request that `blocks` blocks hold, at most `most` [tokens]."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.request_blocks(middle, step_tokens) <= blocks
            low, high = (middle, high) if fits else (low, middle - 1)
        return low


def kv_layout(kinds: Sequence[KvLayers], block_size: int, stages: int = 1) -> KvLayout:
    """Return the groups of layers, and the bytes of a block.

    Every group has as many layers as the smallest kind, so that a block of any has the same size;
    the last group of a kind may be part empty. A kind whose tokens take fewer bytes has more of
    them in a block. A recurrent layer's state takes one block, and a block of attention is made
    as large as that.

    Parameters
    ----------
    kinds : sequence of KvLayers
        Of the whole model, at least one; first one that attends.
    block_size : int
        Tokens in one block, for the layers whose tokens take the most bytes. [tokens]
    stages : int
        Pipeline stages that divide the layers.
    """
    widest = max(kind.token_bytes for kind in kinds)
    state = max(kind.state_bytes for kind in kinds)
    if state and widest:
        block_size *= max(1, math.ceil(state / (widest * block_size)))
    page = max(widest * block_size, state)
    counts = [kind.layers for kind in kinds]
    size = max(counts) if max(counts) < PADDED * min(counts) else min(counts)
    groups = []
    for kind in kinds:
        times = page / (kind.token_bytes * block_size) if kind.token_bytes else 1.0
        tokens = block_size * int(times) if times.is_integer() else block_size
        states = STATE_BLOCKS if kind.state_bytes else 0
        groups += [KvGroup(tokens, kind.window, states)] * math.ceil(kind.layers / size)
    return KvLayout(tuple(groups), page * math.ceil(size / stages))
