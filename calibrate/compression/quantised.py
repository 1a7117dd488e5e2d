"""Linear layers with quantised weights, on the kernels that torch itself has."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from planner.errors import InputError

#: Largest magnitudes of int8 (symmetric) and of fp8 with 4 exponent and 3 mantissa bits.
INT8_MAX = 127.0
FP8_MAX = 448.0
FP8 = torch.float8_e4m3fn
#: Inputs of up to this many rows go to the weight-only int8 kernel; for more, turning the weights
#: back and a plain product are faster.
FEW_ROWS = 32
#: Widths that this kernel takes: of others it reads, on a CPU, beyond the end of the weights.
WHOLE_WIDTH = 16
#: Weights that share a scale in int4, the largest that divides the width.
INT4_GROUPS = (128, 64, 32)
#: Smallest scale, so that rows of zeros can be divided by it.
_TINY = 1e-12


class QuantisedLinear(nn.Module):
    """Base of linear layers whose weights are stored in few bits.

    Parameters
    ----------
    linear : torch.nn.Linear
        That it replaces; its bias is kept as it is.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias

    def dequantised(self) -> torch.Tensor:
        """Return the weights that the layer stands for, fp32, shape ``(out, in)``."""
        raise NotImplementedError

    def product(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `rows`, shape ``(n, in)``, times the weights, shape ``(n, out)``."""
        raise NotImplementedError

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, shape ``(..., out)``."""
        out = self.product(inputs.reshape(-1, self.in_features))
        if self.bias is not None:
            out = out + self.bias
        return out.view(*inputs.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.in_features} -> {self.out_features}"


def per_row(values: torch.Tensor, largest: float) -> torch.Tensor:
    """Return the scale of each row that maps its largest magnitude to `largest`, fp32."""
    return values.abs().amax(dim=1, keepdim=True).float().div(largest).clamp_min(_TINY)


def to_int8(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return ``round(values / scale)`` as int8; each is off by half a scale at most."""
    return (values / scale).round_().clamp_(-INT8_MAX, INT8_MAX).to(torch.int8)


class Int8WeightOnlyLinear(QuantisedLinear):
    """Weights in int8 with a scale per output; the product is 16-bit."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach()
        scale = per_row(weight, INT8_MAX).to(weight.dtype)
        self.register_buffer("weight", to_int8(weight.float(), scale.float()))
        self.register_buffer("scale", scale.flatten())
        self.weight: torch.Tensor
        self.scale: torch.Tensor

    def dequantised(self) -> torch.Tensor:
        """Return the weights that the layer stands for."""
        return self.weight.float() * self.scale.float()[:, None]

    def product(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `rows` times the weights, which are turned back inside the kernel for few rows."""
        whole = self.in_features % WHOLE_WIDTH == 0
        if whole and len(rows) <= FEW_ROWS and rows.dtype is not torch.float32:
            return torch._weight_int8pack_mm(rows.contiguous(), self.weight, self.scale)  # noqa: SLF001
        return functional.linear(rows, self.weight.to(rows.dtype)) * self.scale


class Int8DynamicLinear(QuantisedLinear):
    """Weights in int8 with a scale per output, inputs in int8 with a scale per row, int8 product.

    ``y = (q_x q_w) s_x s_w``, the sum in int32 [1]_.

    References
    ----------
    .. [1] T. Dettmers et al., "LLM.int8()," NeurIPS 2022, section 3, without its outliers.
       arXiv:2208.07339
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach().float()
        scale = per_row(weight, INT8_MAX)
        self.register_buffer("weight", to_int8(weight, scale))
        self.register_buffer("scale", scale.flatten())
        self.weight: torch.Tensor
        self.scale: torch.Tensor

    def dequantised(self) -> torch.Tensor:
        """Return the weights that the layer stands for."""
        return self.weight.float() * self.scale[:, None]

    def product(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `rows`, quantised, times the weights."""
        n = len(rows)
        scale = per_row(rows, INT8_MAX)
        quantised = to_int8(rows, scale)
        if rows.is_cuda and n <= 16:  # CUDA's kernel wants more
            quantised = functional.pad(quantised, (0, 0, 0, 32 - n))
        out = torch._int_mm(quantised, self.weight.t())[:n]  # noqa: SLF001 - the only int8 product
        return (out * scale * self.scale).to(rows.dtype)


class Int4WeightOnlyLinear(QuantisedLinear):
    """Weights in 4 bits, with scale and zero point per group of a row; the product is 16-bit.

    ``w = (q - 8) s + z`` with ``q`` from 0 to 15, ``s = (max - min) / 15`` and ``z = min + 8 s`` of
    the group. Scale and zero point are 16-bit.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach()
        self.group = next((g for g in INT4_GROUPS if self.in_features % g == 0), 0)
        if not self.group or self.out_features % 16:
            raise InputError(
                "int4 must have layers with inputs in groups of 32 and outputs in groups of 16, "
                f"got {self.in_features} -> {self.out_features}"
            )
        groups = weight.float().view(self.out_features, -1, self.group)
        low, high = groups.amin(2, keepdim=True), groups.amax(2, keepdim=True)
        scale = ((high - low) / 15).clamp_min(_TINY).to(weight.dtype)
        zero = (low + 8 * scale.float()).to(weight.dtype)
        codes = ((groups - zero.float()) / scale.float()).round_().add_(8).clamp_(0, 15)
        self.register_buffer("packed", _pack(codes.to(torch.int32).flatten(1)))
        pairs = torch.cat([scale, zero], dim=2).transpose(0, 1).contiguous()
        self.register_buffer("scales_and_zeros", pairs)  # (groups, out, 2)
        self.packed: torch.Tensor
        self.scales_and_zeros: torch.Tensor

    def dequantised(self) -> torch.Tensor:
        """Return the weights that the layer stands for: its product with the identity."""
        identity = torch.eye(
            self.in_features, dtype=self.scales_and_zeros.dtype, device=self.packed.device
        )
        return self.product(identity).float().t().contiguous()

    def product(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `rows` times the weights, which are turned back inside the kernel."""
        kernel = (
            torch._weight_int4pack_mm  # noqa: SLF001 - torch has no public name for it
            if rows.is_cuda
            else torch._weight_int4pack_mm_for_cpu  # noqa: SLF001
        )
        return kernel(rows.contiguous(), self.packed, self.group, self.scales_and_zeros)


def _pack(codes: torch.Tensor) -> torch.Tensor:
    """Return `codes` (0 to 15, int32, shape ``(out, in)``) as the kernel of their device wants."""
    if codes.is_cuda:
        pairs = (codes[:, ::2] << 4 | codes[:, 1::2]).to(torch.uint8)
        return torch._convert_weight_to_int4pack(pairs, _inner_tiles(codes.shape[1]))  # noqa: SLF001
    return torch._convert_weight_to_int4pack_for_cpu(codes, 1)  # noqa: SLF001


def _inner_tiles(width: int) -> int:
    """Return how many tiles of 16 inputs CUDA's int4 kernel takes at once: the most that fit."""
    return next(tiles for tiles in (8, 4, 2) if width % (16 * tiles) == 0)


class Fp8DynamicLinear(QuantisedLinear):
    """Weights in fp8 (e4m3) with a scale per output, inputs in fp8 with a scale per row.

    Off CUDA the product is emulated: right numbers, no speed.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach().float()
        scale = per_row(weight, FP8_MAX)
        self.register_buffer("weight", (weight / scale).to(FP8))
        self.register_buffer("scale", scale.flatten())
        self.weight: torch.Tensor
        self.scale: torch.Tensor

    def dequantised(self) -> torch.Tensor:
        """Return the weights that the layer stands for."""
        return self.weight.float() * self.scale[:, None]

    def product(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `rows`, quantised, times the weights."""
        scale = per_row(rows, FP8_MAX)
        quantised = (rows / scale).to(FP8)
        if rows.is_cuda:
            out = torch._scaled_mm(  # noqa: SLF001 - torch has no public name for it
                quantised,
                self.weight.t(),
                scale_a=scale,
                scale_b=self.scale[None, :],
                out_dtype=torch.bfloat16,
            )
            return out.to(rows.dtype)
        out = functional.linear(quantised.to(rows.dtype), self.weight.to(rows.dtype))
        return (out * scale * self.scale).to(rows.dtype)
