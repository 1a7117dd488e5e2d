"""``planner calibrate``: hands over to the calibration's own commands."""

from __future__ import annotations

import typer

from planner.cli.options import app
from planner.cli.output import LINE_END, print_text
from planner.cli.shared import extra
from planner.report.plain import plain


@app.command(
    add_help_option=False,
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],
    },
)
def calibrate(context: typer.Context) -> None:
    """Measure models or a live server, make a profile: run, endpoint, fit, show, quality."""
    with extra("calibrate"):
        from calibrate.cli.entry import app as commands  # noqa: PLC0415 - start-up

        found = commands(
            args=context.args,
            prog_name="planner calibrate",
            standalone_mode=False,
            obj=context.obj,
        )
    if isinstance(found, str):
        print_text(plain(found, keep=LINE_END))
    elif found:
        raise typer.Exit(found)
