"""`planner calibrate show`: a profile as text."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from planner.cli.options import AsJson, Html  # noqa: TC001 - typer reads it
from planner.cli.pages import check_html, write_html


def show(
    profile: Annotated[str, typer.Argument(help="profile.json, or a packaged name.")],
    as_json: AsJson = False,
    html: Html = None,
) -> str:
    """Show a profile: what was measured where, coefficients, speedups, quality."""
    from calibrate.fit.show import profile_text  # noqa: PLC0415 - start-up
    from planner.catalog.profile import load_profile  # noqa: PLC0415 - start-up
    from planner.cli.shared import command_line  # noqa: PLC0415 - start-up
    from planner.report.calibration import calibration_json  # noqa: PLC0415 - start-up
    from planner.report.json import indented  # noqa: PLC0415 - start-up

    check_html(html)
    found = load_profile(profile)
    content = calibration_json(found, None, command_line())
    write_html(html, content)
    if as_json:
        return indented(content)
    return profile_text(found, dt.datetime.now(tz=dt.UTC).date(), _this_machine())


def _this_machine() -> str | None:
    """Return the fingerprint of this machine, or None where torch is missing."""
    try:
        from calibrate.measure.fingerprint import fingerprint  # noqa: PLC0415 - needs torch
        from calibrate.models.load import default_device  # noqa: PLC0415 - needs torch
    except ModuleNotFoundError:
        return None
    return fingerprint(default_device()).text
