"""Pruning of single weights: random, by magnitude, and two of every four."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field

from calibrate.compression.base import Compression, linears
from planner.errors import InputError

if TYPE_CHECKING:
    from torch import nn

#: Share of the weights to remove.
Rate = Annotated[float, Field(gt=0, lt=1)]
#: Which weights go first: the smallest, or any.
Criterion = Literal["magnitude", "random"]


class UnstructuredPruning(Compression):
    """Set a share of the weights of each matrix to zero.

    The zeros are stored and multiplied like other weights: neither memory nor time changes.

    Parameters
    ----------
    rate : float
        Share of each matrix that is set to zero, exact to one weight.
    criterion : {"magnitude", "random"}
        ``magnitude``: the smallest [1]_. ``random``: any, as a baseline.
    seed : int
        Of the random choice.

    References
    ----------
    .. [1] S. Han et al., "Learning both weights and connections for efficient neural networks,"
       NeurIPS 2015. arXiv:1506.02626
    """

    kind: Literal["unstructured"] = "unstructured"
    rate: Rate
    criterion: Criterion = "magnitude"
    seed: int = 0

    def apply(self, model: nn.Module) -> nn.Module:
        """Set the weights to zero in place and return `model`."""
        generator: torch.Generator | None = None
        for place in linears(model):
            weight = place.linear.weight
            if generator is None:
                generator = torch.Generator(weight.device).manual_seed(self.seed)
            if self.criterion == "random":
                scores = torch.rand(weight.shape, device=weight.device, generator=generator)
            else:
                scores = weight.abs()
            weight.data.mul_(self.mask(scores).to(weight.dtype))
        return model

    def mask(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what is kept, shaped like `scores`: all but the ``rate * size`` lowest."""
        removed = round(self.rate * scores.numel())
        kept = torch.ones(scores.numel(), dtype=torch.bool, device=scores.device)
        kept[scores.flatten().topk(removed, largest=False, sorted=False).indices] = False
        return kept.view(scores.shape)


class TwoOfFour(Compression):
    """Keep the two largest of every four neighbours in a row, for sparse tensor cores [1]_.

    On CUDA the weights are stored in the semi-structured format and multiplied by its kernels;
    elsewhere the zeros are stored, which shows the quality but not the speed.

    References
    ----------
    .. [1] A. Mishra et al., "Accelerating sparse deep neural networks," 2021. arXiv:2104.08378
    """

    kind: Literal["2:4"] = "2:4"

    def apply(self, model: nn.Module) -> nn.Module:
        """Prune the weights in place and return `model`."""
        for place in linears(model):
            linear = place.linear
            if linear.in_features % 4:
                raise InputError(
                    f"2:4 must have widths that are a multiple of 4, got {linear.in_features}"
                )
            linear.weight.data.mul_(self.mask(linear.weight).to(linear.weight.dtype))
            if self.supported(linear.weight.device) is None:
                sparse = torch.sparse.to_sparse_semi_structured(linear.weight.detach())
                linear.weight = torch.nn.Parameter(sparse, requires_grad=False)
        return model

    @staticmethod
    def mask(weight: torch.Tensor) -> torch.Tensor:
        """Return what is kept: exactly two of every four neighbours in a row."""
        groups = weight.detach().abs().view(-1, 4)
        kept = torch.zeros_like(groups, dtype=torch.bool)
        kept.scatter_(1, groups.topk(2, dim=1).indices, value=True)
        return kept.view(weight.shape)

    def supported(self, device: torch.device) -> str | None:
        """Return why there is no kernel for it, or None on CUDA from compute capability 8.0."""
        if device.type != "cuda":
            return (
                f"no kernel for 2:4 on {device.type}: the zeros are multiplied like other weights"
            )
        major, minor = torch.cuda.get_device_capability(device)
        if major < 8:
            return f"2:4 needs compute capability 8.0, this device has {major}.{minor}"
        return None
