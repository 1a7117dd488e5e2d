"""The command line: parses, calls, prints, exits; nothing else prints or exits."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner import __version__
from planner.errors import InputError, PlannerError
from planner.report.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.evaluate import Run
    from planner.scenario.model import Scenario

#: Exit codes; see docs/exit-codes-and-json.md.
OUR_FAULT, BAD_INPUT, MISSED, INACCURATE = 1, 2, 3, 5
INTERRUPTED, NO_READER, TERMINATED = 130, 141, 143
LINE_END = "\n"
#: Environment variable that shows where an error of ours happened.
DEBUG = "PLANNER_DEBUG"
#: Base of typer's usage errors: that of click, of whichever click typer uses.
USAGE_ERROR = typer.BadParameter.__mro__[2]

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


class Layout(StrEnum):
    """What ``planner schema`` can describe."""

    SCENARIO = "scenario"
    SIMULATE = "simulate"


def _version(wanted: bool) -> None:
    if wanted:
        _print(f"planner {__version__}\n")
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
        _print(dumps(run.result))
    else:
        with _stdout():
            write_text(run.result, sys.stdout)
    if not run.result.met:
        raise typer.Exit(MISSED)


@app.command()
def check(scenario: ScenarioFile, overrides: Overrides = None, seed: Seed = None) -> None:
    """Check a scenario without running it: every problem, with line and column."""
    from planner.evaluate import check as check_scenario  # noqa: PLC0415 - start-up

    spec = _load(scenario, overrides, seed)
    with _located(scenario, overrides):
        lines = check_scenario(spec)
    _print("".join(plain(line) + "\n" for line in lines))


def _share(text: str) -> float:
    """Return the share that ``0.3`` or ``30%`` stands for."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - start-up

    from planner.units import PositiveFraction  # noqa: PLC0415 - start-up

    try:
        return TypeAdapter(PositiveFraction).validate_python(text)
    except ValidationError as error:
        message = f"must be a share above 0, at most 1, as 0.3 or 30%, got {text!r:.40}"
        raise typer.BadParameter(message) from error


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
            parser=_share,
            metavar="SHARE",
            help="Rate, as a share of the predicted saturation; may be repeated.",
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="How often to serve each load.")] = 3,
    tolerance: Annotated[
        float | None,
        typer.Option(
            parser=_share,
            metavar="SHARE",
            help="Exit with 5 if a prediction is off by more, and by twice the runs' spread.",
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the CPU.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Nothing on standard error but errors.")
    ] = False,
) -> None:
    """Hold predicted latencies against those of a real engine that serves the same requests."""
    from planner.report.validation import (  # noqa: PLC0415 - start-up
        comparisons_json,
        render_comparisons,
    )

    if not engine:
        raise InputError("validate must be told what to compare with; add --engine")
    with _extra("calibrate"):
        from calibrate.validate import validate as run_both  # noqa: PLC0415 - needs torch
    spec = _load(scenario, overrides, seed)

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    with _located(scenario, overrides):
        found = run_both(spec, loads=load or (), runs=runs, threads=threads, say=say)
    if as_json:
        _print(comparisons_json(found.comparisons, found.facts, tolerance))
    else:
        _print(render_comparisons(found.comparisons, found.facts, tolerance))
    if tolerance is not None and any(each.missed(tolerance) for each in found.comparisons):
        raise typer.Exit(INACCURATE)


@app.command(
    add_help_option=False,
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],
    },
)
def calibrate(context: typer.Context) -> None:
    """Measure real models on this machine and make a profile of it: run, fit, show, quality."""
    with _extra("calibrate"):
        from calibrate.cli import app as commands  # noqa: PLC0415 - start-up

        found = commands(args=context.args, prog_name="planner calibrate", standalone_mode=False)
    if isinstance(found, str):
        _print(plain(found, keep=LINE_END))
    elif found:
        raise typer.Exit(found)


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Turn a package that is missing into the name of the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(("planner", "calibrate")):
            raise
        raise InputError(
            f"this needs the package {error.name!r}; pip install 'latency-planner[{name}]'"
        ) from error


@app.command()
def init(
    name: Annotated[str | None, typer.Argument(help="Name of a bundled scenario.")] = None,
    folder: Annotated[Path, typer.Argument(help="Where to put it.")] = Path(),
) -> None:
    """Copy a bundled scenario, and the traces it needs; without a name, list them."""
    from planner.scenario.bundled import copy_scenario, list_bundled  # noqa: PLC0415 - start-up

    lines = list_bundled() if name is None else map(str, copy_scenario(name, folder))
    _print("".join(plain(line) + "\n" for line in lines))


@app.command()
def schema(
    of: Annotated[Layout, typer.Argument(help="What the schema describes.")] = Layout.SCENARIO,
) -> None:
    """Print the JSON Schema of scenario files, or of what simulate --json prints."""
    if of is Layout.SIMULATE:
        from planner.report.json import result_schema_text  # noqa: PLC0415 - start-up

        _print(result_schema_text())
        return
    from planner.scenario.schema import schema_text  # noqa: PLC0415 - start-up

    _print(schema_text())


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
    typed = shlex.join(["planner", *sys.argv[1:]])
    command = typed.encode(errors="surrogateescape").decode(errors="replace")
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


class _NoReaderError(PlannerError):
    """Whoever read our output has gone, as ``head`` does."""

    exit_code = NO_READER


def _print(text: str) -> None:
    """Write text to standard output."""
    with _stdout():
        sys.stdout.write(text)


@contextmanager
def _stdout() -> Iterator[None]:
    """Turn failures of standard output into errors of ours, at once and not at exit."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # what is still buffered must not fail again when Python exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise _NoReaderError("") from error
        message = f"standard output: must be writable, got: {error.strerror or error}"
        raise InputError(message) from error


def _unexpected(error: BaseException) -> str:
    """Return one line about an error that should not have happened."""
    if os.environ.get(DEBUG):
        import traceback  # noqa: PLC0415 - start-up

        traceback.print_exception(error)
    said = " ".join(str(error).split())
    return (
        f"internal error: {type(error).__name__}{': ' * bool(said)}{said}; this is a fault of "
        f"planner {__version__}: please report it with the command and its files "
        f"({DEBUG}=1 shows where it happened)"
    )


def _usage(error: BaseException) -> str:
    """Return what is wrong with the command line, and where to look; nothing if help was shown."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return ""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "planner"
    said = str(getattr(error, "format_message", error.__str__)())
    return f"{said.rstrip('.?')}{'?' if said.endswith('?') else '.'} See {command} --help"


def _prepare() -> None:
    """Let output take any character, and a request to stop clean up as an interrupt does."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


def _failure(error: BaseException) -> tuple[str, int]:
    """Return what to say about an error, and the exit code."""
    if isinstance(error, PlannerError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "interrupted", INTERRUPTED
    if isinstance(error, USAGE_ERROR):
        return _usage(error), BAD_INPUT
    if isinstance(error, MemoryError):
        rule = "must fit into memory, got more than there is"
        return f"{rule}; lower the rate, the duration or simulation.replications", BAD_INPUT
    return _unexpected(error), OUR_FAULT


def main() -> None:
    """Run the command line; turn every error into a message and an exit code."""
    _prepare()
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # noqa: TRY301 - as typer got it
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last resort
        message, code = _failure(error)
        if message:
            sys.stderr.write(f"planner: {plain(message, keep=LINE_END)}\n")
    sys.exit(code)
