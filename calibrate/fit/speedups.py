"""The a's of each setting: what was measured, whatever the step model says.

Two answers to how much faster a setting is. The plain one is the ratio of step times, base over
variant, of the same step; where the two were not measured in the same turns, as when a variant was
added to an earlier run, each counts beside the reference step measured in its own turns, or a
machine that was busier on one day would pass for a speedup. The other is that of the equation: how
much the fitted compute and storage shrink. Both include what follows from fewer FLOPs and bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibrate.fit.step_model import setting_keys, trial_profile
from calibrate.measure.records import StepRecord, VariantRecord
from planner.latency.model_step import step_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibrate.fit.profile import Calibration
    from calibrate.fit.solution import Fit
    from calibrate.measure.journal import Measurements
    from planner.latency.settings import Settings

#: Steps with at least this many tokens count as large: they are bound by compute.
LARGE = 128


@dataclass(frozen=True)
class Speedup:
    """A factor with its standard error.

    Parameters
    ----------
    value : float
        > 1 is faster. [-]
    stderr : float, optional
        Standard error; None where it is not known.
    """

    value: float
    stderr: float | None

    def __str__(self) -> str:
        error = "" if self.stderr is None else f" +/- {self.stderr:.2f}"
        return f"{self.value:.2f}{error}"


@dataclass(frozen=True)
class SettingSpeedups:
    """How much faster a variant is than the base.

    Parameters
    ----------
    variant : str
        Name.
    large, decode : Speedup, optional
        Ratio of the times of prefill steps of :data:`LARGE` tokens or more, and of decode steps.
    compute, storage : Speedup, optional
        By the fit: a_c of the layers' arithmetic, and a_s of all weights that a step reads, the
        output head included, which no setting changes; None for what no scenario can name.
    """

    variant: str
    large: Speedup | None
    decode: Speedup | None
    compute: Speedup | None
    storage: Speedup | None


def speedups(measured: Measurements, calibration: Calibration | None) -> list[SettingSpeedups]:
    """Return the speedups of every variant but the base, in the order of the measurements.

    Parameters
    ----------
    measured : Measurements
        Steps of the base and of variants.
    calibration : Calibration, optional
        What was made of them; without it there are no a_c and a_s by the fit.
    """
    steps: dict[str, dict[str, StepRecord]] = {}
    for each in measured.of(StepRecord):
        steps.setdefault(each.variant, {})[each.point.key] = each
    settings = {each.variant: each.settings for each in measured.of(VariantRecord)}
    plain = steps.pop(measured.header.base, {})
    found = []
    for variant, times in steps.items():
        both = [(plain[key], times[key]) for key in times if key in plain]
        large = [
            _times_faster(a, b)
            for a, b in both
            if a.point.kind == "prefill" and a.point.tokens >= LARGE
        ]
        decode = [_times_faster(a, b) for a, b in both if a.point.kind == "decode"]
        setting = settings.get(variant)
        parts: tuple[Speedup | None, Speedup | None] = (None, None)
        if setting is not None and calibration is not None:
            parts = _by_fit(calibration.fit, setting, calibration.base)
        found.append(SettingSpeedups(variant, _ratio(large), _ratio(decode), *parts))
    return found


def _times_faster(base: StepRecord, variant: StepRecord) -> float:
    """Return how often `variant` goes into `base`, on a machine as fast for one as for the other.

    Their references are equal where they were measured in the same turns.
    """
    ratio = base.seconds / variant.seconds
    if base.reference is None or variant.reference is None:
        return ratio
    return ratio * variant.reference / base.reference


def _ratio(ratios: Sequence[float]) -> Speedup | None:
    """Return the geometric mean of `ratios` with its standard error."""
    if not ratios:
        return None
    logs = np.log(ratios)
    mean = math.exp(float(np.mean(logs)))
    if len(ratios) < 2:
        return Speedup(mean, None)
    return Speedup(mean, mean * float(np.std(logs, ddof=1)) / math.sqrt(len(ratios)))


def _by_fit(fit: Fit, settings: Settings, base: Settings) -> tuple[Speedup, Speedup]:
    """Return a_c and a_s of the layers: time of the base over that of `settings`."""
    profile = trial_profile(fit.values(), fit.device)
    rows = [
        step_time(fit.shape, fit.device, each, profile).coefficients for each in (base, settings)
    ]
    compute, storage = (
        float(rows[0][name][0] / rows[1][name][0])
        for name in ("compute_per_token", "storage_fixed")
    )
    return (
        Speedup(compute, _relative(fit, settings, base, "compute", compute)),
        Speedup(storage, _relative(fit, settings, base, "storage", storage)),
    )


def _relative(
    fit: Fit, settings: Settings, base: Settings, part: str, value: float
) -> float | None:
    """Return the standard error of a speedup, that of the factors fitted for its settings."""
    names = [f"{key}.{part}" for key in setting_keys(settings, base)]
    shares = []
    for name in names:
        each = fit.estimates.get(name)
        if each is None or each.stderr is None:
            return None
        shares.append(each.stderr / each.value)
    return value * math.hypot(*shares) if shares else 0.0
