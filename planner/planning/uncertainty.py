"""What the coefficients of a profile may be: draws from their standard errors and covariance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from planner.catalog.coefficients import COEFFICIENTS
from planner.streams import stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.catalog.devices import Device
    from planner.catalog.profile import Profile

#: Draws of the coefficients: their average has a tenth of the error of one.
DRAWS = 32
#: Efficiencies are shares: a draw is no more than this, unless the value itself is.
MOST_DRAWN = 1.0


def changed_profile(profile: Profile, factors: Mapping[str, float]) -> Profile:
    """Return `profile` with coefficients and speedups multiplied, each kept possible.

    Parameters
    ----------
    profile : Profile
        As measured or assumed.
    factors : mapping of str to float
        By name: of a coefficient, on all devices, or of a speedup as ``weights.int8.compute``.
    """
    if not factors:
        return profile
    update: dict[str, object] = {
        "coefficients": {
            name: each.model_copy(update={"value": _possible(name, each.value, factors)})
            for name, each in profile.coefficients.items()
        },
        "devices": {
            device: {
                name: each.model_copy(update={"value": _possible(name, each.value, factors)})
                for name, each in own.items()
            }
            for device, own in profile.devices.items()
        },
        "settings": {
            key: {
                part: each.model_copy(
                    update={"value": each.value * factors.get(f"{key}.{part}", 1.0)}
                )
                for part, each in parts.items()
            }
            for key, parts in profile.settings.items()
        },
    }
    return profile.model_copy(update=update)


def _possible(name: str, value: float, factors: Mapping[str, float]) -> float:
    """Return the coefficient times its factor, within what it can be."""
    if name not in factors:
        return value
    least = COEFFICIENTS[name][2]
    most = max(MOST_DRAWN, value) if name.endswith("_efficiency") else math.inf
    return min(most, max(least, value * factors[name]))


def errors(profile: Profile, device: Device) -> dict[str, tuple[float, float]]:
    """Return value and standard error of every number of the profile that has an error.

    By name, those of `device` in place of the general ones; speedups as
    ``weights.int8.compute``. A number without an error is taken as it is: nobody said how far
    off it may be.
    """
    own = profile.devices.get(device.name, {})
    numbers = {**profile.coefficients, **own}
    found = {
        name: (each.value, each.stderr)
        for name, each in numbers.items()
        if each.stderr and each.value
    }
    for key, parts in profile.settings.items():
        for part, each in parts.items():
            if each.stderr:
                found[f"{key}.{part}"] = (each.value, each.stderr)
    return found


def draws(
    profile: Profile, device: Device, seed: int, count: int = DRAWS
) -> list[tuple[tuple[str, float], ...]]:
    """Return `count` draws of the factors by which coefficients may be off; none if none may.

    Normal with the profile's covariance where it has one, else independent with the standard
    errors. Each draw comes with its mirror image, so that the average of the draws is exact for
    whatever is linear in them [1]_.

    References
    ----------
    .. [1] J. M. Hammersley and K. W. Morton, "A new Monte Carlo technique: antithetic variates,"
       Math. Proc. Camb. Phil. Soc. 52(3), 1956. doi:10.1017/S0305004100031455
    """
    known = errors(profile, device)
    if not known:
        return []
    names = list(known)
    value = np.array([known[name][0] for name in names])
    spread = np.array([known[name][1] for name in names])
    covariance = np.diag(spread**2)
    if profile.covariance is not None:
        given = profile.covariance
        at = {name: k for k, name in enumerate(given.names)}
        for i, one in enumerate(names):
            for k, other in enumerate(names):
                if one in at and other in at:
                    covariance[i, k] = given.matrix[at[one]][at[other]]
    half = stream(seed, 0, "coefficients").multivariate_normal(
        np.zeros(len(names)), covariance, size=count // 2, method="eigh"
    )
    factors = 1 + np.concatenate([half, -half]) / value
    return [
        tuple((name, max(1e-3, float(row[k]))) for k, name in enumerate(names)) for row in factors
    ]
