"""What a calibration leaves in its folder: profile, report and plot, each written whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from calibrate.fit.plots import plot_residuals
from calibrate.fit.profile import calibration_of
from calibrate.fit.report import fit_report
from calibrate.fit.show import measured_text
from calibrate.fitted import Fitted, profile_file
from planner.errors import InputError
from planner.report.calibration import calibration_json
from planner.report.json import indented
from planner.report.progress import part, silent
from planner.report.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibrate.fit.solution import Fit
    from calibrate.fit.step_model import Floats
    from calibrate.measure.journal import Measurements

#: Names of the files in the folder of a calibration.
JOURNAL, PROFILE, REPORT, RESIDUALS, FIT = (
    "measurements.jsonl",
    "profile.json",
    "fit.txt",
    "residuals.png",
    "fit.json",
)
#: Share of the time that the first fit takes; the fits without a point take the rest.
FITTED = 0.25


def write_results(
    measured: Measurements,
    folder: Path,
    name: str,
    *,
    leave_one_out: bool,
    command: str = "",
    progress: Callable[[float], None] = silent,
) -> Fitted:
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
    command : str
        That measures or fits.
    progress : callable
        Called with the share that is done.

    Raises
    ------
    InputError
        If there is too little to fit, or a file cannot be written; the profile is the last to be.
    """
    if measured.header.shape.arch != "decoder":
        return Fitted(measured_text(measured, None), None)
    found = calibration_of(measured, name)
    progress(FITTED)
    left_out = part(progress, FITTED, 1.0)
    errors = found.fit.leave_one_out(left_out) if leave_one_out else None
    text = measured_text(measured, found) + "\n" + fit_report(found.fit, errors)
    picture = io.BytesIO()
    plot_residuals(found.fit, picture, errors)
    content = calibration_json(found.profile, residuals_of(found.fit, errors), command)
    files = {
        REPORT: text.encode(),
        RESIDUALS: picture.getvalue(),
        FIT: indented(content).encode(),
        PROFILE: profile_file(found.profile),
    }
    try:
        for file, data in files.items():
            write_whole(folder / file, data, "--out")
    except InputError as error:
        raise InputError(
            f"{error}; the measurements are kept, `planner calibrate fit` makes the profile of them"
        ) from error
    written = f"{folder / PROFILE}, {REPORT}, {RESIDUALS}, {FIT}"
    return Fitted(f"{text}\nWrote {written}.\n", content)


def residuals_of(fit: Fit, left_out: Floats | None) -> dict[str, Any]:
    """Return how far off the fit is for each step, column by column.

    Parameters
    ----------
    fit : Fit
        What predicts.
    left_out : array, optional
        Errors of points left out, in place of those of the fit.
    """
    samples = fit.samples
    errors = fit.errors if left_out is None else left_out
    return {
        "left_out": left_out is not None,
        "variant": [each.variant for each in samples],
        "kind": [each.kind for each in samples],
        "seconds": [each.seconds for each in samples],
        "tokens": [float(each.tokens) for each in samples],
        "sequences": [float(each.sequences) for each in samples],
        "context": [float(each.context) for each in samples],
        "error": [float(each) for each in errors],
    }
