"""The step model as a function of the coefficients that are fitted, and its derivatives."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from planner.catalog.coefficients import COEFFICIENTS, Coefficient
from planner.catalog.formats import Speedup
from planner.catalog.profile import Profile
from planner.latency.model_step import step_time
from planner.latency.step import STEP_FIELDS, step_parts
from planner.latency.step_time import step_batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from calibrate.measure.points import StepPoint
    from planner.catalog.devices import Device
    from planner.catalog.models import ModelShape
    from planner.latency.settings import Settings

    Floats = npt.NDArray[np.float64]

#: Duration of a step that is run alone, again and again, as a share of that in serving. It is
#: fitted where both were measured, and is no coefficient of a profile: profiles are for serving.
ALONE = "alone"
#: Share of a pulse's delay that a step has, alone as in serving, see :mod:`calibrate.pulse`. It is
#: no coefficient of a profile either: profiles are for a device that nobody else slows.
SLOWING = "slowing"
#: What is fitted and says nothing about the device.
OF_THE_MEASUREMENT = (ALONE, SLOWING)
#: Error of a measurement beside its own spread: no model is better than that. [-]
MODEL_ERROR = 0.02


@dataclass(frozen=True)
class Sample:
    """One measured step, or a stretch of consecutive ones.

    Parameters
    ----------
    variant : str
        Name of the setting.
    settings : Settings
        The setting.
    points : tuple of StepPoint
        What was in the step; of a stretch of steps, what was in each.
    seconds : float
        How long it took, all steps together. [s]
    spread : float
        Standard error of that, relative. [-]
    misfit : float
        How far off the model is for steps of this variant, relative. [-]
    group : str
        Samples that are left out together; by default those of the same steps.
    slowness : float
        By what share pulses took longer meanwhile than undisturbed ones. [-]
    """

    variant: str
    settings: Settings
    points: tuple[StepPoint, ...]
    seconds: float
    spread: float = 0.0
    misfit: float = 0.0
    group: str = ""
    slowness: float = 0.0

    @property
    def kind(self) -> str:
        """What the step holds; ``served`` for a stretch of steps."""
        return self.points[0].kind if len(self.points) == 1 else "served"

    @property
    def key(self) -> str:
        """What samples that are left out together have in common."""
        return self.group or "; ".join(each.key for each in self.points)

    @property
    def tokens(self) -> float:
        """Tokens processed, of a stretch in the mean step."""
        return sum(each.tokens for each in self.points) / len(self.points)

    @property
    def sequences(self) -> float:
        """Sequences, of a stretch in the mean step."""
        return sum(each.sequences for each in self.points) / len(self.points)

    @property
    def context(self) -> float:
        """Tokens of all sequences after the step, of a stretch in the mean step."""
        return sum(each.context for each in self.points) / len(self.points)


@dataclass(frozen=True)
class Parameter:
    """A coefficient as it is fitted.

    Parameters
    ----------
    name : str
        Coefficient of a profile, or ``<setting>.<part>`` of a speedup.
    initial, lower, upper : float
        Start and bounds, in the coefficient's own unit.
    scale : {"log", "inverse", "plain"}
        What is fitted: logarithm, ``1/value``, or the value.
    start : float, optional
        Result of an earlier fit to begin with instead of `initial`.
    """

    name: str
    initial: float
    lower: float
    upper: float
    scale: Literal["log", "inverse", "plain"]
    start: float | None = None

    @property
    def first(self) -> float:
        """Value that a fit begins with."""
        return self.initial if self.start is None else self.start

    def inside(self, value: float) -> float:
        """Return the number that is fitted."""
        if self.scale == "log":
            return math.log(value)
        return 1 / value if self.scale == "inverse" else value

    def outside(self, number: float) -> float:
        """Return the coefficient."""
        if self.scale == "log":
            return math.exp(number)
        return 1 / number if self.scale == "inverse" else number

    def slope(self, value: float) -> float:
        """Return d coefficient / d number at `value`."""
        if self.scale == "log":
            return value
        return -(value**2) if self.scale == "inverse" else 1.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the number that is fitted, in order."""
        low, high = sorted((self.inside(self.lower), self.inside(self.upper)))
        return low, high


def setting_keys(settings: Settings, base: Settings) -> list[str]:
    """Return the keys of a profile's ``settings`` that tell `settings` from `base`."""
    keys = []
    computes = settings.compute_dtype
    if (settings.weights, computes) != (base.weights, base.compute_dtype):
        keys.append(f"weights.{settings.weights}-{computes}")
    if settings.pruning != base.pruning:
        keys.append(f"pruning.{settings.pruning.pattern}:{settings.pruning.rate:g}")
    if settings.launch != base.launch:
        keys.append(f"launch.{settings.launch}")
    return keys


class StepModel:
    """Predictions for samples as a function of the coefficients, and their derivatives.

    Parameters
    ----------
    samples : sequence of Sample
        Measured steps.
    shape : ModelShape
        The uncompressed model.
    device : Device
        That efficiencies are relative to.
    parameters : sequence of Parameter
        What is fitted.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        shape: ModelShape,
        device: Device,
        parameters: Sequence[Parameter],
    ) -> None:
        self._shape, self._device, self._parameters = shape, device, parameters
        window = float(shape.sliding_window) if shape.n_windowed_layers else 0.0
        batches = [
            [step_batch(point.prefill, point.decode, window) for point in each.points]
            for each in samples
        ]
        self._groups: dict[Settings, list[int]] = {}
        for i, each in enumerate(samples):
            self._groups.setdefault(each.settings, []).append(i)
        self._batches = batches
        self._alone = np.array([each.kind != "served" for each in samples])
        self._slowness = np.array([each.slowness for each in samples])
        self._log = np.log([each.seconds for each in samples])
        errors = [math.hypot(MODEL_ERROR, each.spread, each.misfit) for each in samples]
        self.weights: Floats = MODEL_ERROR / np.array(errors)

    def seconds(self, values: Sequence[float], only: str = "") -> Floats:
        """Return the prediction for each sample [s]; NaN for those that `only` does not concern."""
        named = dict(zip((p.name for p in self._parameters), values, strict=True))
        alone, slowing = named.get(ALONE, 1.0), named.get(SLOWING, 1.0)
        profile = trial_profile(named, self._device)
        found = np.full(len(self._batches), np.nan)
        for settings, where in self._groups.items():
            if only and not _concerns(only, settings):
                continue
            row = step_time(self._shape, self._device, settings, profile).coefficients[0]
            c = _Row(row)
            found[where] = [
                math.fsum(sum(step_parts(c, *batch)) for batch in self._batches[i]) for i in where
            ]
        found *= 1 + slowing * self._slowness
        return np.where(self._alone, alone * found, found)

    def residuals(self, numbers: Floats) -> Floats:
        """Return the weighted residuals of the logarithm."""
        values = [p.outside(x) for p, x in zip(self._parameters, numbers, strict=True)]
        return self.weights * (np.log(self.seconds(values)) - self._log)

    def jacobian(self, numbers: Floats) -> Floats:
        """Return the derivatives of :meth:`residuals`, by differences."""
        values = [p.outside(x) for p, x in zip(self._parameters, numbers, strict=True)]
        here = np.log(self.seconds(values))
        found = np.zeros((len(here), len(values)))
        for i, parameter in enumerate(self._parameters):
            low, high = parameter.bounds
            step = 1e-6 * (high - low) if parameter.scale == "plain" else 1e-6
            step = -step if numbers[i] + step > high else step
            moved = [*values]
            moved[i] = parameter.outside(numbers[i] + step)
            there = np.log(self.seconds(moved, parameter.name))
            found[:, i] = np.nan_to_num(there - here) / step
        return self.weights[:, None] * found


class _Row:
    """Coefficients of a step as plain numbers, which are quicker to read than a record array."""

    def __init__(self, row: np.record) -> None:
        for name in STEP_FIELDS:
            setattr(self, name, float(row[name]))


def _concerns(parameter: str, settings: Settings) -> bool:
    """Return whether steps with `settings` depend on `parameter`."""
    if parameter in COEFFICIENTS or parameter in OF_THE_MEASUREMENT:
        return True
    kind, _, rest = parameter.rpartition(".")[0].partition(".")
    if kind == "launch":
        return rest == settings.launch
    if kind == "weights":
        return rest == f"{settings.weights}-{settings.compute_dtype}"
    return rest == f"{settings.pruning.pattern}:{settings.pruning.rate:g}"


def trial_profile(values: Mapping[str, float], device: Device) -> Profile:
    """Return a profile of fitted `values`, by names as in :class:`Parameter`.

    Parameters
    ----------
    values : mapping of str to float
        Coefficients, and speedups as ``<setting>.<part>``; :data:`OF_THE_MEASUREMENT`
        are left out.
    device : Device
        That they hold for.
    """
    settings: dict[str, dict[str, Speedup]] = {}
    coefficients = {}
    for name, value in values.items():
        if name in OF_THE_MEASUREMENT:
            continue
        if name in COEFFICIENTS:
            coefficients[name] = Coefficient(value=value, provenance="fitted", source="a fit")
        else:
            key, _, part = name.rpartition(".")
            speedup = Speedup(value=value, provenance="fitted", source="a fit")
            settings.setdefault(key, {})[part] = speedup
    return Profile.model_validate(
        {
            "schema_version": 1,
            "name": "a fit under way",
            "device": device.name,
            "engine": "calibrate",
            "engine_version": "any",
            "created": dt.date(2026, 1, 1),
            "coefficients": coefficients,
            "settings": settings,
        }
    )
