"""A profile of measured requests: which coefficients, where the search begins, the report.

The engine's own log of its steps is not enough: what lies between steps (scheduling, detokenising,
HTTP) is in no step, and predictions made from it are too low, the more so the higher the load. So
the coefficients are those for which the replayed requests come out as they were measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from calibrate.serving.fit import PHYSICAL, ServingFit, fit, with_coefficients, with_values
from calibrate.serving.resample import covariance_of
from planner.catalog.coefficients import Coefficient
from planner.errors import InputError
from planner.latency.model_step import step_time
from planner.report.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from calibrate.serving.requests import RequestRun
    from planner.catalog.coefficients import Covariance
    from planner.catalog.profile import Profile

#: What requests of one engine can tell; a link is fitted where there is one. Attention keeps the
#: profile's ratio to the linear layers: prompts of a run rarely differ enough in length to tell it.
FITTED = (
    "compute_efficiency",
    "storage_efficiency",
    "overhead_fixed",
    "overhead_per_sequence",
    "request_overhead",
)
#: Step of the Jacobian: percentiles of a few hundred requests jump by as much as a small one tells.
STEP = 0.1
#: Sequences of which the overhead begins to be as large as that of a step.
SEQUENCES = 32


class Start(NamedTuple):
    """Where a search begins.

    Parameters
    ----------
    values : dict of str to float
        Coefficients.
    soften : dict of str to float
        Times beside them, see :func:`calibrate.serving.fit.fit`. [s]
    """

    values: dict[str, float]
    soften: dict[str, float]


def starting_values(runs: Sequence[RequestRun], profile: Profile, names: Sequence[str]) -> Start:
    """Return where to begin: moments of the measured latencies, the profile for the rest.

    The shortest tpot is a step of few sequences: what the profile's storage leaves of it is
    overhead. The median ttft beyond such a step, per token of the median prompt, is compute.

    Parameters
    ----------
    runs : sequence of RequestRun
        At least one.
    profile : Profile
        Of the scenario.
    names : sequence of str
        Coefficients that will be fitted.
    """
    first = min(runs, key=lambda run: run.measured["tpot.p10"])
    device = first.system.device
    values = {name: profile.coefficient(name, device).value for name in names}
    step = step_time(first.system.shape, device, first.system.service.settings, profile)
    shortest = first.measured["tpot.p10"]
    overhead = max(0.7 * (shortest - step.coefficients.storage_fixed[0]), 0.1 * shortest)
    slope = max(first.measured["ttft.p50"] - shortest, 0.1 * shortest) / np.median(
        first.rows.prompt_tokens
    )
    peak = values.get("compute_efficiency", 1.0) * step.coefficients.compute_per_token[0]
    moments = {
        "compute_efficiency": peak / slope,
        "overhead_fixed": overhead,
        "overhead_per_sequence": overhead / SEQUENCES,
        "request_overhead": overhead,
    }
    for name in names:
        bounds = PHYSICAL[name]
        values[name] = float(np.clip(moments.get(name, values[name]), bounds.low, bounds.high))
    times = [name for name in names if "overhead" in name]
    return Start(values, {name: values[name] for name in times})


def fit_requests(
    runs: Sequence[RequestRun],
    *,
    hold: Mapping[str, float] | None = None,
    rounds: int = 25,
    progress: Callable[[float], None] = silent,
) -> ServingFit:
    """Return the coefficients for which the runs come out as measured.

    Parameters
    ----------
    runs : sequence of RequestRun
        At the same engine, at loads that differ: a low one tells fixed overheads, a high one
        those that grow with the batch, long prompts tell compute.
    hold : mapping of str to float, optional
        Coefficients with the value that they keep; all but :data:`FITTED` are the profile's.
    rounds : int
        Most Jacobians.
    progress : callable
        Called with the share done of the work that it may take.

    Raises
    ------
    InputError
        If a coefficient to hold is unknown or impossible, or nothing is left to fit.
    """
    held = dict(hold or {})
    for name, value in held.items():
        if name not in PHYSICAL:
            raise InputError(f"--hold must name one of {', '.join(PHYSICAL)}, got {name!r}")
        if not value >= 0:
            raise InputError(f"--hold {name} must be >= 0, got {value:g}")
    given = {
        name: Coefficient(
            value=value, provenance="given", source="held at it while others were fitted"
        )
        for name, value in held.items()
    }
    profile = with_coefficients(runs[0].system.profile, given)
    names = [name for name in FITTED if name not in held]
    fleet = runs[0].system.fleet
    if fleet.tensor_parallel > 1 and "link_efficiency" not in held:
        names.append("link_efficiency")
    if not names:
        raise InputError("--hold must leave a coefficient to fit, got all of them")
    start = starting_values(runs, profile, names)
    solve = partial(
        fit,
        start=profile,
        values=start.values,
        soften=start.soften,
        step=STEP,
        rounds=rounds,
        progress=progress,
    )
    follows = "compute_efficiency" in names and "attention_efficiency" not in held
    if not follows:
        return solve(runs)
    device = runs[0].system.device
    linear, attention = (
        profile.coefficient(f"{kind}_efficiency", device).value for kind in ("compute", "attention")
    )
    tied = [_Tied(run, attention / linear) for run in runs]
    found = solve(tied)
    return replace(
        found,
        values=_with_attention(found.values, attention / linear),
        covariance=_tied(found.covariance, attention / linear),
    )


def _with_attention(values: Mapping[str, float], ratio: float) -> dict[str, float]:
    """Return `values` and attention's, which follows that of compute where there is one."""
    linear = values.get("compute_efficiency")
    return dict(values) if linear is None else {**values, "attention_efficiency": ratio * linear}


def _tied(covariance: Covariance, ratio: float) -> Covariance:
    """Return `covariance` with attention's efficiency, which goes as that of compute does."""
    names = covariance.names
    if "compute_efficiency" not in names:
        return covariance
    k = names.index("compute_efficiency")
    with_its = np.vstack((np.eye(len(names)), ratio * np.eye(len(names))[k]))
    matrix = with_its @ np.array(covariance.matrix) @ with_its.T
    return covariance_of((*names, "attention_efficiency"), matrix)


@dataclass(frozen=True)
class _Tied:
    """A run whose predictions take attention at `ratio` times the efficiency of compute."""

    run: RequestRun
    ratio: float

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def groups(self) -> Mapping[str, str]:
        return self.run.groups

    @property
    def measured(self) -> Mapping[str, float]:
        return self.run.measured

    @property
    def spread(self) -> Mapping[str, float]:
        return self.run.spread

    def predict(self, profile: Profile) -> Mapping[str, float]:
        linear = profile.coefficient("compute_efficiency", self.run.system.device).value
        return self.run.predict(with_values(profile, {"attention_efficiency": self.ratio * linear}))
