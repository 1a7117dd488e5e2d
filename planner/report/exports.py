"""A report as files: a page, Markdown, pictures of its charts, numbers of its tables."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.report.charts.svg import png_file, svg_file
from planner.report.document import Chart, Table
from planner.report.html import render_html
from planner.report.markdown import render_markdown
from planner.report.progress import silent
from planner.report.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from planner.report.document import Document

#: Endings of a report, of pictures and of tables.
PAGES, PICTURES, TABLES = (".html", ".md"), ("svg", "png"), ("csv", "parquet")


def check_page(path: Path, option: str) -> None:
    """Refuse a file whose ending is no form of a report.

    Raises
    ------
    InputError
        If it is another.
    """
    if path.suffix not in PAGES:
        known = " or ".join(PAGES)
        raise InputError(f"{option}: must end in {known}, got {path.name!r}")


def write_page(  # noqa: PLR0917 - as write_charts, and where to
    document: Document,
    path: Path,
    option: str,
    pictures: Path | None = None,
    form: str = "svg",
    progress: Callable[[float], None] = silent,
) -> None:
    """Write a report as its ending says.

    Parameters
    ----------
    document : Document
        The report.
    path : Path
        Where to; it ends in one of :data:`PAGES`.
    option : str
        That named it, for messages.
    pictures : Path, optional
        Folder of the charts' pictures, which Markdown links to.
    form : str
        One of :data:`PICTURES`.
    progress : callable
        Called with the share that is done.

    Raises
    ------
    InputError
        If it has another ending or cannot be written.
    """
    check_page(path, option)
    if path.suffix == ".html":
        text = render_html(document, progress)
    else:
        base = None if pictures is None else os.path.relpath(pictures, path.parent)
        text = render_markdown(
            document, None if base is None else lambda name: f"{base}/{name}.{form}"
        )
    write_whole(path, text.encode(), option)


def write_charts(
    document: Document,
    folder: Path,
    form: str = "svg",
    progress: Callable[[float], None] = silent,
) -> list[Path]:
    """Write each chart of a report to a file of its own, and return the files.

    `progress` is called with the share of the charts that are drawn.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    drawn = svg_file if form == "svg" else png_file
    charts = [block for block in document.blocks() if isinstance(block, Chart)]
    files = [folder / f"{chart.name}.{form}" for chart in charts]
    for k, (chart, file) in enumerate(zip(charts, files, strict=True), 1):
        write_whole(file, drawn(chart), "--charts")
        progress(k / len(charts))
    return files


def write_tables(document: Document, folder: Path, form: str = "csv") -> list[Path]:
    """Write the numbers of each table of a report, in SI units, each to a file; return the files.

    Raises
    ------
    InputError
        If a file cannot be written, or Parquet needs a package that is not there.
    """
    files: list[Path] = []
    for block in document.blocks():
        if isinstance(block, Table):
            data = table_csv(block) if form == "csv" else table_parquet(block)
            files.append(folder / f"{block.name}.{form}")
            write_whole(files[-1], data, "--tables")
    return files


def table_csv(table: Table) -> bytes:
    """Return the numbers of a table as CSV; a text that a spreadsheet would run is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.key for column in table.columns)
    for row in _rows(table):
        writer.writerow(_csv(each) for each in row)
    return out.getvalue().encode()


def table_parquet(table: Table) -> bytes:
    """Return the numbers of a table as Parquet.

    Raises
    ------
    InputError
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise InputError(
            "--table-format parquet needs the package 'pyarrow'; "
            "pip install 'latency-planner[parquet]'"
        ) from error
    columns = {}
    for k, column in enumerate(table.columns):
        values = [row[k] for row in _rows(table)]
        numbers = all(each is None or isinstance(each, int | float) for each in values)
        columns[column.key] = pa.array(
            values if numbers else [None if each is None else str(each) for each in values],
            pa.float64() if numbers and column.numeric else None if numbers else pa.string(),
        )
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _rows(table: Table) -> list[list[float | str | bool | None]]:
    """Return values of cells: those given, nothing for a number that is not known, else texts."""
    return [
        [
            cell.value if cell.value is not None else None if column.numeric else cell.text
            for cell, column in zip(row, table.columns, strict=True)
        ]
        for row in table.rows
    ]


def _csv(value: float | str | bool | None) -> object:
    """Return a value as CSV has it; a formula of a spreadsheet starts with a quote."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value
