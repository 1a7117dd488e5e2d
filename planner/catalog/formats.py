"""What data types and pruning patterns do to bytes, arithmetic and speedups: data in one place."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from planner.catalog.devices import PeakDtype  # noqa: TC001 - pydantic reads it
from planner.catalog.files import packaged
from planner.catalog.provenance import Origin
from planner.spec import Spec

#: The parts of a step that a setting can speed up.
Part = Literal["compute", "storage", "transfer", "overhead"]
#: From 0 to 1.
Share = Annotated[float, Field(ge=0, le=1)]


class Speedup(Origin):
    """A factor that divides a part of the step's time beyond what FLOPs and bytes say.

    Parameters
    ----------
    value : float
        a, > 0: above 1 is faster. [-]
    stderr : float, optional
        Standard error. [-]
    """

    value: Annotated[float, Field(gt=0, strict=True)]  # `true` is no number
    stderr: NonNegativeFloat | None = None


class WeightFormat(Origin):
    """How weights are stored and what they are multiplied in.

    Parameters
    ----------
    bytes : float
        Per parameter, with scales. [B]
    scope : {"all", "linear", "experts"}
        Which matrices are stored so: all; those of the layers; the routed experts. The others
        are stored in 16 bits.
    activations : str
        Data type that the layers compute in by default.
    computes_in : tuple of str
        Data types that they can compute in; for quantised weights 16-bit ones mean that only
        the weights are quantised, which saves bytes and no arithmetic.
    speedup : dict of str to Speedup
        By part; 1 where it is left out.
    """

    bytes: PositiveFloat
    scope: Literal["all", "linear", "experts"]
    activations: PeakDtype
    computes_in: tuple[PeakDtype, ...]
    speedup: dict[Part, Speedup] = Field(default_factory=dict)


class NumberFormat(Origin):
    """How activations or the KV cache are stored.

    Parameters
    ----------
    bytes : float
        Per element. [B]
    speedup : dict of str to Speedup
        By part; 1 where it is left out.
    """

    bytes: PositiveFloat
    speedup: dict[Part, Speedup] = Field(default_factory=dict)


class PruningFormat(Origin):
    """What removing a share r of the layers' weights does.

    Parameters
    ----------
    flops_removed, bytes_removed : float
        FLOPs and bytes of the layers shrink by this times r. [-]
    metadata_bits : float
        Stored per original weight. [bit]
    speedup : dict of str to Speedup
        By part; 1 where it is left out.
    """

    flops_removed: Share
    bytes_removed: Share
    metadata_bits: NonNegativeFloat
    speedup: dict[Part, Speedup] = Field(default_factory=dict)


class Formats(Spec):
    """Everything in ``data/settings.json``, by name.

    Parameters
    ----------
    weights : dict of str to WeightFormat
        By data type of the weights.
    kv_cache, activations : dict of str to NumberFormat
        By data type.
    pruning : dict of str to PruningFormat
        By pattern.
    """

    weights: dict[str, WeightFormat]
    kv_cache: dict[str, NumberFormat]
    activations: dict[str, NumberFormat]
    pruning: dict[str, PruningFormat]


@functools.cache
def formats() -> Formats:
    """Return what the catalogue knows about data types and pruning."""
    content: dict[str, Any] = packaged("data/settings.json")
    return Formats.model_validate(
        {key: value for key, value in content.items() if key not in {"schema_version", "about"}}
    )
