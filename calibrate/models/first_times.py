"""First times: some kernels are made for one number of tokens, when they first meet it.

oneDNN, which multiplies 16-bit numbers on a CPU, makes a kernel for every number of rows, and keeps
the last few of them. Where a step is short, making its kernels takes a good part of it, and in
serving nearly every prompt brings a number that was not there before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Numbers of tokens beyond it are not run beforehand: by then a step takes so long that what its
#: kernels take to be made is little beside it. [tokens]
MOST_TOKENS = 512


@torch.inference_mode()
def run_every_size(model: torch.nn.Module, tokens: int) -> None:
    """Run the linear layers of `model` once with every number of tokens that a step may have.

    Layers of the same kind and size share their kernels, so that one of each is run; what an output
    head is run with are sequences, which is for whoever knows how many there may be.

    Parameters
    ----------
    model : torch.nn.Module
        A ``...ForCausalLM`` of transformers, compressed or not.
    tokens : int
        Up to so many, :data:`MOST_TOKENS` at most. [tokens]
    """
    embedding = model.get_input_embeddings().weight  # type: ignore[operator]
    for layer in _one_of_each(model.base_model):  # type: ignore[arg-type]
        for rows in range(1, min(tokens, MOST_TOKENS) + 1):
            layer(embedding.new_zeros((1, rows, layer.in_features)))  # a part of more is another


def _one_of_each(model: torch.nn.Module) -> Iterator[Any]:
    """Yield one linear layer of each kind and size, plain or quantised."""
    seen = set()
    for layer in model.modules():
        if not hasattr(layer, "in_features"):
            continue
        key = (type(layer), layer.in_features, layer.out_features)
        if key not in seen:
            seen.add(key)
            yield layer
