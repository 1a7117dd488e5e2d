"""``--html``: the page of a result beside what a command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def check_html(path: Path | None) -> None:
    """Refuse a file of another ending before anything is computed for it.

    Raises
    ------
    InputError
        If it is neither ``.html`` nor ``.md``.
    """
    if path is not None:
        from planner.report.exports import check_page  # noqa: PLC0415 - start-up

        check_page(path, "--html")


def write_html(path: Path | None, content: dict[str, Any]) -> None:
    """Write the page of a result, if one is asked for.

    Parameters
    ----------
    path : Path or None
        Where to; it ends in ``.html`` or ``.md``.
    content : dict
        The result, as ``--json`` has it.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    if path is not None:
        from planner.report.exports import write_page  # noqa: PLC0415 - start-up
        from planner.report.pages.choose import document_of_json  # noqa: PLC0415 - start-up

        write_page(document_of_json(content), path, "--html")
