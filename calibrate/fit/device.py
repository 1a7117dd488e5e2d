"""The device as measured: its peaks, memory and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import lsq_linear

from calibrate.measure.catalogue_names import CATALOGUE_NAMES
from calibrate.measure.hardware_records import BytesRecord, MatmulRecord
from planner.catalog.catalogue import find_device
from planner.catalog.coefficients import Coefficient
from planner.catalog.devices import Device, Link
from planner.catalog.provenance import Origin
from planner.errors import InputError
from planner.latency.collectives import all_reduce

if TYPE_CHECKING:
    from calibrate.measure.header import Fingerprint
    from calibrate.measure.journal import Measurements
    from planner.catalog.devices import PeakDtype

#: What goes between processes.
_LINKS = ("all_reduce", "point_to_point")


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


def link_coefficients(measured: Measurements, device: Device) -> dict[str, Coefficient]:
    """Return latency and efficiency of the link, by least squares of relative errors.

    An all-reduce takes ``hops latency + bytes / (efficiency bandwidth)``, see
    :func:`planner.latency.collectives.all_reduce`.

    Parameters
    ----------
    measured : Measurements
        With all-reduces; of fewer than three nothing is said.
    device : Device
        With the link.
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
