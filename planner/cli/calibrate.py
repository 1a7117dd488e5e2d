"""``planner calibrate``: hands over to the calibration's own commands."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from planner.cli.options import app
from planner.cli.output import LINE_END, print_text
from planner.cli.shared import extra
from planner.report.plain import plain


class _HandsOver(TyperCommand):
    """A command whose words another application takes, and completes."""

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """Return the commands of the calibration, or the options of one, that begin so."""
        from calibrate.cli.entry import app as commands  # noqa: PLC0415 - start-up

        group, given = get_command(commands), list(ctx.args)
        known = group.commands if isinstance(group, TyperGroup) else {}
        inner = known.get(given.pop(0)) if given else group
        if inner is None:
            return []
        with inner.make_context("calibrate", given, resilient_parsing=True) as context:
            found: list[Any] = inner.shell_complete(context, incomplete)
        return found


@app.command(
    cls=_HandsOver,
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
