"""`planner calibrate`: measure this machine or a server, fit the step model, show a profile."""

from __future__ import annotations

import typer

from calibrate.cli.endpoint import endpoint
from calibrate.cli.fit import fit
from calibrate.cli.quality import quality
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


for command in (run, fit, show, endpoint, quality):
    app.command()(mannered(command))
