"""What settings cost in quality, and which speeds behind them nobody measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.catalog.coefficients import COEFFICIENTS
from planner.planning.option import Quality

if TYPE_CHECKING:
    from planner.latency.settings import Settings
    from planner.simulation.system import System

#: Metric of a profile's quality: perplexity over that of the model as stored.
METRIC = "perplexity_ratio"
#: What a model's own format is called in its configuration, and here.
_NATIVE = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "mxfp4": "mxfp4", "": "bf16"}
#: Provenance of a number that nobody measured.
_JUDGED = frozenset({"assumed", "memory"})


def variant_names(settings: Settings) -> list[str]:
    """Return the names under which a profile may have the quality of `settings`.

    As ``planner calibrate`` writes them, ``int8-bf16+structured:0.5``; a KV cache of fewer than
    16 bits is part of the name, ``fp8+kv_cache:fp8``.
    """
    name: str = settings.weights
    names = [name] if settings.activations is None else [f"{name}-{settings.activations}"]
    if settings.activations is not None and settings.activations == settings.weights:
        names.append(name)
    pruning = settings.pruning
    if pruning.pattern == "2:4":
        words = "2:4"
    else:
        words = f"{pruning.pattern}:{pruning.rate!r}" if pruning.rate else ""
    if words:
        names = [f"{each}+{words}" for each in names] + [words] * (settings.weights == "bf16")
    if settings.kv_cache not in {"bf16", "fp16", "fp32"}:
        names = [f"{each}+kv_cache:{settings.kv_cache}" for each in names]
    return names


def quality(system: System) -> Quality:
    """Return what the settings of `system` cost in quality; a number is never invented.

    The model as its makers store it loses nothing, by definition, and 16 or 32 bits lose nothing
    that could be measured against it. Everything else has the profile's number or none.
    """
    settings, profile = system.service.settings, system.profile
    for name in variant_names(settings):
        found = profile.quality.get(name, {}).get(METRIC)
        if found is not None:
            return Quality(max(0.0, found.value - 1), f"{name}: {found.source}")
    native = _NATIVE.get(system.shape.native_dtype or "", system.shape.native_dtype)
    plain = settings.kv_cache in {"bf16", "fp16", "fp32"} and settings.pruning.pattern == "none"
    if plain and settings.weights in {native, "bf16", "fp16", "fp32"}:
        return Quality(0.0, "the model as stored, by definition")
    wanted = variant_names(settings)[0]
    return Quality(
        None, f"not measured: profile {profile.name!r} has no quality of {wanted}; see calibrate"
    )


def unmeasured(system: System, found: Quality) -> tuple[str, ...]:
    """Return which numbers of the profile behind `system` are assumed, and unknown quality."""
    names = [
        each.name
        for each in system.step.provenance
        if each.provenance in _JUDGED
        and (each.name in COEFFICIENTS or each.name.startswith("speedup of"))
        # a factor of 1 that no setting asks for, as of unpruned weights, is not listed
    ]
    return (*names, *(["quality"] if found.loss is None else []))
