"""From measurements to a profile: the device, the fit, the quality."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibrate.fit.device import device_of, link_coefficients
from calibrate.fit.least_squares import fit_steps
from calibrate.fit.step_model import OF_THE_MEASUREMENT, Sample
from calibrate.measure.hardware_records import BytesRecord
from calibrate.measure.records import QualityRecord, StepRecord, VariantRecord
from calibrate.measure.stretches import ServedRecord, pulses_of
from calibrate.pulse import slowness, undisturbed
from planner.catalog.coefficients import COEFFICIENTS, Coefficient, Covariance
from planner.catalog.profile import SCHEMA_VERSION, Profile
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from calibrate.fit.solution import Fit
    from calibrate.measure.journal import Measurements
    from planner.latency.settings import Settings

#: Relative error of a time per slowness that it had: how much it was delayed is not quite known.
UNSURE = 0.2


@dataclass(frozen=True)
class Calibration:
    """What measurements amount to.

    Parameters
    ----------
    fit : Fit
        Of the step model.
    base : Settings
        That speedups are relative to.
    profile : Profile
        For simulations.
    """

    fit: Fit
    base: Settings
    profile: Profile


def calibration_of(measured: Measurements, name: str) -> Calibration:
    """Return fit and profile of `measured`.

    Parameters
    ----------
    measured : Measurements
        With enough steps of the base.
    name : str
        What the profile is called.

    Raises
    ------
    InputError
        If something that is needed was not measured.
    """
    settings = {each.variant: each.settings for each in measured.of(VariantRecord)}
    base = settings.get(measured.header.base)
    if base is None:
        raise InputError(
            f"must have measurements of the base {measured.header.base!r}, got none; run "
            "`planner calibrate run` to its end"
        )
    device = device_of(measured)
    try:
        fit = fit_steps(list(_samples(measured, settings)), measured.header.shape, device, base)
    except InputError as error:
        raise InputError(f"{error}{_why_so_few(measured)}") from error
    return Calibration(fit, base, _profile(measured, fit, name))


def _why_so_few(measured: Measurements) -> str:
    """Return what to add to an error of too few steps: the first that was left out, and why."""
    left_out = measured.left_out()
    if not left_out:
        return ""
    first = left_out[0]
    return f" ({len(left_out)} were left out, the first, {first.what}, for: {first.reason})"


def _samples(measured: Measurements, settings: Mapping[str, Settings]) -> Iterator[Sample]:
    """Yield the steps, as long as they would have been at the machine's usual speed.

    A step is divided by how much longer than usual the reference step took that was timed in
    turns with it: what else runs on a machine slows both alike. Those with pulses know how slow the
    machine was just then, and what slowed it is a part of the fit. Where some have pulses and some
    have none, as after an earlier version, the usual speed is that of an undisturbed core.
    """
    steps, served = measured.of(StepRecord), measured.of(ServedRecord)
    references = [each.reference for each in steps if each.reference is not None]
    references += [each.reference for each in served]
    pulses = [each.pulse for each in steps if each.pulse is not None] + pulses_of(served)
    quiet, usual = undisturbed(pulses), float(np.median(references)) if references else 1.0
    if pulses and references:  # all at one speed, that of a core that nothing slows
        usual = undisturbed(references)
    for each in steps:
        setting = settings.get(each.variant)
        if setting is not None:  # its variant was cut off, perhaps, as it was written
            slow = (each.reference or usual) / usual if each.pulse is None else 1.0
            delayed = slowness(each.pulse or math.nan, quiet)
            yield Sample(
                each.variant,
                setting,
                (each.point,),
                each.seconds / slow,
                _spread(each.spread, delayed),
                slowness=delayed,
            )
    for record in served:
        setting = settings.get(record.variant)
        if setting is not None:
            slow = record.reference / usual
            for stretch in record.stretches:
                delayed = slowness(stretch.pulse or math.nan, quiet)
                yield Sample(
                    record.variant,
                    setting,
                    tuple(step.point for step in stretch.steps),
                    stretch.seconds / (slow if stretch.pulse is None else 1.0),
                    _spread(0.0, delayed),
                    group=f"{record.clients} clients",
                    slowness=delayed,
                )


def _spread(spread: float, delayed: float) -> float:
    """Return the relative error of a time, given its own and the slowness that it had [-]."""
    return math.hypot(spread, UNSURE * max(0.0, delayed))


def _profile(measured: Measurements, fit: Fit, name: str) -> Profile:
    header = measured.header
    source = (
        f"planner calibrate, {header.date}: {len(fit.samples)} steps of "
        f"{header.shape.name} on {fit.device.name}"
    )
    coefficients: dict[str, Coefficient] = {}
    settings: dict[str, dict[str, dict[str, object]]] = {}
    for key, each in fit.estimates.items():
        if key in OF_THE_MEASUREMENT:
            continue
        bound = f"; {each.open}" if each.open else ""
        number: dict[str, object] = {
            "value": each.value,
            "stderr": each.stderr,
            "provenance": "fitted",
            "source": source + bound,
        }
        if key in COEFFICIENTS:
            coefficients[key] = Coefficient.model_validate(number)
        else:
            setting, _, part = key.rpartition(".")
            settings.setdefault(setting, {})[part] = number
    coefficients |= link_coefficients(measured, fit.device)
    return Profile.model_validate(
        {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "device": fit.device.name,
            "engine": "calibrate",
            "engine_version": header.fingerprint.planner,
            "created": header.date,
            "hardware": fit.device,
            "fingerprint": header.fingerprint.text,
            "about": _about(measured, fit),
            "coefficients": coefficients,
            "covariance": _covariance(fit),
            "weights": tuple(dict.fromkeys(each.settings.precision for each in fit.samples)),
            "settings": settings,
            "quality": {
                each.variant: each.metrics for each in measured.of(QualityRecord) if each.metrics
            },
        }
    )


def _about(measured: Measurements, fit: Fit) -> tuple[str, ...]:
    header = measured.header
    lines = [
        f"Measured on {header.about}; speedups are relative to {header.base}.",
        f"Median absolute error of the fit: {np.median(np.abs(fit.errors)):.1%}.",
    ]
    lines += [
        f"{each.what} was left out: {each.reason}"
        for each in measured.left_out()
        if each.what.startswith(("variant", "step"))
    ]
    lines += [
        f"{each.variant} was not measured: {each.unsupported}"
        for each in measured.of(VariantRecord)
        if each.unsupported
    ]
    disk = [each for each in measured.of(BytesRecord) if each.what == "disk"]
    lines += [f"The disk reads {each.rate / 1e9:.2f} GB/s." for each in disk]
    return tuple(lines)


def _covariance(fit: Fit) -> Covariance | None:
    where = [i for i, name in enumerate(fit.names) if name in COEFFICIENTS]
    if not where or not np.all(np.isfinite(fit.covariance)):
        return None
    matrix = fit.covariance[np.ix_(where, where)]
    return Covariance(
        names=tuple(fit.names[i] for i in where),
        matrix=tuple(tuple(map(float, row)) for row in matrix),
    )
