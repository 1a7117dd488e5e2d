"""A calibration as JSON values: the profile, and how far off it is for each measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.catalog.profile import Profile


def calibration_json(
    profile: Profile, residuals: Mapping[str, Any] | None = None, command: str = ""
) -> dict[str, Any]:
    """Return the JSON values of ``planner calibrate ... --json``.

    Parameters
    ----------
    profile : Profile
        What was fitted, or is shown.
    residuals : mapping of str to Any, optional
        Columns ``variant``, ``kind``, ``seconds``, ``tokens``, ``sequences``, ``context`` and
        ``error``, and ``left_out``: whether each was left out of the fit that predicts it.
    command : str
        That made it.
    """
    return {
        "schema_version": 1,
        "tool_version": __version__,
        "command": command,
        "profile": profile.model_dump(mode="json", exclude_none=True),
        "residuals": None if residuals is None else dict(residuals),
    }
