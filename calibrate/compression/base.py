"""What every compression can do, and where in a model the layers are that it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from planner.errors import InputError
from planner.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from planner.catalog.models import ModelShape


class Compression(Spec):
    """One way of making a model smaller or faster; members are told apart by their ``kind``."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Change `model` in place and return it.

        Works on every device, with the right numbers everywhere; :meth:`supported` says where its
        speed is that of the setting too.

        Raises
        ------
        InputError
            If the model has sizes that cannot be compressed so.
        """
        raise NotImplementedError

    def supported(self, device: torch.device) -> str | None:  # noqa: ARG002 - members look at it
        """Return why `device` cannot run it at its speed, or None if it can."""
        return None

    def compressed(self, shape: ModelShape) -> ModelShape:
        """Return what :meth:`apply` makes of a model's `shape`."""
        return shape


class Place(NamedTuple):
    """A linear layer and where it hangs.

    Parameters
    ----------
    parent : torch.nn.Module
        That has it.
    name : str
        Under which it has it.
    """

    parent: nn.Module
    name: str

    @property
    def linear(self) -> nn.Linear:
        """The layer."""
        layer: nn.Linear = getattr(self.parent, self.name)
        return layer

    def put(self, layer: nn.Module) -> None:
        """Hang `layer` here instead."""
        setattr(self.parent, self.name, layer)


def blocks(model: nn.Module) -> nn.ModuleList:
    """Return the transformer blocks of `model`, without embeddings and output head.

    Raises
    ------
    InputError
        If there are none.
    """
    config: Any = model.config
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == config.num_hidden_layers:
            return module
    raise InputError(f"must be a transformer with a list of blocks, got {type(model).__name__}")


def linears(model: nn.Module) -> Iterator[Place]:
    """Yield the linear layers of the blocks of `model`, those that are still plain."""
    for block in blocks(model):
        for parent in list(block.modules()):
            for name, layer in list(parent.named_children()):
                if type(layer) is nn.Linear:
                    yield Place(parent, name)


def weight_bytes(model: nn.Module) -> int:
    """Return the memory of weights, scales and buffers, shared ones once [B]."""
    tensors = {id(each): each for each in (*model.parameters(), *model.buffers())}
    return sum(_bytes(each) for each in tensors.values())


def _bytes(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor, of a sparse one those of what it packs."""
    names = getattr(tensor, "__tensor_flatten__", None)
    if names is None or type(tensor) in {torch.Tensor, nn.Parameter}:
        return tensor.nbytes
    return sum(getattr(tensor, name).nbytes for name in names()[0])


def why_not(call: Callable[[], object]) -> str | None:
    """Return the first line of the error that `call` raises, or None if it raises none."""
    try:
        call()
    except (RuntimeError, NotImplementedError, AttributeError, TypeError) as error:
        return first_line(error)
    return None


def first_line(error: Exception) -> str:
    """Return kind and first line of an error that a kernel raised."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:160]
