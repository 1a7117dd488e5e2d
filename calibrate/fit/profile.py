"""From measurements to a profile: the device at its best, the fit, the links, the quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import lsq_linear

from calibrate.fit.least_squares import Fit, fit_steps
from calibrate.fit.step_model import ALONE, Sample
from calibrate.measure.catalogue_names import CATALOGUE_NAMES
from calibrate.measure.hardware_records import BytesRecord, MatmulRecord
from calibrate.measure.records import QualityRecord, StepRecord, VariantRecord
from calibrate.measure.stretches import ServedRecord
from planner.catalog.catalogue import find_device
from planner.catalog.devices import Device, Link
from planner.catalog.profile import (
    COEFFICIENTS,
    SCHEMA_VERSION,
    Coefficient,
    Covariance,
    Profile,
)
from planner.catalog.provenance import Origin
from planner.errors import InputError
from planner.latency.collectives import all_reduce

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from calibrate.measure.header import Fingerprint
    from calibrate.measure.journal import Measurements
    from planner.catalog.devices import PeakDtype
    from planner.latency.settings import Settings


#: What goes between processes.
_LINKS = ("all_reduce", "point_to_point")


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
    turns with it: what else runs on a machine slows both alike.
    """
    steps, served = measured.of(StepRecord), measured.of(ServedRecord)
    references = [each.reference for each in steps if each.reference is not None]
    references += [each.reference for each in served]
    usual = float(np.median(references)) if references else 1.0
    for each in steps:
        setting = settings.get(each.variant)
        if setting is not None:  # its variant was cut off, perhaps, as it was written
            slow = (each.reference or usual) / usual
            yield Sample(each.variant, setting, (each.point,), each.seconds / slow, each.spread)
    for record in served:
        setting = settings.get(record.variant)
        if setting is not None:
            slow = record.reference / usual
            for stretch in record.stretches:
                points = tuple(step.point for step in stretch.steps)
                seconds = stretch.seconds / slow
                yield Sample(
                    record.variant, setting, points, seconds, group=f"{record.clients} clients"
                )


def device_of(measured: Measurements) -> Device:
    """Return the device of `measured`: the catalogue's where it is known, else as measured.

    Raises
    ------
    InputError
        If it is not in the catalogue, and memory bandwidth or matrix products were not measured.
    """
    fingerprint = measured.header.fingerprint
    if fingerprint.device in CATALOGUE_NAMES:
        return find_device(CATALOGUE_NAMES[fingerprint.device])
    peaks: dict[PeakDtype, MatmulRecord] = {}
    for each in measured.of(MatmulRecord):
        if each.dtype not in peaks or each.rate > peaks[each.dtype].rate:
            peaks[each.dtype] = each
    bytes_ = measured.of(BytesRecord)
    memory = [each for each in bytes_ if each.what == "memory"]
    if not memory or not peaks:
        raise InputError(
            "must have the device's memory bandwidth and matrix products, got none; run "
            "`planner calibrate run` again, it goes on where it was"
        )
    sends = [each for each in bytes_ if each.what == "point_to_point"]
    copies = [each for each in bytes_ if each.what == "host_to_device"]
    origins = {
        f"peaks.{dtype}": _measured(f"product of {each.size} x {each.size} matrices", measured)
        for dtype, each in peaks.items()
    }
    origins["bandwidth"] = _measured(f"sum over {memory[0].size:,} bytes", measured)
    content: dict[str, object] = {}
    if sends:
        best = max(sends, key=lambda each: each.rate)
        content["link"] = Link(name=best.backend, bandwidth=best.rate, devices=_processes(measured))
        origins["link.bandwidth"] = _measured(f"{best.size:,} bytes sent to a process", measured)
    if copies and fingerprint.kind == "gpu":
        content["host_bandwidth"] = max(each.rate for each in copies)
        origins["host_bandwidth"] = _measured("pinned memory", measured)
    return Device.model_validate(
        {
            "name": device_name(fingerprint),
            "kind": fingerprint.kind,
            "memory": fingerprint.memory,
            "bandwidth": max(each.rate for each in memory),
            "peaks": {dtype: each.rate for dtype, each in peaks.items()},
            "origins": origins,
            **content,
        }
    )


def device_name(fingerprint: Fingerprint) -> str:
    """Return what a profile calls the device: the catalogue's name, or its own and its threads."""
    if fingerprint.device in CATALOGUE_NAMES:
        return CATALOGUE_NAMES[fingerprint.device]
    threads = f", {fingerprint.threads} threads" if fingerprint.kind == "cpu" else ""
    return f"{fingerprint.device}{threads}"


def _processes(measured: Measurements) -> int:
    """Return the most processes that something went between."""
    return max(e.processes for e in measured.of(BytesRecord) if e.what in _LINKS)


def _measured(what: str, measured: Measurements) -> Origin:
    created = measured.header.date
    return Origin(provenance="measured", source=f"planner calibrate, {created}: {what}")


def _profile(measured: Measurements, fit: Fit, name: str) -> Profile:
    header = measured.header
    source = (
        f"planner calibrate, {header.date}: {len(fit.samples)} steps of "
        f"{header.shape.name} on {fit.device.name}"
    )
    coefficients: dict[str, Coefficient] = {}
    settings: dict[str, dict[str, dict[str, object]]] = {}
    for key, each in fit.estimates.items():
        if key == ALONE:
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
    coefficients |= _link_coefficients(measured, fit.device)
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


def _link_coefficients(measured: Measurements, device: Device) -> dict[str, Coefficient]:
    """Return latency and efficiency of the link, by least squares of relative errors.

    An all-reduce takes ``hops latency + bytes / (efficiency bandwidth)``, see
    :func:`planner.latency.collectives.all_reduce`.
    """
    found = [each for each in measured.of(BytesRecord) if each.what == "all_reduce"]
    if len(found) < 3 or device.link is None:
        return {}
    rows = np.array(
        [
            [
                all_reduce(each.processes, each.size, device.link.bandwidth, 1.0).fixed,
                all_reduce(each.processes, each.size, device.link.bandwidth, 0.0).per_token,
            ]
            for each in found
        ]
    )
    seconds = np.array([each.seconds for each in found])
    design = rows / seconds[:, None]
    solution = lsq_linear(design, np.ones(len(found)), bounds=(0, np.inf))
    latency, inverse = map(float, solution.x)
    residual = design @ solution.x - 1
    variance = float(residual @ residual) / (len(found) - 2)
    errors = np.sqrt(np.diag(variance * np.linalg.pinv(design.T @ design)))
    source = f"planner calibrate, {measured.header.date}: {len(found)} all-reduces"
    origin = {"provenance": "fitted", "source": source}
    coefficients = {
        "link_latency": Coefficient.model_validate(
            {"value": latency, "stderr": float(errors[0]), **origin}
        )
    }
    if inverse > 0:
        efficiency = 1 / inverse
        coefficients["link_efficiency"] = Coefficient.model_validate(
            {"value": efficiency, "stderr": float(errors[1]) * efficiency**2, **origin}
        )
    return coefficients
