"""``planner sweep``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.options import AsJson, Force, Html, Overrides, Quiet, ScenarioFile, Seed, command
from planner.cli.output import print_text
from planner.cli.pages import check_html, write_html
from planner.cli.shared import command_line, progress_of, say_compiling, versions
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.planning.sweep import Sweep


@command()
def sweep(  # noqa: PLR0917 - typer's options
    scenario: ScenarioFile,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="Values of a key, as fleet.replicas=1:8, traffic.rate=1:50:0.5 or a.b=x,y.",
        ),
    ] = None,
    overrides: Overrides = None,
    seed: Seed = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw it into an .svg, .png or .pdf.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps each cell as it is done, and the tables."),
    ] = None,
    force: Force = False,
    html: Html = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one for each core.")] = -1,
    quiet: Quiet = False,
) -> None:
    """Simulate a scenario at every point of a grid of values."""
    from planner.planning.sweep import sweep as run_sweep  # noqa: PLC0415 - start-up
    from planner.report.sweep import render_sweep, sweep_csv, sweep_json  # noqa: PLC0415 - start-up
    from planner.report.sweep_files import finish_sweep, start_sweep  # noqa: PLC0415 - start-up
    from planner.scenario.bundled import find_scenario  # noqa: PLC0415 - start-up

    _check(as_json=as_json, as_csv=as_csv, jobs=jobs, plot=plot)
    _check_nothing_is_undone(vary or (), overrides or ())
    check_html(html)
    path = find_scenario(scenario)
    if out is not None:
        start_sweep(out, command=command_line(), versions=versions(), force=force)
    say_compiling(quiet=quiet)
    with progress_of("sweeping", quiet=quiet) as advance:
        done = run_sweep(
            path,
            vary or (),
            overrides=overrides or (),
            seed=seed,
            store=None if out is None else out / "cells.jsonl",
            jobs=jobs,
            command=command_line(),
            progress=advance,
        )
    if out is not None:
        finish_sweep(out, done)
    if plot is not None:
        _draw(done, plot)
    write_html(html, done.to_json())
    print_text(sweep_json(done) if as_json else sweep_csv(done) if as_csv else render_sweep(done))


def _check(*, as_json: bool, as_csv: bool, jobs: int, plot: Path | None) -> None:
    """Refuse, before anything is simulated, options that do not go together or cannot be met."""
    if as_json and as_csv:
        raise InputError("--csv: must be left out beside --json, got both; choose one")
    if jobs < -1 or jobs == 0:
        raise InputError(f"--jobs: must be a number of processes, or -1 for one a core, got {jobs}")
    if plot is not None:
        from planner.report.sweep_plot import plot_format  # noqa: PLC0415 - start-up

        plot_format(plot)


def _check_nothing_is_undone(vary: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse a value that every cell would replace by its own."""
    keys = [text.partition("=")[0].strip() for text in vary]
    for override in overrides:
        key = override.partition("=")[0].strip()
        over = next((each for each in keys if f"{key}.".startswith(f"{each}.")), None)
        if over is not None:
            raise InputError(
                f"--set {key}: must be left out, since --vary {over} sets it in every cell"
            )


def _draw(done: Sweep, plot: Path) -> None:
    from planner.report.sweep_plot import plot_format, plot_sweep  # noqa: PLC0415 - start-up
    from planner.report.whole import write_whole  # noqa: PLC0415 - start-up

    write_whole(plot, plot_sweep(done, plot_format(plot)), "--plot")
