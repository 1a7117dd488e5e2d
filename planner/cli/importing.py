"""``planner import``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from planner.cli.options import AsJson, Quiet, command
from planner.cli.output import print_text
from planner.cli.shared import extra, progress_of


def size(text: str) -> float:
    """Return the bytes that ``2 GiB`` stands for."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - start-up

    from planner.units import Size  # noqa: PLC0415 - start-up

    try:
        return TypeAdapter(Size).validate_python(text)
    except ValidationError as error:
        message = f"must be a size as '512 MiB', got {text!r:.40}"
        raise typer.BadParameter(message) from error


@command("import")
def import_(  # noqa: PLR0917 - typer's options
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Result of a load generator, a table, a start log, or a dump of /metrics.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV for the requests, one a row.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Only this run, where the file has several.")
    ] = None,
    max_size: Annotated[
        float | None,
        typer.Option(parser=size, metavar="SIZE", help="Most text to read; by default 256 MiB."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read what others measured: requests, statistics, or what an engine has room for."""
    with extra("calibrate"):
        from calibrate.importers.command import import_file  # noqa: PLC0415 - start-up

    with progress_of("importing", quiet=quiet) as advance:
        text = import_file(file, out, run=run, max_size=max_size, as_json=as_json, progress=advance)
    print_text(text)
