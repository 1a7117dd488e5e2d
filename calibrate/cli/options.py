"""What several commands of the calibration share: the profile's name, the folder of results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.pages import write_html
from planner.cli.shared import command_line
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


def told(text: str, file: Path, *, as_json: bool, html: Path | None) -> str:
    """Return what a command prints of a fit that it has written: a text, or JSON; write its page.

    Parameters
    ----------
    text : str
        What people read.
    file : Path
        The fit, ``fit.json``, or the profile alone.
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
        return text
    if not file.exists():
        raise InputError("--json and --html must come with a model that decodes, which has a fit")
    from planner.catalog.profile import load_profile  # noqa: PLC0415 - start-up
    from planner.report.calibration import calibration_json  # noqa: PLC0415 - start-up
    from planner.report.json import indented  # noqa: PLC0415 - start-up

    content = json.loads(file.read_text(encoding="utf-8"))
    if "coefficients" in content:
        content = calibration_json(load_profile(file), None, command_line())
    write_html(html, content)
    return indented(content) if as_json else text
