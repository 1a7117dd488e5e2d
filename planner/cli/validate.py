"""``planner validate``."""

from __future__ import annotations

from typing import Annotated

import typer

from planner.cli.options import INACCURATE, AsJson, Overrides, Quiet, ScenarioFile, Seed, app, share
from planner.cli.output import print_text
from planner.cli.shared import extra, located, read_scenario
from planner.errors import InputError


@app.command()
def validate(  # noqa: PLR0917 - typer's options
    scenario: ScenarioFile,
    overrides: Overrides = None,
    seed: Seed = None,
    engine: Annotated[
        bool, typer.Option("--engine", help="Serve it with a real model on this machine.")
    ] = False,
    load: Annotated[
        list[float] | None,
        typer.Option(
            parser=share,
            metavar="SHARE",
            help="Rate, as a share of the predicted saturation; may be repeated.",
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="How often to serve each load.")] = 3,
    tolerance: Annotated[
        float | None,
        typer.Option(
            parser=share,
            metavar="SHARE",
            help="Exit with 5 if a prediction is off by more, and by twice the runs' spread.",
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the CPU.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Hold predicted latencies against those of a real engine that serves the same requests."""
    from planner.report.validation import (  # noqa: PLC0415 - start-up
        comparisons_json,
        render_comparisons,
    )

    if not engine:
        raise InputError("validate must be told what to compare with; add --engine")
    with extra("calibrate"):
        from calibrate.validate import validate as run_both  # noqa: PLC0415 - needs torch
    spec = read_scenario(scenario, overrides, seed)

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    with located(scenario, overrides):
        found = run_both(spec, loads=load or (), runs=runs, threads=threads, say=say)
    if as_json:
        print_text(comparisons_json(found.comparisons, found.facts, tolerance))
    else:
        print_text(render_comparisons(found.comparisons, found.facts, tolerance))
    if tolerance is not None and any(each.missed(tolerance) for each in found.comparisons):
        raise typer.Exit(INACCURATE)
