"""``planner plan``."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.export import Target  # noqa: TC001 - typer reads it
from planner.cli.options import (
    INFEASIBLE,
    AsJson,
    Force,
    Html,
    Overrides,
    PlanFolder,
    Quiet,
    ScenarioFile,
    Seed,
    command,
)
from planner.cli.output import print_text, stdout
from planner.cli.pages import check_html, write_html
from planner.cli.shared import (
    command_line,
    extra,
    located,
    progress_of,
    read_scenario,
    say_compiling,
    versions,
)
from planner.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from planner.planning.option import Option
    from planner.planning.result import Plan
    from planner.scenario.model import Scenario
    from planner.scenario.reader import Given


class Backend(StrEnum):
    """Where evaluations run."""

    LOKY = "loky"
    DASK = "dask"


@command()
def plan(  # noqa: PLR0917 - typer's options
    scenario: ScenarioFile,
    target: Annotated[
        str | None, typer.Option(help="Objectives instead of the scenario's: 'ttft:p95<300ms; ...'")
    ] = None,
    max_cost: Annotated[str | None, typer.Option(help="Most per hour, as '$200/h'.")] = None,
    max_quality_loss: Annotated[
        str | None, typer.Option(help="Most that perplexity may rise, as 2%.")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="Devices to choose from; may be given again.")
    ] = None,
    max_devices: Annotated[
        list[str] | None,
        typer.Option(help="Most devices, as 8, or of one type, as H100=8; may be given again."),
    ] = None,
    max_power: Annotated[str | None, typer.Option(help="Most design power, as '20 kW'.")] = None,
    availability: Annotated[
        str | None, typer.Option(help="Share of time with enough replicas, as 99.9%.")
    ] = None,
    spares: Annotated[
        int | None, typer.Option(min=0, help="Replicas that may fail, beside those needed.")
    ] = None,
    measured_only: Annotated[
        bool, typer.Option("--measured-only", help="Only measured speeds and qualities.")
    ] = False,
    confidence: Annotated[
        str | None, typer.Option(help="Probability that all objectives are met; 95% by default.")
    ] = None,
    overrides: Overrides = None,
    seed: Seed = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one per core.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="Where evaluations run.")] = Backend.LOKY,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler, as tcp://10.0.0.5:8786.")
    ] = None,
    out: PlanFolder = None,
    resume: Annotated[
        bool, typer.Option(help="Use what earlier searches evaluated, or evaluate anew.")
    ] = True,
    force: Force = False,
    html: Html = None,
    export: Annotated[
        Target | None,
        typer.Option(help="Print what deploys the plan; the plan goes to standard error."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find the cheapest fleet that meets the objectives: devices, replicas, settings, and why."""
    from planner.report.plan import screen_of_plan  # noqa: PLC0415 - start-up
    from planner.report.plan_files import STORE, check_folder, plan_json, write_folder  # noqa: PLC0415 - start-up
    from planner.report.screen import write_screen  # noqa: PLC0415 - start-up

    if export is not None and as_json:
        raise InputError("--export and --json must not be given both: each has its own output")
    if scheduler is not None and backend is Backend.LOKY:
        raise InputError("--scheduler: must come with --backend dask, got it without; add that")
    given = _given(
        {
            "--target": ("objectives", target),
            "--max-cost": ("plan.max_cost", max_cost),
            "--max-quality-loss": ("plan.max_quality_loss", max_quality_loss),
            "--device": ("plan.devices", device),
            "--max-devices": ("plan.max_devices", _limits(max_devices)),
            "--max-power": ("plan.max_power", max_power),
            "--availability": ("plan.availability", availability),
            "--spares": ("plan.spares", spares),
            "--measured-only": ("plan.measured_only", True if measured_only else None),
            "--confidence": ("plan.confidence", confidence),
        }
    )
    spec = read_scenario(scenario, overrides, seed, given)
    if out is not None:
        check_folder(out, force=force)
    check_html(html)
    store = None if out is None else out / STORE
    with located(scenario, overrides, given), extra("distributed"):
        found = _search(
            spec, store, resume=resume, jobs=jobs, backend=backend, scheduler=scheduler, quiet=quiet
        )
    if out is not None:
        write_folder(out, found, versions=versions())
    write_html(html, found.to_json())
    if export is not None and found.recommendation is not None:
        _deploy(spec, found.recommendation.option, export)
    if as_json:
        print_text(plan_json(found))
    elif export is None:
        with stdout():
            write_screen(screen_of_plan(found), sys.stdout)
    elif not quiet:
        write_screen(screen_of_plan(found), sys.stderr)
    if found.recommendation is None:
        raise typer.Exit(INFEASIBLE)


def _deploy(spec: Scenario, option: Option, to: Target) -> None:
    """Print what deploys a plan's fleet, its spares included."""
    from planner.report.deploy import export as deployed  # noqa: PLC0415 - start-up

    fleet = option.candidate.scenario(spec, option.replicas + option.spares)
    print_text(deployed(fleet, to.value).text)


def _given(options: dict[str, tuple[str, object]]) -> list[Given]:
    """Return what the options give, each with where it belongs and how it was typed."""
    from planner.scenario.reader import Given  # noqa: PLC0415 - start-up

    return [
        Given(tuple(key.split(".")), value, _typed(name, value))
        for name, (key, value) in options.items()
        if value is not None
    ]


def _typed(name: str, value: object) -> str:
    """Return an option as it was typed; one that was given several times, with all of them."""
    if value is True:
        return name
    if isinstance(value, dict):
        each = [f"{key}={most}" if key != "all" else f"{most}" for key, most in value.items()]
    else:
        each = [f"{one}" for one in value] if isinstance(value, list) else [f"{value}"]
    return " ".join(f"{name} {one}" for one in each)


def _limits(texts: list[str] | None) -> dict[str, object] | None:
    """Return the most devices by name that ``8`` or ``H100=8`` stand for."""
    if texts is None:
        return None
    limits: dict[str, object] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        if re.fullmatch(r"\s*\d{1,15}\s*", number, re.ASCII) is None:
            message = f"must be a number of devices, as 8 or H100-SXM-80GB=8, got {text!r:.60}"
            raise typer.BadParameter(message, param_hint="--max-devices")
        name = name.strip() or "all"
        if name in limits:
            message = f"must be given once for each type, got {name!r:.60} twice"
            raise typer.BadParameter(message, param_hint="--max-devices")
        limits[name] = int(number)
    return limits


def _search(
    spec: Scenario,
    store: Path | None,
    *,
    resume: bool,
    jobs: int | None,
    backend: Backend,
    scheduler: str | None,
    quiet: bool,
) -> Plan:
    """Search, with progress and the time left on standard error."""
    from planner.planning.plan import plan as search  # noqa: PLC0415 - start-up
    from planner.planning.store import cache_folder  # noqa: PLC0415 - start-up

    say_compiling(quiet=quiet)
    try:
        with progress_of("planning", quiet=quiet) as advance:
            return search(
                spec,
                store=store,
                resume=resume,
                jobs=jobs,
                backend=backend.value,
                scheduler=scheduler,
                command=command_line(),
                progress=advance,
            )
    except KeyboardInterrupt:
        if not quiet:
            kept = store or cache_folder()
            typer.echo(f"what was evaluated is kept in {kept}; the same command goes on", err=True)
        raise
