"""What commands do alike: read the scenario, locate its problems, run it."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from planner import __version__
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from planner.evaluate import Run
    from planner.scenario.model import Scenario
    from planner.scenario.reader import Given


#: Extras of packages that only a part of a command needs.
BROUGHT_BY = {"aiohttp": "endpoint"}


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a package that is missing into the name of the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(("planner", "calibrate")):
            raise
        which = BROUGHT_BY.get(error.name, name)
        raise InputError(
            f"this needs the package {error.name!r}; pip install 'latency-planner[{which}]'"
        ) from error


def read_scenario(
    name: str, overrides: list[str] | None, seed: int | None, options: Sequence[Given] = ()
) -> Scenario:
    """Read the scenario of that name or path, with overrides, seed and other options."""
    from planner.scenario.bundled import find_scenario  # noqa: PLC0415 - start-up
    from planner.scenario.reader import load_scenario  # noqa: PLC0415 - start-up

    return load_scenario(find_scenario(name), overrides or (), seed, options=options)


@contextmanager
def located(
    name: str, overrides: list[str] | None, options: Sequence[Given] = ()
) -> Iterator[None]:
    """Give problems that name only a key path the file and line of that key."""
    from planner.scenario.bundled import find_scenario  # noqa: PLC0415 - start-up
    from planner.scenario.locate import locate  # noqa: PLC0415 - start-up

    try:
        yield
    except InputError as error:
        file = find_scenario(name)
        raise InputError(locate(error.problems, file, overrides or (), options)) from error


def command_line() -> str:
    """Return the command as it was typed, with whatever is no text in it replaced."""
    typed = shlex.join(["planner", *sys.argv[1:]])
    return typed.encode(errors="surrogateescape").decode(errors="replace")


def made_by(content: dict[str, Any]) -> dict[str, Any]:
    """Return JSON values below the version of their layout, that of the tool, and the command."""
    head = {"schema_version": 1, "tool_version": __version__, "command": command_line()}
    return {**head, **content}


def say_compiling(*, quiet: bool) -> None:
    """Say on standard error that the first run compiles the simulator, if this is one."""
    from planner import evaluate  # noqa: PLC0415 - start-up

    if not quiet and not evaluate.is_compiled():
        typer.echo("Compiling the simulator, once; later runs start at once.", err=True)


@contextmanager
def progress_of(label: str, *, quiet: bool) -> Iterator[Callable[[float], None]]:
    """Give what shows the share done on standard error, or nothing if that must be quiet."""
    from planner.report.progress import progress  # noqa: PLC0415 - start-up

    if quiet:
        yield lambda _share: None
        return
    with progress(label) as advance:
        yield advance


def run_scenario(spec: Scenario, *, quiet: bool) -> Run:
    """Run the scenario with progress on standard error."""
    from planner import evaluate  # noqa: PLC0415 - start-up

    if spec.service.kind == "llm":
        say_compiling(quiet=quiet)
    with progress_of("simulating", quiet=quiet) as advance:
        return evaluate.simulate(spec, command=command_line(), progress=advance)


def versions() -> dict[str, str]:
    """Return the versions of what computes a result."""
    from importlib.metadata import version  # noqa: PLC0415 - start-up

    names = ("numpy", "numba", "scipy", "simpy", "pydantic")
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, "latency-planner": __version__} | {n: version(n) for n in names}
