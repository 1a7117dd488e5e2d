"""``planner capacity``."""

from __future__ import annotations

import typer

from planner.cli.options import (
    INFEASIBLE,
    AsJson,
    Html,
    Overrides,
    Quiet,
    ScenarioFile,
    Seed,
    command,
)
from planner.cli.output import print_text
from planner.cli.pages import check_html, write_html
from planner.cli.shared import command_line, located, progress_of, read_scenario, say_compiling


@command()
def capacity(  # noqa: PLR0917 - typer's options
    scenario: ScenarioFile,
    overrides: Overrides = None,
    seed: Seed = None,
    html: Html = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find the highest rate, or number of clients, at which all objectives hold."""
    from planner.planning.capacity import capacity as search  # noqa: PLC0415 - start-up
    from planner.report.capacity import render_capacity  # noqa: PLC0415 - start-up
    from planner.report.json import indented  # noqa: PLC0415 - start-up

    spec = read_scenario(scenario, overrides, seed)
    check_html(html)
    if spec.service.kind == "llm":
        say_compiling(quiet=quiet)
    with located(scenario, overrides), progress_of("searching", quiet=quiet) as advance:
        found = search(spec, command=command_line(), progress=advance)
    write_html(html, found.to_json())
    print_text(indented(found.to_json()) if as_json else render_capacity(found))
    if found.value is None:
        raise typer.Exit(INFEASIBLE)
