"""``planner simulate``."""

from __future__ import annotations

import sys

import typer

from planner.cli.options import (
    MISSED,
    AsJson,
    Force,
    Html,
    Out,
    Overrides,
    Quiet,
    ScenarioFile,
    Seed,
    command,
)
from planner.cli.output import print_text, stdout
from planner.cli.pages import check_html, write_html
from planner.cli.shared import located, read_scenario, run_scenario, versions


@command()
def simulate(  # noqa: PLR0917 - typer's options
    scenario: ScenarioFile,
    overrides: Overrides = None,
    seed: Seed = None,
    as_json: AsJson = False,
    out: Out = None,
    force: Force = False,
    html: Html = None,
    quiet: Quiet = False,
) -> None:
    """Simulate a scenario: latency percentiles, what they are made of, objectives, cost."""
    from planner.report.files import check_directory, write_run  # noqa: PLC0415 - start-up
    from planner.report.json import dumps  # noqa: PLC0415 - start-up
    from planner.report.screen import write_screen  # noqa: PLC0415 - start-up
    from planner.report.text import screen_of_result  # noqa: PLC0415 - start-up
    from planner.scenario.dump import scenario_yaml  # noqa: PLC0415 - start-up

    spec = read_scenario(scenario, overrides, seed)
    if out is not None:
        check_directory(out, force=force)
    check_html(html)
    with located(scenario, overrides):
        run = run_scenario(spec, quiet=quiet)
    if out is not None:
        write_run(
            out,
            run.result,
            run.records,
            scenario_text=scenario_yaml(spec),
            versions=versions(),
            force=force,
        )
    write_html(html, run.result.to_json())
    if as_json:
        print_text(dumps(run.result))
    else:
        with stdout():
            write_screen(screen_of_result(run.result), sys.stdout)
    if not run.result.met:
        raise typer.Exit(MISSED)
