"""What a calibration leaves in its folder: profile, report and plot, each written whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from calibrate.fit.plots import plot_residuals
from calibrate.fit.profile import calibration_of
from calibrate.fit.report import fit_report
from calibrate.fit.show import measured_text
from planner.errors import InputError
from planner.report.whole import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from calibrate.measure.journal import Measurements

#: Names of the files in the folder of a calibration.
JOURNAL, PROFILE, REPORT, RESIDUALS = (
    "measurements.jsonl",
    "profile.json",
    "fit.txt",
    "residuals.png",
)


def write_results(measured: Measurements, folder: Path, name: str, *, leave_one_out: bool) -> str:
    """Fit, write profile, report and plot into `folder`, and return the report.

    Of an encoder, which has no profile, the report alone is returned and nothing written.

    Parameters
    ----------
    measured : Measurements
        What to fit.
    folder : Path
        Where to.
    name : str
        What the profile is called.
    leave_one_out : bool
        Whether to tell the error of points left out, which takes a fit for each.

    Raises
    ------
    InputError
        If there is too little to fit, or a file cannot be written; the profile is the last to be.
    """
    if measured.header.shape.arch != "decoder":
        return measured_text(measured, None)
    found = calibration_of(measured, name)
    errors = found.fit.leave_one_out() if leave_one_out else None
    text = measured_text(measured, found) + "\n" + fit_report(found.fit, errors)
    picture = io.BytesIO()
    plot_residuals(found.fit, picture, errors)
    profile = found.profile.model_dump_json(indent=2, exclude_none=True) + "\n"
    files = {REPORT: text.encode(), RESIDUALS: picture.getvalue(), PROFILE: profile.encode()}
    try:
        for file, content in files.items():
            write_whole(folder / file, content, "--out")
    except InputError as error:
        raise InputError(
            f"{error}; the measurements are kept, `planner calibrate fit` makes the profile of them"
        ) from error
    return f"{text}\nWrote {folder / PROFILE}, {REPORT}, {RESIDUALS}.\n"
