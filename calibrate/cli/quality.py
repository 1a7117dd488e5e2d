"""`planner calibrate quality`: what each setting costs in quality, as table, JSON and plot."""

from __future__ import annotations

import io
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from planner.cli.options import AsJson, Quiet  # noqa: TC001 - typer reads it
from planner.errors import InputError
from planner.report.progress import countdown
from planner.report.whole import write_whole


def quality(  # noqa: PLR0917 - typer's options
    model: Annotated[
        str, typer.Option(help="smollm2, or a folder with config.json and safetensors.")
    ] = "smollm2",
    settings: Annotated[
        str | None, typer.Option(help="Variants with commas between, as int8,structured:0.25.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default cuda if any.")] = None,
    windows: Annotated[
        int | None, typer.Option(min=2, help="Windows of 512 tokens looked at; by default all.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the numbers, JSON.")] = None,
    plot_to: Annotated[Path | None, typer.Option("--plot", help="File for the plot, PNG.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> str:
    """Measure perplexity and next-token agreement of compressed variants of a trained model."""
    from calibrate.quality.study import STUDIED, plot, study  # noqa: PLC0415 - needs torch

    for file in (out, plot_to):
        if file is not None and not file.parent.is_dir():
            raise InputError(f"must be a file in a folder that is there, got {str(file)!r}")

    variants = (
        STUDIED if settings is None else [each for each in settings.split(",") if each.strip()]
    )
    line = countdown(len(variants) + 1)  # and the reference

    def tell(name: str) -> None:
        if not quiet:
            typer.echo(f"quality: {line(name)}", err=True)

    found = study(
        model,
        variants,
        device,
        limit=windows,
        tell=tell,
    )
    if out is not None:
        write_whole(out, found.json().encode(), "--out")
    if plot_to is not None:
        picture = io.BytesIO()
        plot(found, picture)
        write_whole(plot_to, picture.getvalue(), "--plot")
    return found.json() if as_json else f"{found.about}\n\n{found.table()}"
