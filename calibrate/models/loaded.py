"""A model in memory: what is known about it, how it is made ready, whether there is room."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import transformers

from calibrate.models.free_memory import free_memory
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedTokenizerBase

    from planner.catalog.models import ModelShape

#: Data types that a model is loaded in, as scenarios name them.
PlainDtype = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[PlainDtype, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
#: Source of the default model with trained weights.
SMOLLM2 = "smollm2"


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and what is known about it.

    Parameters
    ----------
    model : torch.nn.Module
        A ``...ForCausalLM`` of transformers, or ``BertModel`` for an encoder; in ``eval`` mode.
    shape : ModelShape
        Of what was built. Structured pruning makes it smaller.
    tokenizer : PreTrainedTokenizerBase, optional
        None where the weights are random.
    trained : bool
        Whether the weights were trained; otherwise quality is unknown.
    about : str
        A sentence on where the weights come from.
    dtype : {"fp32", "bf16", "fp16"}
        Data type that it was loaded in.
    """

    model: torch.nn.Module
    shape: ModelShape
    tokenizer: PreTrainedTokenizerBase | None
    trained: bool
    about: str
    dtype: PlainDtype

    @property
    def device(self) -> torch.device:
        """Device that the weights are on."""
        return next(self.model.parameters()).device

    def with_model(
        self, model: torch.nn.Module, shape: ModelShape, dtype: PlainDtype
    ) -> LoadedModel:
        """Return a copy with another `model` of another `shape` and `dtype`."""
        return replace(self, model=model, shape=shape, dtype=dtype)


def check_room(size: float, device: torch.device, name: str) -> None:
    """Refuse a model of `size` bytes that the free memory of `device` does not hold."""
    free = free_memory(device)
    if size > free:
        raise InputError(
            f"model {name!r} must fit into the free memory of {device}, {free / 2**30:.1f} GiB, "
            f"got {size / 2**30:.1f} GiB of weights; take a smaller model or data type"
        )


def ready(model: Any, device: torch.device) -> torch.nn.Module:  # noqa: ANN401 - any of transformers'
    """Return `model` on `device` for inference, its projections all ``nn.Linear``."""
    for parent, name, layer in list(_conv1ds(model)):
        setattr(parent, name, _linear(layer))
    ready: torch.nn.Module = model.to(device).eval().requires_grad_(requires_grad=False)
    return ready


def _conv1ds(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, Any]]:
    for parent in model.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, transformers.pytorch_utils.Conv1D):
                yield parent, name, layer


def _linear(layer: Any) -> torch.nn.Linear:  # noqa: ANN401 - Conv1D has no types
    """Return GPT-2's ``Conv1D``, a linear layer with its matrix transposed, as ``nn.Linear``."""
    inputs, outputs = layer.weight.shape
    linear = torch.nn.Linear(inputs, outputs, device="meta")
    linear.weight = torch.nn.Parameter(layer.weight.detach().t().contiguous())
    linear.bias = torch.nn.Parameter(layer.bias.detach())
    return linear
