"""Coefficients that a fit looks for: where they may lie, and where they are drawn to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from planner.catalog.coefficients import Coefficient

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from planner.catalog.profile import Profile

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """Where a coefficient may lie.

    Parameters
    ----------
    low, high : float
        Positive, ``low < high``, in the coefficient's unit.
    """

    low: float
    high: float


#: What physics allows: efficiencies below 1, overheads below what any engine spends.
PHYSICAL: dict[str, Bounds] = {
    "compute_efficiency": Bounds(0.05, 0.95),
    "attention_efficiency": Bounds(0.02, 0.95),
    "storage_efficiency": Bounds(0.1, 0.97),
    "overlap": Bounds(1.0, 20.0),
    "overhead_fixed": Bounds(1e-6, 0.1),
    "overhead_per_sequence": Bounds(1e-8, 5e-3),
    "request_overhead": Bounds(1e-6, 0.25),
    "link_efficiency": Bounds(0.05, 0.95),
    "link_latency": Bounds(1e-7, 1e-3),
    "kv_efficiency": Bounds(0.1, 0.97),
    "expert_compute": Bounds(0.02, 2.0),
    "expert_storage": Bounds(0.05, 2.0),
    "overhead_per_layer": Bounds(1e-7, 5e-3),
    "overhead_per_moe_layer": Bounds(1e-7, 5e-3),
}


class Prior(NamedTuple):
    """Where coefficients are drawn to, in their logarithms; shape ``(coefficients,)``.

    Parameters
    ----------
    centre : array
        Where each is drawn to.
    width : array
        Standard deviation; inf where it is not drawn.
    """

    centre: Floats
    width: Floats

    def residuals(self, x: Floats, tolerance: float) -> Floats:
        """Return one residual per coefficient, on the scale of those of metrics."""
        return np.asarray(tolerance * (x - self.centre) / self.width)

    def jacobian(self, tolerance: float) -> Floats:
        """Return their derivatives, shape ``(coefficients, coefficients)``."""
        return np.diag(tolerance / self.width)


def with_coefficients(profile: Profile, coefficients: Mapping[str, Coefficient]) -> Profile:
    """Return `profile` with `coefficients` in place of its own, on every device it speaks of."""
    return profile.model_copy(
        update={
            "coefficients": {**profile.coefficients, **coefficients},
            "devices": {
                device: {key: each for key, each in own.items() if key not in coefficients}
                for device, own in profile.devices.items()
            },
        }
    )


def with_values(profile: Profile, values: Mapping[str, float]) -> Profile:
    """Return `profile` with these values, marked as fitted."""
    return with_coefficients(
        profile,
        {
            key: Coefficient(value=value, provenance="fitted", source="a search under way")
            for key, value in values.items()
        },
    )
