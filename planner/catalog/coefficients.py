"""The coefficients of the step time: what there is, one with its error, several with covariance."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, model_validator

from planner.catalog.provenance import Origin
from planner.spec import Spec

#: Coefficients: name, (meaning, unit, least value).
COEFFICIENTS: dict[str, tuple[str, str, float]] = {
    "compute_efficiency": ("e_c of the linear layers, share of the peak", "-", 1e-6),
    "attention_efficiency": ("e_c of attention, share of the peak", "-", 1e-6),
    "storage_efficiency": ("e_s, share of the memory bandwidth", "-", 1e-6),
    "overlap": ("q: 1 adds compute and storage, 1000 takes the larger", "-", 1.0),
    "overhead_fixed": ("t_0, per step", "s", 0.0),
    "overhead_per_sequence": ("t_1, per sequence in the step", "s", 0.0),
    "request_overhead": ("per request, beside the steps: HTTP, tokens to text and back", "s", 0.0),
    "link_efficiency": ("e_t, share of the link's bandwidth", "-", 1e-6),
    "link_latency": ("per hop of a collective", "s", 0.0),
    "kv_efficiency": ("e_s of the KV cache where it differs from the weights'", "-", 1e-6),
    "expert_compute": ("speed of the routed experts' arithmetic, by the other layers'", "-", 1e-6),
    "expert_storage": ("speed of reading routed experts, by the other layers'", "-", 1e-6),
    "overhead_per_layer": ("per layer: kernels that wait for each other", "s", 0.0),
    "overhead_per_moe_layer": ("more of a layer with experts: routing, sorting", "s", 0.0),
    "reread": ("times that a batch of many tokens reads the weights again", "-", 0.0),
    "reread_tokens": ("tokens at which it has reached 1 - 1/e of that", "tokens", 1e-3),
}
#: A correlation matrix may be this far from semidefinite: rounding of its entries.
ROUNDING = 1e-9
#: Largest share of a peak: more than 1, since a measured peak may be low; not 55 for 55 %.
MOST_EFFICIENCY = 4.0
#: Coefficients that a profile may do without, and what they are then: without effect.
OPTIONAL: dict[str, float] = {
    "expert_compute": 1.0,
    "expert_storage": 1.0,
    "overhead_per_layer": 0.0,
    "overhead_per_moe_layer": 0.0,
    "request_overhead": 0.0,
    "reread": 0.0,
    "reread_tokens": 0.0,
}
#: Coefficients that are another one where a profile does without.
FALLBACK = {"kv_efficiency": "storage_efficiency"}


class Coefficient(Origin):
    """One fitted, measured or assumed number.

    Parameters
    ----------
    value : float
        In the unit that :data:`COEFFICIENTS` gives.
    stderr : float, optional
        Standard error, in the same unit.
    """

    value: Annotated[float, Field(strict=True)]  # `true` is no number
    stderr: NonNegativeFloat | None = None


class Covariance(Spec):
    """Covariance of fitted coefficients; no sum of them has a negative variance.

    Parameters
    ----------
    names : tuple of str
        The coefficients, in the order of rows and columns.
    matrix : tuple of tuples of float
        Square, symmetric.
    """

    names: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _square_and_symmetric(self) -> Self:
        n = len(self.names)
        rows = self.matrix
        square = len(rows) == n and all(len(row) == n for row in rows)
        if not square or any(rows[i][k] != rows[k][i] for i in range(n) for k in range(i)):
            raise ValueError(f"must be a symmetric matrix of {n} rows, as many as names")
        return self

    @model_validator(mode="after")
    def _is_a_covariance(self) -> Self:
        twice = next((name for name in self.names if self.names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"must name each coefficient once, got {twice!r} twice")
        import numpy as np  # noqa: PLC0415 - start-up

        matrix = np.array(self.matrix, float).reshape(len(self.names), len(self.names))
        scale = np.sqrt(np.abs(np.diagonal(matrix)))
        scale[scale == 0] = 1.0
        correlation = matrix / scale[:, None] / scale
        if len(scale) and np.linalg.eigvalsh(correlation)[0] < -ROUNDING * len(scale):
            message = (
                "must be a covariance, positive semidefinite: as it is, some sum of the "
                "coefficients has a negative variance; fit the profile anew"
            )
            raise ValueError(message)
        return self
