"""What a fit leaves: a report for people, and the profile, in files and as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from planner.report.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from planner.catalog.profile import Profile


class Fitted(NamedTuple):
    """A fit whose files are written.

    Parameters
    ----------
    text : str
        What people read.
    content : mapping of str to Any, optional
        As ``planner schema calibrate`` describes it; None without a profile, as of an encoder, and
        with several.
    """

    text: str
    content: Mapping[str, Any] | None


def profile_file(profile: Profile) -> bytes:
    """Return what the file of a profile holds."""
    return (profile.model_dump_json(indent=2, exclude_none=True) + "\n").encode()


def write_profile(profile: Profile, folder: Path, name: str = "") -> Path:
    """Write a profile and return its file.

    Parameters
    ----------
    profile : Profile
        What to write.
    folder : Path
        Where to.
    name : str
        Of the file; by default that of the profile and ``.json``.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    file = folder / (name or f"{profile.name}.json")
    write_whole(file, profile_file(profile), "--out")
    return file
