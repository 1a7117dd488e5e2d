"""What every command shares: the application, its common options, exit codes."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

Of = TypeVar("Of", bound="Callable[..., object]")

#: Exit codes; see docs/exit-codes-and-json.md.
OUR_FAULT, BAD_INPUT, MISSED, INFEASIBLE, INACCURATE = 1, 2, 3, 4, 5
INTERRUPTED, NO_READER, TERMINATED = 130, 141, 143

app = typer.Typer(
    name="planner",
    help="How many accelerators, and which settings, a real-time LLM service needs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def bundled_names(incomplete: str) -> list[str]:
    """Return the bundled scenarios whose names begin so, for a shell that completes."""
    from planner.scenario.bundled import list_bundled  # noqa: PLC0415 - start-up

    return [name for name in list_bundled() if name.startswith(incomplete)]


def scenario_names(incomplete: str) -> list[str]:
    """Return the bundled scenarios, files of YAML and folders that begin so."""
    folder, begun = os.path.split(incomplete)
    typed = incomplete.removesuffix(begun)
    return bundled_names(incomplete) + [
        f"{typed}{each.name}" + "/" * each.is_dir()
        for each in sorted(Path(folder or ".").glob("*"))
        if each.name.startswith(begun) and (each.is_dir() or each.suffix in {".yaml", ".yml"})
    ]


ScenarioFile = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO",
        help="A scenario file, or the name of a bundled one.",
        autocompletion=scenario_names,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value, as fleet.replicas=3."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed instead of the scenario's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on standard error but errors.")]


@dataclass
class Manner:
    """How a command is run; the options of every command set it.

    Parameters
    ----------
    verbose : bool
        Whether to say what ran, how long it took, and where an error of ours happened.
    """

    verbose: bool = False


def _verbose(context: typer.Context, wanted: bool) -> None:
    if wanted and isinstance(context.obj, Manner):
        context.obj.verbose = True


Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_verbose,
        help="Say on standard error what ran and how long it took.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for scenario, summary, every request, and how it was run."),
]
PlanFolder = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for the plan and every evaluation; taken up again."),
]
Force = Annotated[bool, typer.Option(help="Write into a folder with other files.")]

Html = Annotated[
    Path | None, typer.Option("--html", help="Also a page of the result, or with .md Markdown.")
]


def share(text: str) -> float:
    """Return the share that ``0.3`` or ``30%`` stands for."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - start-up

    from planner.units import PositiveFraction  # noqa: PLC0415 - start-up

    try:
        return TypeAdapter(PositiveFraction).validate_python(text)
    except ValidationError as error:
        message = f"must be a share above 0, at most 1, as 0.3 or 30%, got {text!r:.40}"
        raise typer.BadParameter(message) from error


def command(name: str | None = None) -> Callable[[Of], Of]:
    """Register a function as a command, with the options that all commands have: -q and -v.

    One that says nothing on standard error has no use for ``quiet`` and does not take it.

    Parameters
    ----------
    name : str, optional
        Of the command; by default that of the function.
    """

    def register(function: Of) -> Of:
        app.command(name)(mannered(function))
        return function

    return register


def mannered(function: Callable[..., object]) -> Callable[..., object]:
    """Return a command that also takes -q and -v; what `function` takes of them it gets."""
    signature = inspect.signature(function)
    added: dict[str, Any] = {"quiet": Quiet, "verbose": Verbose}
    for taken in signature.parameters:
        added.pop(taken, None)

    @wraps(function)
    def run(*args: object, **options: object) -> object:
        return function(*args, **{key: each for key, each in options.items() if key not in added})

    hints = get_type_hints(function, include_extras=True)
    shown = [each.replace(annotation=hints[each.name]) for each in signature.parameters.values()]
    shown += [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for key, kind in added.items()
    ]
    run.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    run.__annotations__ = {**hints, **added}
    return run
