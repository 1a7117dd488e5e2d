"""Run the command line: every error becomes a message and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, TextIO

import typer

from planner import __version__
from planner.cli import (  # noqa: F401 - commands
    calibrate,
    capacity,
    export,
    importing,
    plan,
    report,
    scenarios,
    simulate,
    sweep,
    validate,
)
from planner.cli.options import BAD_INPUT, INTERRUPTED, OUR_FAULT, TERMINATED, Manner, app
from planner.cli.output import LINE_END, print_text
from planner.cli.shared import versions
from planner.errors import InputError, PlannerError
from planner.report.plain import plain

#: Environment variable that shows where an error of ours happened.
DEBUG = "PLANNER_DEBUG"
#: Base of typer's usage errors: that of click, of whichever click typer uses.
USAGE_ERROR = typer.BadParameter.__mro__[2]


def _version(wanted: bool) -> None:
    if wanted:
        print_text(f"planner {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that hold for all commands."""


def _unexpected(error: BaseException, *, shown: bool) -> str:
    """Return one line about an error that should not have happened."""
    if shown or os.environ.get(DEBUG):
        import traceback  # noqa: PLC0415 - start-up

        traceback.print_exception(error)
    said = " ".join(str(error).split())
    return (
        f"internal error: {type(error).__name__}{': ' * bool(said)}{said}; this is a fault of "
        f"planner {__version__}: please report it with the command and its files "
        f"(-v, or {DEBUG}=1, shows where it happened)"
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
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()  # closed: >&-
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


def _nowhere() -> TextIO:
    """Return where output goes that nobody wants."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _check_folder() -> None:
    """Refuse to work in a folder that is gone: names of files mean nothing there."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        message = "the current folder must exist, got one that was deleted; change to another"
        raise InputError(message) from error


def _account(seconds: float) -> str:
    """Return what ran and how long it took, for ``-v``."""
    what = ", ".join(f"{name} {number}" for name, number in versions().items())
    ours = f"{seconds:.2f} s, {time.process_time():.2f} s of them on a processor"
    return f"{what}\ntook {ours}\n"


def _failure(error: BaseException, manner: Manner) -> tuple[str, int]:
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
    return _unexpected(error, shown=manner.verbose), OUR_FAULT


def main() -> None:
    """Run the command line; turn every error into a message and an exit code."""
    _prepare()
    began, manner = time.monotonic(), Manner()
    try:
        _check_folder()
        code = app(prog_name="planner", standalone_mode=False, obj=manner)
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # noqa: TRY301 - as typer got it
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last resort
        message, code = _failure(error, manner)
        if message:
            sys.stderr.write(f"planner: {plain(message, keep=LINE_END)}\n")
    if manner.verbose:
        sys.stderr.write(_account(time.monotonic() - began))
    sys.exit(code)
