"""What several commands of the calibration share: the profile's name, the folder of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.pages import write_html
from planner.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from calibrate.fitted import Fitted


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


def told(fitted: Fitted, *, as_json: bool, html: Path | None) -> str:
    """Return what a command prints of a fit: a text, or JSON; write its page.

    Parameters
    ----------
    fitted : Fitted
        The fit; its files are written.
    as_json : bool
        Whether to print JSON.
    html : Path or None
        Where to write a page.

    Raises
    ------
    InputError
        If there is no profile, as of an encoder, or the page cannot be written.
    """
    if not as_json and html is None:
        return fitted.text
    if fitted.content is None:
        raise InputError("--json and --html must come with a model that decodes, which has a fit")
    from planner.report.json import indented  # noqa: PLC0415 - start-up

    write_html(html, dict(fitted.content))
    return indented(fitted.content) if as_json else fitted.text
