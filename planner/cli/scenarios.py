"""``planner check``, ``init`` and ``schema``: scenario files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.options import AsJson, Overrides, ScenarioFile, Seed, bundled_names, command
from planner.cli.output import print_text
from planner.cli.shared import command_line, located, made_by, read_scenario
from planner.errors import InputError
from planner.report.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable


class Layout(StrEnum):
    """What ``planner schema`` can describe."""

    SCENARIO = "scenario"
    SIMULATE = "simulate"
    SWEEP = "sweep"
    CAPACITY = "capacity"
    PLAN = "plan"
    VALIDATE = "validate"
    POINTS = "points"
    IMPORT = "import"
    CALIBRATE = "calibrate"
    QUALITY = "quality"
    CHECK = "check"
    INIT = "init"
    EXPORT = "export"
    REPORT = "report"


@command()
def check(
    scenario: ScenarioFile,
    overrides: Overrides = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Check a scenario without running it: every problem, with line and column."""
    from planner.evaluate import check as check_scenario  # noqa: PLC0415 - start-up
    from planner.report.json import indented  # noqa: PLC0415 - start-up

    spec = read_scenario(scenario, overrides, seed)
    with located(scenario, overrides):
        found = check_scenario(spec)
    print_text(indented(found.to_json(command_line())) if as_json else _lines(found.lines()))


@command()
def init(
    name: Annotated[
        str | None, typer.Argument(help="Name of a bundled scenario.", autocompletion=bundled_names)
    ] = None,
    folder: Annotated[Path, typer.Argument(help="Where to put it.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Copy a bundled scenario, and the traces it needs; without a name, list them."""
    from planner.report.json import indented  # noqa: PLC0415 - start-up
    from planner.scenario.bundled import copy_scenario, list_bundled  # noqa: PLC0415 - start-up

    known = list_bundled()
    files = [] if name is None else [str(each) for each in copy_scenario(name, folder)]
    if as_json:
        print_text(indented(made_by({"scenarios": list(known), "files": files})))
    else:
        print_text(_lines(known if name is None else files))


def _lines(texts: Iterable[str]) -> str:
    return "".join(plain(each) + "\n" for each in texts)


@command()
def schema(
    of: Annotated[Layout, typer.Argument(help="What the schema describes.")] = Layout.SCENARIO,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Scenario files: a reference of every key.")
    ] = False,
) -> None:
    """Print the JSON Schema of scenario files, or of what a command prints with --json."""
    if markdown:
        if of is not Layout.SCENARIO:
            raise InputError(f"--markdown: must be given for scenario alone, got {of.value}")
        from planner.scenario.reference import reference_text  # noqa: PLC0415 - start-up

        print_text(reference_text())
        return
    if of is not Layout.SCENARIO:
        from planner.report.json import result_schema_text  # noqa: PLC0415 - start-up

        print_text(result_schema_text(of.value))
        return
    from planner.scenario.schema import schema_text  # noqa: PLC0415 - start-up

    print_text(schema_text())
