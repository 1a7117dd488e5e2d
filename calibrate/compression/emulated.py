"""Products that a CPU has no instructions for: right numbers, many times as long as in fp32.

On an EPYC that shows AVX2 alone torch multiplies 16-bit numbers at a quarter to a seventh of the
speed of fp32, and int8 at a twelfth to a fiftieth. No flag says which type is emulated by
how much in which kernel, so that a small product is timed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import nn

from calibrate.models.loaded import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from calibrate.models.loaded import PlainDtype

#: Rows of the product that is timed, and width of its layer.
_ROWS, _WIDTH = 64, 256
#: Times that it is run, in turns with that in fp32; the quickest count.
_TURNS = 5
#: A setting whose products take so many times as long as those in fp32 is not run by instructions
#: of its own: between what 16-bit numbers take without them, four to seven times, which are still
#: worth measuring, and int8, 12 times and more.
EMULATED = 10.0
#: From so many times on, fp32 is the plain data type of choice: see :func:`quickest_plain`.
SLOW = 3.0


def linear(dtype: PlainDtype, device: torch.device) -> nn.Linear:
    """Return a plain layer of the size that is timed."""
    return nn.Linear(_WIDTH, _WIDTH, bias=False, dtype=DTYPES[dtype], device=device)


@torch.inference_mode()
def times_of_fp32(layer: nn.Module, dtype: PlainDtype, device: torch.device) -> float:
    """Return how many times as long as in fp32 the product of a `layer` takes, on one thread.

    More threads wait for other work on their cores, and hide in that what is emulated.

    Parameters
    ----------
    layer : torch.nn.Module
        Made of what :func:`linear` returns.
    dtype : {"fp32", "bf16", "fp16"}
        Of what goes in.
    device : torch.device
        A CPU, where calling a layer takes as long as its kernels.
    """
    plain = linear("fp32", device)
    rows = torch.ones(_ROWS, _WIDTH, device=device)
    cast = rows.to(DTYPES[dtype])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pairs = [(_seconds(plain, rows), _seconds(layer, cast)) for _ in range(1 + _TURNS)]
    finally:
        torch.set_num_threads(threads)
    ours, theirs = (min(times) for times in zip(*pairs[1:], strict=True))  # the first makes kernels
    return theirs / ours


def _seconds(layer: nn.Module, rows: torch.Tensor) -> float:
    started = time.perf_counter()
    layer(rows)
    return time.perf_counter() - started


def why_emulated(
    make: Callable[[nn.Linear], nn.Module], dtype: PlainDtype, device: torch.device
) -> str | None:
    """Return that the products of a setting are emulated on `device`, if they are; else None.

    Parameters
    ----------
    make : callable
        Makes the setting's layer of a plain one.
    dtype : {"fp32", "bf16", "fp16"}
        Of what is not quantised.
    device : torch.device
        Where; only a CPU emulates.
    """
    if device.type != "cpu":
        return None
    times = times_of_fp32(make(linear(dtype, device)), dtype, device)
    if times < EMULATED:
        return None
    return f"products take {times:.0f} times as long as in fp32 on this CPU: they are emulated"


def quickest_plain(device: torch.device) -> PlainDtype:
    """Return the plain data type to serve in: bf16, on a CPU that emulates its products fp32."""
    if device.type != "cpu":
        return "bf16"
    slow = times_of_fp32(linear("bf16", device), "bf16", device) > SLOW
    return "fp32" if slow else "bf16"
