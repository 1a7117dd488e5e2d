"""``planner report``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from planner.cli.options import AsJson, Quiet, command
from planner.cli.output import print_text
from planner.cli.shared import made_by, progress_of
from planner.errors import InputError

#: Share of the time that reading the results takes; drawing takes the rest.
READ = 0.05


class Picture(StrEnum):
    """Forms of a chart."""

    SVG = "svg"
    PNG = "png"


class Numbers(StrEnum):
    """Forms of a table."""

    CSV = "csv"
    PARQUET = "parquet"


@command()
def report(  # noqa: PLR0917 - typer's options
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders that --out wrote, or files with JSON of a command."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The report: .html or .md.")
    ] = None,
    charts: Annotated[Path | None, typer.Option(help="Folder for a picture of each chart.")] = None,
    chart_format: Annotated[
        Picture | None, typer.Option(help="Form of the pictures; svg by default.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder for the numbers of each table.")
    ] = None,
    table_format: Annotated[
        Numbers | None, typer.Option(help="Form of the numbers; csv by default.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a page of results: HTML or Markdown, pictures of charts, tables of numbers."""
    from planner.report import exports  # noqa: PLC0415 - start-up
    from planner.report.json import indented  # noqa: PLC0415 - start-up
    from planner.report.pages.choose import document_of  # noqa: PLC0415 - start-up
    from planner.report.progress import part  # noqa: PLC0415 - start-up

    if output is None and charts is None and tables is None:
        message = "must be told what to write; add -o report.html, --charts DIR or --tables DIR"
        raise typer.BadParameter(message)
    _refuse_alone("--chart-format", chart_format, "--charts", charts)
    _refuse_alone("--table-format", table_format, "--tables", tables)
    picture = (chart_format or Picture.SVG).value
    if output is not None:
        exports.check_page(output, "--output")
    drawn, written = [], []
    with progress_of("reporting", quiet=quiet) as advance:
        document = document_of(runs)
        advance(READ)
        half = READ if charts is None else (1 + READ) / 2
        if charts is not None:
            tell = part(advance, READ, half)
            drawn = exports.write_charts(document, charts, picture, tell)
        if tables is not None:
            numbers = (table_format or Numbers.CSV).value
            written = exports.write_tables(document, tables, numbers)
        if output is not None:
            exports.write_page(
                document, output, "--output", charts, picture, part(advance, half, 1.0)
            )
    if as_json:
        files = {
            "title": document.title,
            "runs": [str(each) for each in runs],
            "report": None if output is None else str(output),
            "charts": [str(each) for each in drawn],
            "tables": [str(each) for each in written],
        }
        print_text(indented(made_by(files)))


def _refuse_alone(name: str, form: StrEnum | None, folder_name: str, folder: Path | None) -> None:
    """Refuse a form of files that are not asked for."""
    if form is not None and folder is None:
        raise InputError(f"{name}: must come with {folder_name} DIR, got it without; add that")
