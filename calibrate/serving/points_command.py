"""`planner calibrate fit POINTS`: a profile per device from a table of measured points."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from calibrate.fitted import Fitted, write_profile
from calibrate.serving.points import experiments_of
from calibrate.serving.report import stack_text
from calibrate.serving.stack import fit_stack
from planner.catalog.catalogue import find_device
from planner.errors import InputError, did_you_mean
from planner.report.calibration import calibration_json
from planner.report.progress import silent
from planner.validation.points.table import read_points

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: What can be left out in turn.
KINDS = ("deployment", "tp", "lengths", "model", "dataset", "dtype", "device")


def fit_points(  # noqa: PLR0917 - the command's options
    path: Path,
    folder: Path,
    name: str,
    devices: Sequence[str],
    engine: str,
    datasets: Sequence[str],
    kernels: str | None,
    without: Sequence[str],
    by: Sequence[str],
    *,
    command: str = "",
    progress: Callable[[float], None] = silent,
) -> Fitted:
    """Fit the rows of a device and engine, write a profile per device, and return the report.

    `progress` is called with the share that is done.

    Raises
    ------
    InputError
        If the table, a device or a kind of group is not known, or no row is left.
    """
    for kind in by:
        if kind not in KINDS:
            near = did_you_mean(kind, KINDS)
            raise InputError(f"--by must be one of {', '.join(KINDS)}, got {kind!r}{near}")
    known = [find_device(each) for each in devices]
    names = {each.name for each in known}
    chosen = [
        each
        for each in experiments_of(read_points(path))
        if each.groups["device"] in names
        and each.groups["engine"] == engine
        and (not datasets or each.groups["dataset"] in datasets)
        and kernels in {None, each.groups["kernels"]}
        and not {each.case.point.model, each.case.point.texts["model"]} & set(without)
    ]
    found = replace(fit_stack(chosen, by, progress=progress), without=tuple(without))
    today = dt.datetime.now(tz=dt.UTC).date()
    text = stack_text(found)
    made = []
    for device in known:
        called = name if len(known) == 1 else f"{name}-{device.name.lower()}"
        made.append(found.profile(device, engine, called, today))
        text += f"\nWrote {write_profile(made[-1], folder)}\n"
    return Fitted(text, calibration_json(made[0], None, command) if len(made) == 1 else None)
