"""`planner calibrate show`: a profile as text."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer


def show(profile: Annotated[str, typer.Argument(help="profile.json, or a packaged name.")]) -> str:
    """Show a profile: what was measured where, coefficients, speedups, quality."""
    from calibrate.fit.show import profile_text  # noqa: PLC0415 - start-up
    from planner.catalog.profile import load_profile  # noqa: PLC0415 - start-up

    today = dt.datetime.now(tz=dt.UTC).date()
    return profile_text(load_profile(profile), today, _this_machine())


def _this_machine() -> str | None:
    """Return the fingerprint of this machine, or None where torch is missing."""
    try:
        from calibrate.measure.fingerprint import fingerprint  # noqa: PLC0415 - needs torch
        from calibrate.models.load import default_device  # noqa: PLC0415 - needs torch
    except ModuleNotFoundError:
        return None
    return fingerprint(default_device()).text
