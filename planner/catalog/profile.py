"""Profiles: the coefficients of the step time, each with standard error and provenance."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from planner.catalog.coefficients import (
    COEFFICIENTS,
    FALLBACK,
    MOST_EFFICIENCY,
    OPTIONAL,
    Coefficient,
    Covariance,
)
from planner.catalog.devices import Device
from planner.catalog.files import packaged, packaged_names, problems_of, read_json
from planner.catalog.formats import Part, Speedup
from planner.catalog.provenance import SourcedNumber
from planner.errors import InputError, Problem, did_you_mean
from planner.spec import Spec

#: Version of the profile files that this program reads.
SCHEMA_VERSION = 1
#: Profiles that come with the program: the assumed one, and those fitted to measurements.
PACKAGED = ("assumed", *sorted(packaged_names("profiles") - {"assumed"}))


class Errors(Spec):
    """How far a fit's predictions were off.

    Parameters
    ----------
    n : int
        Predictions.
    mape, median_ape, bias : float
        Mean and median absolute, and mean relative error. [-]
    """

    n: int
    mape: float
    median_ape: float
    bias: float


class Evidence(Spec):
    """What a profile was fitted to, and how well it does.

    Parameters
    ----------
    rows : str
        Which measurements, and what was left out.
    datasets : tuple of str
        Names of their sources.
    kernels : tuple of {"dense", "moe", "mla"}
        Kinds of models among them: latent attention, experts, neither. They run other kernels.
    models : tuple of str
        Catalogue names of the models among them.
    formats : tuple of str
        Formats of their weights.
    in_sample : dict of str to Errors
        By metric, of the measurements it was fitted to.
    cross_validated : dict of str to dict
        By kind of group and metric: each group predicted by a fit without it.
    """

    rows: str
    datasets: tuple[str, ...]
    kernels: tuple[Literal["dense", "moe", "mla"], ...]
    models: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    in_sample: dict[str, Errors]
    cross_validated: dict[str, dict[str, Errors]] = Field(default_factory=dict)


class Profile(Spec):
    """How fast an engine runs on a device.

    Parameters
    ----------
    schema_version : int
        :data:`SCHEMA_VERSION`.
    name : str
        What it is called.
    device : str
        Catalogue name of the device it was measured on, or ``any``.
    engine, engine_version : str
        Serving engine; ``any`` where it does not matter.
    created : date
        When.
    hardware : Device, optional
        The device that the coefficients are relative to, where it was measured too; its name is
        `device`. A scenario takes it with ``fleet: {device: from_profile}``.
    fingerprint : str, optional
        Identifies machine and software of the measurement.
    about : tuple of str
        Remarks.
    coefficients : dict of str to Coefficient
        By name, see :data:`COEFFICIENTS`.
    devices : dict of str to dict
        Coefficients that differ on a device; only where `device` is ``any``.
    covariance : Covariance, optional
        Of fitted coefficients.
    settings : dict of str to dict
        Measured speedups by setting and part: ``{"weights.int4": {"storage": {...}}}``; one of
        ``weights.int8-bf16`` holds for that data type of activations only, one of
        ``pruning.structured:0.5`` for that rate only.
    quality : dict of str to dict
        Measured quality by variant and metric.
    weights : tuple of str, optional
        Weights that were measured, see :attr:`~planner.latency.settings.Settings.precision`; None
        where the coefficients are not of one machine's measurement.
    evidence : Evidence, optional
        Of coefficients fitted to measurements of an engine.
    """

    schema_version: Literal[1]
    name: Annotated[str, Field(min_length=1)]
    device: Annotated[str, Field(min_length=1)]
    engine: str
    engine_version: str
    created: dt.date
    hardware: Device | None = None
    fingerprint: str | None = None
    about: tuple[str, ...] = ()
    coefficients: dict[str, Coefficient]
    devices: dict[str, dict[str, Coefficient]] = Field(default_factory=dict)
    covariance: Covariance | None = None
    settings: dict[str, dict[Part, Speedup]] = Field(default_factory=dict)
    quality: dict[str, dict[str, Coefficient]] = Field(default_factory=dict)
    weights: tuple[str, ...] | None = None
    evidence: Evidence | None = None

    @model_validator(mode="after")
    def _coefficients_are_known_and_possible(self) -> Self:
        if self.devices and self.device != "any":
            raise ValueError("must have no 'devices' where 'device' is not 'any'")
        if self.hardware is not None and self.hardware.name != self.device:
            raise ValueError(f"must have hardware of the name {self.device!r}")
        for coefficients in (self.coefficients, *self.devices.values()):
            for name, coefficient in coefficients.items():
                if name not in COEFFICIENTS:
                    near = did_you_mean(name, COEFFICIENTS)
                    raise ValueError(f"must have known coefficients, got {name!r}{near}")
                least = COEFFICIENTS[name][2]
                if coefficient.value < least:
                    raise ValueError(f"must have {name} >= {least:g}, got {coefficient.value:g}")
                if name.endswith("_efficiency") and coefficient.value > MOST_EFFICIENCY:
                    rule = f"{name}, a share, <= {MOST_EFFICIENCY:g}"
                    raise ValueError(f"must have {rule}, got {coefficient.value:g}")
        for name in self.covariance.names if self.covariance else ():
            if name not in COEFFICIENTS:
                near = did_you_mean(name, COEFFICIENTS)
                raise ValueError(f"must have the covariance of coefficients, got {name!r}{near}")
        return self

    def coefficient(self, name: str, device: Device) -> SourcedNumber:
        """Return the coefficient `name` on `device`.

        Raises
        ------
        InputError
            If the profile lacks it: a number is never invented.
        """
        found = self.devices.get(device.name, {}).get(name) or self.coefficients.get(name)
        meaning, unit, _ = COEFFICIENTS[name]
        if found is None and name in FALLBACK:
            return self.coefficient(FALLBACK[name], device)
        if found is None and name in OPTIONAL:
            return SourcedNumber(name, OPTIONAL[name], unit, "computed", "the profile does without")
        if found is None:
            raise InputError(
                f"profile {self.name!r} must have {name} ({meaning}), got none; measure it with "
                "`planner calibrate` or add it to the file"
            )
        return SourcedNumber(name, found.value, unit, found.provenance, found.source)

    def check(self, device: Device) -> None:
        """Do nothing if the profile speaks of `device`.

        Raises
        ------
        InputError
            If it was measured on another.
        """
        if self.device not in {"any", device.name}:
            raise InputError(
                f"profile {self.name!r} must be one of device {device.name!r}, got one of "
                f"{self.device!r}; measure one with `planner calibrate`, or use 'assumed'"
            )

    def measured_device(self) -> Device:
        """Return the device that the profile was measured on.

        Raises
        ------
        InputError
            If the profile does not describe it.
        """
        if self.hardware is None:
            raise InputError(
                f"must be the name of a device, got 'from_profile' and profile {self.name!r}, "
                "which describes no device; measure one with `planner calibrate`"
            )
        return self.hardware

    def age(self, today: dt.date) -> dt.timedelta:
        """Return the time since it was created."""
        return today - self.created


@functools.cache
def _packaged(name: str) -> Profile:
    return Profile.model_validate(packaged(f"profiles/{name}.json"))


def load_profile(name: str | Path) -> Profile:
    """Return the profile called `name`, of those in :data:`PACKAGED`, or in the file `name`.

    Raises
    ------
    InputError
        If there is no such profile or file, or it is of another schema version or not valid.
    """
    if name in PACKAGED:
        return _packaged(str(name))
    path = Path(name)
    try:
        there = path.exists()
    except OSError:  # a name that no file can have
        there = False
    if not there:
        near = did_you_mean(str(name), PACKAGED)
        known = ", ".join(PACKAGED)
        raise InputError(
            f"must be a profile of the catalogue ({known}) or a file, got {str(name)!r}{near}"
        )
    content = read_json(path, "a profile")
    version = content.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        message = f"must be {SCHEMA_VERSION}, got {version!r:.60}; make the profile anew"
        raise InputError(Problem(message, "schema_version", str(name)))
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise InputError(problems_of(error, str(name))) from None
