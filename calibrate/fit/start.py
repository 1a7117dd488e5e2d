"""Where a fit begins: start and bounds of the coefficients that all variants share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibrate.fit.step_model import ALONE, SLOWING, Parameter
from calibrate.pulse import MOST_SLOWING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibrate.fit.step_model import Sample

#: Slowness from which it is worth asking what it did to steps. [-]
TOLD = 0.05


def shared_parameters(samples: Sequence[Sample]) -> list[Parameter]:
    """Return start and bounds of the coefficients that all variants share."""
    shortest = min(each.seconds / len(each.points) for each in samples)
    most = max(each.sequences for each in samples)
    served = any(each.kind == "served" for each in samples)
    slowed = max(each.slowness for each in samples) > TOLD
    return [
        *([Parameter(ALONE, 1.0, 0.5, 2.0, "log")] if served else []),
        *([Parameter(SLOWING, 1.0, 0.0, MOST_SLOWING, "plain")] if slowed else []),
        Parameter("compute_efficiency", 0.5, 1e-3, 4.0, "log"),
        Parameter("attention_efficiency", 0.1, 1e-4, 4.0, "log"),
        Parameter("storage_efficiency", 0.5, 1e-3, 4.0, "log"),
        Parameter("overlap", 2.0, 1.0, 50.0, "inverse"),
        Parameter("overhead_fixed", 0.3 * shortest, 0.0, shortest, "plain"),
        Parameter(
            "overhead_per_sequence",
            0.1 * shortest / most,
            0.0,
            max(each.seconds / (len(each.points) * each.sequences) for each in samples),
            "plain",
        ),
    ]


def reread_parameters() -> list[Parameter]:
    """Return start and bounds of the coefficients of kernels that read the weights again."""
    return [
        Parameter("reread", 1.0, 1e-2, 100.0, "log"),
        Parameter("reread_tokens", 4.0, 0.3, 256.0, "log"),
    ]
