"""What every command shares: the application, its common options, exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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

ScenarioFile = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a bundled one.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value, as fleet.replicas=3."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed instead of the scenario's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on standard error but errors.")]
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
