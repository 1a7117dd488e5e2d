"""What a result says about where its numbers come from."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from planner.catalog.fitted import FITTED, fitted_to
from planner.errors import Notice
from planner.latency.memory import GIB

if TYPE_CHECKING:
    from planner.catalog.profile import Evidence
    from planner.scenario.model import Scenario
    from planner.simulation.system import System


def served_by(scenario: Scenario, system: System | None) -> str:
    """Return one line on what serves the requests."""
    service = scenario.service
    if system is None:
        names = [stage.name for stage in getattr(service, "stages", ())]
        return f"stages: {', '.join(names)}"
    fleet, engine, settings = system.fleet, system.service.engine, system.service.settings
    degrees = [
        f"{short}{degree}"
        for short, degree in (("TP", fleet.tensor_parallel), ("PP", fleet.pipeline_parallel))
        if degree > 1
    ]
    pruning = settings.pruning
    kept = (
        ""
        if pruning.pattern == "none"
        else f", pruned {pruning.pattern} {100 * pruning.rate:.0f} %"
    )
    return (
        f"{_model_name(system)} on {fleet.replicas} x {' '.join([system.device.name, *degrees])}, "
        f"weights {settings.weights}, KV {settings.kv_cache} ({system.pool.tokens:,} tokens a "
        f"replica){kept}; {engine.scheduler.kind}, {fleet.router.kind}"
    )


def _model_name(system: System) -> str:
    """Return the model as the user called it, and the one whose shape stands for it."""
    asked, known = system.service.model, system.shape.name
    if not isinstance(asked, str) or known.lower() in asked.lower():
        return known
    return f"{asked} (shape of {known})"


def pool_line(system: System) -> str:
    """Return one line on the KV cache, in the words of vLLM's own log."""
    pool, devices = system.pool, system.devices_per_replica
    size = f"{pool.breakdown['kv_cache'] / GIB:.2f} GiB" + " a device" * (devices > 1)
    return (
        f"KV cache: {size}, {pool.tokens:,} tokens; maximum concurrency for "
        f"{pool.max_model_len:,} tokens per request: {pool.max_concurrency:.2f}x"
    )


def profile_line(system: System | None, *, advise: bool = False) -> str:
    """Return one line on the profile: its name, age, and whether its numbers are assumed.

    Parameters
    ----------
    system : System or None
        A replica; None for stages, of which there is nothing to say.
    advise : bool
        Whether to name a fitted profile that could stand in place of the assumed one.
    """
    if system is None:
        return ""
    profile = system.profile
    kinds = {each.provenance for each in profile.coefficients.values()}
    assumed = "efficiencies assumed, not measured; no interval includes their error"
    fitted = fitted_profile(system) if advise else ""
    if fitted:
        measured = f"is fitted to measurements of {profile.engine} on this device"
        assumed += f"; service.profile: {fitted} {measured}"
    elif system.service.profile == FITTED:
        like = "with such a model and weights on this device"
        assumed += f"; none is fitted to {profile.engine} {like}"
    kind = assumed if "assumed" in kinds else ", ".join(sorted(kinds))
    if profile.evidence is not None:
        kind = _fitted(profile.evidence)
    days = profile.age(dt.datetime.now(tz=dt.UTC).date()).days
    engine = "" if profile.engine == "any" else f", {profile.engine} {profile.engine_version}"
    return f"profile {profile.name!r} of {profile.created}{engine} ({days} days old): {kind}"


def weight_notices(system: System) -> list[Notice]:
    """Return what there is to say of the weights: stored otherwise, or of a speed not measured."""
    notices = []
    settings, profile = system.service.settings, system.profile
    stored, weights = system.shape.native_dtype or "", settings.weights
    plain = {"bfloat16", "float16", "float32", ""}
    if stored not in plain and stored != weights and weights in {"bf16", "fp16", "fp32"}:
        message = f"the model is stored as {stored}, simulated with {weights} weights; see settings"
        notices.append(Notice(message))
    if profile.weights is not None and settings.precision not in profile.weights:
        notices.append(
            Notice(
                f"profile {profile.name!r} was measured with {', '.join(profile.weights)} weights; "
                f"the speed of {settings.precision} is guessed from the device's peak; see settings"
            )
        )
    return notices


def fitted_profile(system: System) -> str:
    """Return the packaged profile that could stand in place of the assumed one; empty for none.

    See :func:`~planner.catalog.fitted.fitted_to`.
    """
    profile = system.profile
    if profile.device != "any":
        return ""
    weights = system.service.settings.weights
    found = fitted_to(system.device.name, profile.engine, system.shape, weights)
    return found.name if found else ""


def _fitted(evidence: Evidence) -> str:
    """Return how far off a fitted profile is: on what it did not see, if that is known."""
    checked = next(iter(evidence.cross_validated.values()), {})
    shown = "on groups left out" if checked else "on what it was fitted to"
    errors = ", ".join(
        f"{metric} {100 * each.mape:.0f} %"
        for metric, each in (checked or evidence.in_sample).items()
    )
    return f"fitted to measurements; mean error {shown}: {errors}; no interval includes it"


def model_provenance(system: System | None) -> dict[str, Any]:
    """Return every number behind the step time and the memory, with its source."""
    if system is None:
        return {}
    numbers = [*system.step.provenance, *system.pool.provenance]
    if system.price.device is not None:
        numbers.append(system.price.device)
    profile = system.profile
    return {
        "profile": {
            "name": profile.name,
            "device": profile.device,
            "engine": profile.engine,
            "engine_version": profile.engine_version,
            "created": profile.created.isoformat(),
            "fingerprint": profile.fingerprint,
        },
        "kv_pool": {
            "tokens": system.pool.tokens,
            "max_model_len": system.pool.max_model_len,
            "max_concurrency": system.pool.max_concurrency,
            "bytes_per_device": system.pool.breakdown,
        },
        "step": {
            name: float(system.step.coefficients[name][0])
            for name in system.step.coefficients.dtype.names or ()
        },
        "numbers": [each._asdict() for each in numbers],
    }
