"""What several commands of the calibration share: the profile's name, the folder of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from planner.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def _named(text: str) -> str:
    """Return the name of a profile, which must not be empty."""
    if not text.strip():
        raise typer.BadParameter("must not be empty")
    return text


#: ``--name``.
ProfileName = Annotated[str, typer.Option(callback=_named, help="What the profile is called.")]


def folder_of(path: Path) -> Path:
    """Return `path`, a folder that exists now.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out must be a folder, got {str(path)!r}: {error.strerror}") from None
    return path
