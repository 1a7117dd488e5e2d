"""Which of the step model's coefficients are fitted, and to which steps.

The base's steps alone say what is fitted: several starts, and the coefficients of kernels that read
weights again only where they earn their place. Then the speedups of all settings join in.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from calibrate.fit.solution import Fit, solve
from calibrate.fit.start import reread_parameters, shared_parameters
from calibrate.fit.step_model import Parameter, Sample, setting_keys
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.catalog.devices import Device
    from planner.catalog.models import ModelShape
    from planner.latency.settings import Settings

#: Evidence that the coefficients of kernels that read weights again must bring, in AICc.
EVIDENCE = 10.0
#: Rounds of weighting variants by how well the model fits them.
REWEIGHTINGS = 3


def fit_steps(samples: Sequence[Sample], shape: ModelShape, device: Device, base: Settings) -> Fit:
    """Fit the step model's coefficients, and the speedups of each setting, to `samples`.

    The two coefficients of kernels that read the weights again are fitted only where the
    measurements ask for them, by Akaike's criterion.

    Parameters
    ----------
    samples : sequence of Sample
        More than there are coefficients.
    shape : ModelShape
        The uncompressed model.
    device : Device
        That efficiencies are relative to.
    base : Settings
        That speedups are relative to.

    Raises
    ------
    InputError
        If there are too few samples, or none of the base.
    """
    plain = tuple(each for each in samples if each.settings == base)
    if not samples:
        raise InputError("must have measured steps, got none; measure with more time")
    shared = shared_parameters(samples)
    if len(plain) <= len(shared) + 1:
        raise InputError(
            f"must have more than {len(shared) + 1} measured steps of the base, got {len(plain)}; "
            "measure with more time, or more points"
        )
    fits = [_best_start(plain, shape, device, shared)]
    if not shape.n_experts:
        fits.append(_best_start(plain, shape, device, [*shared, *reread_parameters()]))
    plainer, fuller = fits[0], fits[-1]
    chosen = fuller if fuller.aicc < plainer.aicc - EVIDENCE else plainer
    start = chosen.here()
    keys = sorted({key for each in samples for key in setting_keys(each.settings, base)})
    start += [
        Parameter(f"{key}.{part}", 1.0, 0.05, 20.0, "log") for key in keys for part in _parts(key)
    ]
    if len(samples) <= len(start) + 1:
        raise InputError(
            f"must have more than {len(start) + 1} measured steps, got {len(samples)}; measure "
            "with more time, or fewer variants"
        )
    if not keys:
        return chosen
    fit = solve(tuple(samples), shape, device, start)
    for _ in range(REWEIGHTINGS):
        fit = solve(_reweighted(fit, plain[0].variant), shape, device, fit.here())
    return fit


def _parts(key: str) -> tuple[str, str]:
    """Return the parts of a step that a setting is fitted a speedup of.

    How kernels are launched leaves the bytes alone; it is the time between kernels that it is for.
    """
    return ("compute", "overhead") if key.startswith("launch.") else ("compute", "storage")


def _reweighted(fit: Fit, base: str) -> tuple[Sample, ...]:
    """Return the samples, each with the root mean square error of its variant.

    A variant whose kernels do not follow the model then counts less, and does not pull the
    coefficients that all share.
    """
    squares: dict[str, list[float]] = {}
    for error, each in zip(np.log1p(fit.errors), fit.samples, strict=True):
        squares.setdefault(each.variant, []).append(error**2)
    misfits = {variant: math.sqrt(np.mean(some)) for variant, some in squares.items()}
    least = misfits[base]  # no variant counts more than the base
    return tuple(replace(each, misfit=max(misfits[each.variant], least)) for each in fit.samples)


def _best_start(
    samples: tuple[Sample, ...], shape: ModelShape, device: Device, parameters: list[Parameter]
) -> Fit:
    """Return the best of the fits from several overlaps, since there may be several optima."""
    fits = [
        solve(
            samples,
            shape,
            device,
            [replace(p, initial=q) if p.name == "overlap" else p for p in parameters],
        )
        for q in (1.2, 2.0, 8.0)
    ]
    return min(fits, key=lambda fit: fit.squares)
