"""The command line: parses, calls, prints, exits; nothing else prints or exits."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner import __version__
from planner.errors import InputError, PlannerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.evaluate import Run
    from planner.scenario.model import Scenario

#: Exit codes; see docs/exit-codes-and-json.md.
OUR_FAULT, BAD_INPUT, MISSED, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="planner",
    help="How many accelerators, and which settings, a real-time LLM service needs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ScenarioFile = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a bundled one.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value, as fleet.replicas=3."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed instead of the scenario's.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"planner {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that hold for all commands."""


@app.command()
def simulate(  # noqa: PLR0917 - typer's options
    scenario: ScenarioFile,
    overrides: Overrides = None,
    seed: Seed = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for scenario, summary, every request, and how it was run."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Write into a folder with other files.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Nothing on standard error but errors.")
    ] = False,
) -> None:
    """Simulate a scenario: latency percentiles, what they are made of, objectives, cost."""
    from planner.report.files import check_directory, write_run  # noqa: PLC0415 - start-up
    from planner.report.json import dumps  # noqa: PLC0415 - start-up
    from planner.report.text import write_text  # noqa: PLC0415 - start-up
    from planner.scenario.dump import scenario_yaml  # noqa: PLC0415 - start-up

    spec = _load(scenario, overrides, seed)
    if out is not None:
        check_directory(out, force=force)
    with _located(scenario, overrides):
        run = _simulate(spec, quiet=quiet)
    if out is not None:
        write_run(
            out,
            run.result,
            run.records,
            scenario_text=scenario_yaml(spec),
            versions=_versions(),
            force=force,
        )
    if as_json:
        sys.stdout.write(dumps(run.result))
    else:
        write_text(run.result, sys.stdout)
    if not run.result.met:
        raise typer.Exit(MISSED)


@app.command()
def check(scenario: ScenarioFile, overrides: Overrides = None, seed: Seed = None) -> None:
    """Check a scenario without running it: every problem, with line and column."""
    from planner.evaluate import check as check_scenario  # noqa: PLC0415 - start-up

    spec = _load(scenario, overrides, seed)
    with _located(scenario, overrides):
        for line in check_scenario(spec):
            typer.echo(line)


@app.command()
def init(
    name: Annotated[str | None, typer.Argument(help="Name of a bundled scenario.")] = None,
    folder: Annotated[Path, typer.Argument(help="Where to put it.")] = Path(),
) -> None:
    """Copy a bundled scenario, and the traces it needs; without a name, list them."""
    from planner.scenario.bundled import copy_scenario, list_bundled  # noqa: PLC0415 - start-up

    if name is None:
        for each in list_bundled():
            typer.echo(each)
        return
    for path in copy_scenario(name, folder):
        typer.echo(path)


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files."""
    from planner.scenario.schema import schema_text  # noqa: PLC0415 - start-up

    sys.stdout.write(schema_text())


def _load(name: str, overrides: list[str] | None, seed: int | None) -> Scenario:
    from planner.scenario.bundled import find_scenario  # noqa: PLC0415 - start-up
    from planner.scenario.reader import load_scenario  # noqa: PLC0415 - start-up

    return load_scenario(find_scenario(name), overrides or (), seed)


@contextmanager
def _located(name: str, overrides: list[str] | None) -> Iterator[None]:
    """Give problems that name only a key path the file and line of that key."""
    from planner.scenario.bundled import find_scenario  # noqa: PLC0415 - start-up
    from planner.scenario.locate import locate  # noqa: PLC0415 - start-up

    try:
        yield
    except InputError as error:
        raise InputError(locate(error.problems, find_scenario(name), overrides or ())) from error


def _simulate(spec: Scenario, *, quiet: bool) -> Run:
    """Run the scenario with progress on standard error."""
    from planner import evaluate  # noqa: PLC0415 - start-up
    from planner.report.progress import progress  # noqa: PLC0415 - start-up

    if not quiet and spec.service.kind == "llm" and not evaluate.is_compiled():
        typer.echo("Compiling the simulator, once; later runs start at once.", err=True)
    command = shlex.join(["planner", *sys.argv[1:]])
    if quiet:
        return evaluate.simulate(spec, command=command)
    with progress("simulating") as advance:
        return evaluate.simulate(spec, command=command, progress=advance)


def _versions() -> dict[str, str]:
    """Return the versions of what computes a result."""
    from importlib.metadata import version  # noqa: PLC0415 - start-up

    names = ("numpy", "numba", "scipy", "simpy", "pydantic")
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, "latency-planner": __version__} | {n: version(n) for n in names}


def main() -> None:
    """Run the command line; turn every error into a message and an exit code."""
    try:
        app(standalone_mode=False)
    except PlannerError as error:
        typer.echo(f"planner: {error}", err=True)
        sys.exit(error.exit_code)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("planner: interrupted", err=True)
        sys.exit(INTERRUPTED)
