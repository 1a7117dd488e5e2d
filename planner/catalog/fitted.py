"""Which packaged profile, fitted to measurements, speaks of a device, a model and its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.catalog.profile import PACKAGED, load_profile

if TYPE_CHECKING:
    from planner.catalog.models import ModelShape
    from planner.catalog.profile import Profile

#: In place of a profile's name: of each device the one that was fitted to it.
FITTED = "fitted"
#: Formats of 16 bits, which run the same kernels at the same peak.
SIXTEEN = {"bf16", "fp16"}


def fitted_to(device: str, engine: str, shape: ModelShape, weights: str) -> Profile | None:
    """Return the packaged profile that was fitted to the like; None where there is none.

    One of the same engine on the same device, fitted to models of the same kind in the same format
    of weights (both of 16 bits count as one). Of several the one that was fitted to the very model
    comes first, then that fitted to the most measurements.

    Parameters
    ----------
    device : str
        Its name in the catalogue.
    engine : str
        Short name of the serving engine, as ``vllm``.
    shape : ModelShape
        The model.
    weights : str
        Format of its weights.
    """
    formats = SIXTEEN if weights in SIXTEEN else {weights}
    found = {}
    for each in map(load_profile, PACKAGED):
        evidence = each.evidence
        if evidence is None or (each.device, each.engine) != (device, engine):
            continue
        if shape.kernels in evidence.kernels and formats & set(evidence.formats):
            rows = max(errors.n for errors in evidence.in_sample.values())
            found[each.name] = (shape.name in evidence.models, rows)
    name = max(found, key=lambda one: found[one], default="")
    return load_profile(name) if name else None
