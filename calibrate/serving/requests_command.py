"""Commands on measured requests: fit a profile to them, hold a profile against them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from calibrate.fitted import Fitted, write_profile
from calibrate.importers.recognise import read_measured
from calibrate.importers.rows import RequestRows
from calibrate.serving.fit_requests import fit_requests
from calibrate.serving.requests import RequestRun, compare_runs, runs_of
from planner.catalog.coefficients import COEFFICIENTS
from planner.errors import InputError
from planner.report.calibration import calibration_json
from planner.report.progress import silent
from planner.report.validation import render_comparisons
from planner.simulation.provenance import pool_line, profile_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from calibrate.serving.fit import ServingFit
    from planner.scenario.model import Scenario
    from planner.validation.compare import Comparison

#: Name of the profile in the folder of a fit.
PROFILE = "profile.json"


def measured_runs_of(
    scenario: Scenario, files: Sequence[str], only: Sequence[str] = ()
) -> list[RequestRun]:
    """Return the runs in files of measured requests, to be replayed at the scenario's engine.

    Parameters
    ----------
    scenario : Scenario
        One replica of an LLM.
    files : sequence of str
        As :func:`~calibrate.importers.recognise.read_measured` reads them.
    only : sequence of str
        Names of the runs to take; empty for all.

    Raises
    ------
    InputError
        If a file cannot be used or holds no single requests, or a run is not there.
    """
    parts = []
    for name in files:
        rows = read_measured(name).rows
        if rows is None:
            raise InputError(
                f"{name}: must hold single requests to be replayed, got statistics only; have the "
                "load generator write them in detail"
            )
        parts.append(rows)
    return runs_of(scenario, _joined(parts), only)


def _joined(parts: Sequence[RequestRows]) -> RequestRows:
    """Return the rows of several files as one; runs of one name get a number."""
    names: list[str] = []
    for part in parts:
        for name in part.run_names:
            taken = sum(each == name or each.startswith(f"{name} (") for each in names)
            names.append(name if not taken else f"{name} ({taken + 1})")
    first = np.cumsum([0, *(len(part.run_names) for part in parts[:-1])])
    run = [part.run + shift for part, shift in zip(parts, first.tolist(), strict=True)]

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return RequestRows(
        column("arrival_s"),
        column("ttft_s"),
        column("e2e_s"),
        column("prompt_tokens"),
        column("output_tokens"),
        column("ok"),
        np.concatenate(run),
        tuple(names),
    )


def fit_profile(
    scenario: Scenario,
    files: Sequence[str],
    folder: Path,
    *,
    name: str,
    only: Sequence[str] = (),
    hold: Mapping[str, float] | None = None,
    command: str = "",
    progress: Callable[[float], None] = silent,
) -> Fitted:
    """Fit a profile to measured requests, write it into `folder`, and return the report.

    `progress` is called with the share that is done.

    Raises
    ------
    InputError
        As :func:`measured_runs_of` and :func:`~calibrate.serving.fit_requests.fit_requests`, or
        if the profile cannot be written.
    """
    runs = measured_runs_of(scenario, files, only)
    found = fit_requests(runs, hold=hold, progress=progress)
    source = f"requests of {', '.join(run.name for run in runs)}: {', '.join(files)}"
    device = runs[0].system.device
    profile = found.put_into(found.start, source).model_copy(
        update={
            "name": name,
            "created": dt.datetime.now(tz=dt.UTC).date(),
            "device": device.name,
            "devices": {},
            "hardware": device,
            "engine_version": "measured",
            "about": (),  # the remarks of the profile that it began with are not of this one
        }
    )
    file = write_profile(profile, folder, PROFILE)
    compared = render_comparisons(compare_runs(runs, profile), {})
    text = f"{coefficients_text(found)}\n{compared}\nWrote {file}.\n"
    return Fitted(text, calibration_json(profile, None, command))


def coefficients_text(found: ServingFit) -> str:
    """Return the fitted coefficients, a line each, and those that a bound holds."""
    lines = []
    for key, value in found.values.items():
        error = found.stderr.get(key)
        shown = "at its bound" if error is None else f"+- {error:.2g}"
        lines.append(f"{key:22} {value:10.4g} {COEFFICIENTS[key][1]:2} {shown}")
    return "\n".join(lines) + "\n"


def compare_requests(
    scenario: Scenario, files: Sequence[str], only: Sequence[str] = ()
) -> tuple[list[Comparison], dict[str, str]]:
    """Return predictions of measured requests beside them, and what to say below.

    Raises
    ------
    InputError
        As :func:`measured_runs_of`.
    """
    runs = measured_runs_of(scenario, files, only)
    system = runs[0].system
    facts = {
        "scenario": scenario.name,
        "requests": ", ".join(files),
        "profile": profile_line(system),
        "engine": pool_line(system),
    }
    return compare_runs(runs, system.profile), facts
