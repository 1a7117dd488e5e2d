"""One engine step of a large language model: the equation as a function of the batch.

The parts of a step are linear in what the batch holds, except that a mixture-of-experts model
touches only the experts that its tokens hit. Their coefficients (:data:`STEP_FIELDS`) are seconds
per unit, with efficiencies, parallel degrees and the speedups a_c, a_s, a_t divided in.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

#: Coefficients of a step: name, meaning [unit].
STEP_FIELDS: dict[str, str] = {
    "compute_per_token": "linear layers, per token in the step [s]",
    "compute_per_sample": "output head, per token sampled [s]",
    "compute_per_context": "attention, per token and token it attends to, full layers [s]",
    "compute_per_context_window": "the same for sliding-window layers [s]",
    "compute_per_context_decode": "more of attention where a sequence decodes, full layers [s]",
    "storage_fixed": "weights that every step reads [s]",
    "storage_experts": "weights of all routed experts [s], of which a step reads those it hits; "
    "or, of a dense model, weights read again for all tokens but the first",
    "storage_per_context": "KV cache read per token of context, full layers [s]",
    "storage_per_context_window": "the same for sliding-window layers [s]",
    "storage_per_token": "KV cache written per token [s]",
    "storage_per_sequence": "states read and written per sequence in the step [s]",
    "transfer_fixed": "latency of collectives and pipeline hand-overs [s]",
    "transfer_per_token": "bytes of collectives and hand-overs, per token [s]",
    "overhead_fixed": "scheduler, launch [s]",
    "overhead_per_sequence": "sampling, detokenising, per sequence in the step [s]",
    "overlap": "exponent q >= 1: 1 adds compute and storage, inf takes the larger [-]",
    "experts_log_miss": "log of the share of storage_experts one token does not touch; or 0 [-]",
    "experts_free": "tokens of a step that touch none of storage_experts [tokens]",
    "window": "attention window of the sliding-window layers; 0 if there are none [tokens]",
}

#: Those that are no time: how parts overlap, and what a batch touches.
_NO_TIME = ("overlap", "experts_log_miss", "experts_free", "window")
#: Layout of the coefficients as the compiled data plane reads them.
STEP_DTYPE = np.dtype([(name, np.float64) for name in STEP_FIELDS])


def step_coefficients(**values: float) -> np.recarray[Any, Any]:
    """Return the coefficients as a record array of shape ``(1,)``; those not given are 0.

    Raises
    ------
    ValueError
        If a name is unknown, a value is negative where time cannot be, or ``overlap < 1``.
    """
    values = {"overlap": 1.0, **values}
    unknown = values.keys() - STEP_FIELDS.keys()
    if unknown:
        raise ValueError(f"unknown step coefficients: {', '.join(sorted(unknown))}")
    for name, value in values.items():
        if math.isnan(value) or (value < 0 and name != "experts_log_miss"):
            raise ValueError(f"{name} must be >= 0, got {value}")
    if values["overlap"] < 1:
        raise ValueError(f"overlap must be >= 1, got {values['overlap']}")
    row = np.zeros(1, STEP_DTYPE).view(np.recarray)
    for name, value in values.items():
        row[name] = value
    return row


def scaled_coefficients(
    coefficients: np.recarray[Any, Any], factor: float
) -> np.recarray[Any, Any]:
    """Return the coefficients of steps that all take `factor` times as long.

    Parameters
    ----------
    coefficients : recarray, shape (1,)
        See :data:`STEP_FIELDS`.
    factor : float
        > 0. [-]
    """
    scaled = coefficients.copy()
    for name in STEP_FIELDS:
        if name not in _NO_TIME:
            scaled[name] *= factor
    return scaled


def step_parts(  # noqa: PLR0917 - compiled by numba, called with positions
    c: Any,  # noqa: ANN401 - a record of STEP_DTYPE
    tokens: float,
    sequences: float,
    samples: float,
    attended: float,
    attended_window: float,
    context: float,
    context_window: float,
    context_decode: float,
) -> tuple[float, float, float, float]:
    """Return the seconds of compute, storage, transfer and overhead of one step.

    They add up to the step's duration: compute and storage overlap,
    ``(compute**q + storage**q)**(1/q)``, and the combined time is divided between them in the
    proportion of their q-th powers.

    Parameters
    ----------
    c : record of STEP_DTYPE
        Coefficients.
    tokens : float
        Tokens processed, prefill and decode (p + n).
    sequences : float
        Sequences in the step.
    samples : float
        Sequences whose next token is sampled at its end.
    attended, attended_window : float
        Sum over tokens of the tokens each attends to (A), in full and in windowed layers.
    context, context_window : float
        Tokens of KV cache read (K), in full and in windowed layers.
    context_decode : float
        Of `context`, what decoding sequences read, and attend to with one token each.
    """
    compute = (
        c.compute_per_token * tokens
        + c.compute_per_sample * samples
        + c.compute_per_context * attended
        + c.compute_per_context_window * attended_window
        + c.compute_per_context_decode * context_decode
    )
    storage = (
        c.storage_fixed
        + c.storage_per_token * tokens
        + c.storage_per_sequence * sequences
        + c.storage_per_context * context
        + c.storage_per_context_window * context_window
    )
    if c.storage_experts > 0.0:
        touching = max(tokens - c.experts_free, 0.0)
        storage += c.storage_experts * -math.expm1(touching * c.experts_log_miss)
    q = c.overlap
    if q > 1.0 and compute > 0.0 and storage > 0.0:
        larger = max(compute, storage)
        share = 1.0 if compute >= storage else 0.0
        combined = larger
        if q == 2.0:  # the usual case, ten times as fast without powers
            ratio = (min(compute, storage) / larger) ** 2
            combined = larger * math.sqrt(1.0 + ratio)
            share = 1.0 / (1.0 + ratio) if compute >= storage else ratio / (1.0 + ratio)
        elif q < 1e3:  # beyond it the sum is the larger one to the last bit but for near ties
            ratio = (min(compute, storage) / larger) ** q
            combined = larger * (1.0 + ratio) ** (1.0 / q)
            share = 1.0 / (1.0 + ratio) if compute >= storage else ratio / (1.0 + ratio)
        compute = combined * share
        storage = combined - compute
    transfer = c.transfer_fixed + c.transfer_per_token * tokens
    overhead = c.overhead_fixed + c.overhead_per_sequence * sequences
    return compute, storage, transfer, overhead


#: A one-dimensional array of float64.
FloatArray = npt.NDArray[np.float64]
