"""Quantisation of the blocks' linear layers; embeddings and output head stay as they are."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import nn

from calibrate.compression.base import Compression, linears, why_not
from calibrate.compression.emulated import why_emulated
from calibrate.compression.quantised import (
    Fp8DynamicLinear,
    Int4WeightOnlyLinear,
    Int8DynamicLinear,
    Int8WeightOnlyLinear,
    QuantisedLinear,
)
from calibrate.models.loaded import DTYPES, PlainDtype


class Cast(Compression):
    """All weights and activations in one plain data type.

    Parameters
    ----------
    dtype : {"fp32", "bf16", "fp16"}
        Which.
    """

    kind: Literal["cast"] = "cast"
    dtype: PlainDtype

    def apply(self, model: nn.Module) -> nn.Module:
        """Turn `model` into the data type and return it."""
        return model.to(DTYPES[self.dtype])

    def supported(self, device: torch.device) -> str | None:
        """Return why `device` has no products in it, or None."""
        one = torch.ones(16, 16, dtype=DTYPES[self.dtype], device=device)
        return why_not(lambda: one @ one) or why_emulated(lambda plain: plain, self.dtype, device)


class _Quantisation(Compression):
    """Replace every linear layer of the blocks by one of :attr:`layer`.

    Parameters
    ----------
    dtype : {"fp32", "bf16", "fp16"}
        Data type of all that is not quantised.
    """

    layer: ClassVar[type[QuantisedLinear]]
    dtype: PlainDtype = "bf16"

    def apply(self, model: nn.Module) -> nn.Module:
        """Quantise the layers in place and return `model`."""
        for place in linears(model):
            place.put(self.layer(place.linear))
        return model

    def supported(self, device: torch.device) -> str | None:
        """Return the error that the kernel gives on `device`, that it is emulated, or None."""

        def try_it() -> None:
            options: dict[str, Any] = {"dtype": DTYPES[self.dtype], "device": device}
            self.layer(nn.Linear(128, 64, bias=False, **options))(torch.ones(1, 128, **options))

        return why_not(try_it) or why_emulated(self.layer, self.dtype, device)


class Int8WeightOnly(_Quantisation):
    """``weights: int8, activations: bf16``: see :class:`Int8WeightOnlyLinear`."""

    kind: Literal["int8_weight_only"] = "int8_weight_only"
    layer: ClassVar[type[QuantisedLinear]] = Int8WeightOnlyLinear


class Int8Dynamic(_Quantisation):
    """``weights: int8``, and activations as well: see :class:`Int8DynamicLinear`."""

    kind: Literal["int8_dynamic"] = "int8_dynamic"
    layer: ClassVar[type[QuantisedLinear]] = Int8DynamicLinear


class Int4WeightOnly(_Quantisation):
    """``weights: int4``: see :class:`Int4WeightOnlyLinear`."""

    kind: Literal["int4_weight_only"] = "int4_weight_only"
    layer: ClassVar[type[QuantisedLinear]] = Int4WeightOnlyLinear


class Fp8Dynamic(_Quantisation):
    """``weights: fp8``, and activations as well: see :class:`Fp8DynamicLinear`."""

    kind: Literal["fp8_dynamic"] = "fp8_dynamic"
    layer: ClassVar[type[QuantisedLinear]] = Fp8DynamicLinear

    def supported(self, device: torch.device) -> str | None:
        """Return why there is no kernel for it, or None on CUDA from compute capability 8.9."""
        if device.type != "cuda":
            return f"no kernel for fp8 on {device.type}: products are emulated"
        major, minor = torch.cuda.get_device_capability(device)
        if (major, minor) < (8, 9):
            return f"fp8 needs compute capability 8.9, this device has {major}.{minor}"
        return super().supported(device)
