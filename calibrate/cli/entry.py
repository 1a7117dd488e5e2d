"""`planner calibrate`: measure this machine or a server, fit the step model, show a profile."""

from __future__ import annotations

import typer

from calibrate.cli.endpoint import endpoint
from calibrate.cli.fit import fit
from calibrate.cli.run import run
from calibrate.cli.show import show
from planner.cli.options import mannered

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure real models on this machine, and make a profile of it.",
)


for command in (run, fit, show, endpoint):
    app.command()(mannered(command))


@app.command(
    add_help_option=False,
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],
    },
)
def quality(context: typer.Context) -> str:
    """Measure what each setting costs in quality: table, JSON, plot."""
    from calibrate.cli.quality import quality as command  # noqa: PLC0415 - needs torch

    only = typer.Typer(
        add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
    )
    only.command()(mannered(command))
    found = only(
        args=context.args,
        prog_name="planner calibrate quality",
        standalone_mode=False,
        obj=context.obj,
    )
    if isinstance(found, str):
        return found
    raise typer.Exit(found or 0)  # its help was asked for
