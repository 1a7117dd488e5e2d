"""``planner validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.options import (
    INACCURATE,
    AsJson,
    Html,
    Overrides,
    Quiet,
    ScenarioFile,
    Seed,
    command,
    share,
)
from planner.cli.output import print_text
from planner.cli.pages import check_html, write_html
from planner.cli.shared import command_line, extra, located, progress_of, read_scenario
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from planner.catalog.profile import Profile
    from planner.validation.compare import Comparison
    from planner.validation.points.case import Case


@command()
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
            parser=share,
            metavar="SHARE",
            help="Rate, as a share of the predicted saturation; may be repeated.",
        ),
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help="How often to serve each load; 3 by default.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            parser=share,
            metavar="SHARE",
            help="Exit with 5 if a prediction is off by more, and by twice the runs' spread.",
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the CPU.")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Points: errors by device, engine, model, dtype, tp, dataset, load, ..."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Points: predict all by this profile; by default by device and engine."),
    ] = None,
    served_by: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            metavar="SCENARIO",
            help="The first argument is a file of measured requests; this served them.",
        ),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", help="Requests: only this run; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    html: Html = None,
    quiet: Quiet = False,
) -> None:
    """Hold predictions against a real engine, a table of measured points, or measured requests."""
    check_html(html)
    simulated = {"--set": overrides, "--seed": seed, "--tolerance": tolerance}
    served = {"--engine": engine or None, "--load": load, "--runs": runs, "--threads": threads}
    if served_by is None and _points(scenario):
        _refuse({**served, **simulated, "--run": run}, "a table of points")
        _validate_points(Path(scenario), by, profile, as_json=as_json, html=html, quiet=quiet)
        return
    _refuse({"--by": by, "--profile": profile}, "a scenario; a profile is --set service.profile")
    if served_by is not None:
        _refuse(served, "measured requests")
        with extra("calibrate"):
            from calibrate.serving.requests_command import compare_requests  # noqa: PLC0415 - start-up
        spec = read_scenario(served_by, overrides, seed)
        with located(served_by, overrides):
            compared, facts = compare_requests(spec, [scenario], run or ())
        _print_comparisons(compared, facts, tolerance, as_json=as_json, html=html)
        return
    if not engine:
        raise InputError(
            "validate must be told what to compare with; add --engine, or give a CSV of measured "
            "points in place of the scenario, or measured requests and --scenario"
        )
    _refuse({"--run": run}, "an engine of this machine")
    with extra("calibrate"):
        from calibrate.validate import validate as run_both  # noqa: PLC0415 - needs torch
    spec = read_scenario(scenario, overrides, seed)

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    with located(scenario, overrides):
        found = run_both(spec, loads=load or (), runs=runs or 3, threads=threads, say=say)
    _print_comparisons(found.comparisons, found.facts, tolerance, as_json=as_json, html=html)


def _refuse(given: Mapping[str, object], compared_with: str) -> None:
    """Refuse options that would have no effect on what is compared with."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise InputError(f"{', '.join(names)}: must be left out with {compared_with}")


def _print_comparisons(
    compared: Sequence[Comparison],
    facts: Mapping[str, str],
    tolerance: float | None,
    *,
    as_json: bool,
    html: Path | None,
) -> None:
    """Print what was predicted beside what was measured; exit if one is too far off."""
    from planner.report.json import indented  # noqa: PLC0415 - start-up
    from planner.report.validation import (  # noqa: PLC0415 - start-up
        comparisons_json,
        render_comparisons,
    )

    content = comparisons_json(compared, facts, tolerance, command_line())
    write_html(html, content)
    print_text(indented(content) if as_json else render_comparisons(compared, facts, tolerance))
    if tolerance is not None and any(each.missed(tolerance) for each in compared):
        raise typer.Exit(INACCURATE)


def _points(name: str) -> bool:
    """Return whether `name` is a table of points rather than a scenario."""
    return name.lower().endswith((".csv", ".csv.gz"))


def _validate_points(
    path: Path,
    by: str | None,
    profile: str | None,
    *,
    as_json: bool,
    html: Path | None,
    quiet: bool,
) -> None:
    """Print the errors of all points."""
    from planner.errors import did_you_mean  # noqa: PLC0415 - start-up
    from planner.report.json import indented  # noqa: PLC0415 - start-up
    from planner.report.points import points_json, render_points  # noqa: PLC0415 - start-up
    from planner.validation.points.compare import GROUPS, compare, profile_of  # noqa: PLC0415
    from planner.validation.points.table import read_points  # noqa: PLC0415 - start-up

    if by is not None and by not in GROUPS:
        raise InputError(
            f"--by must be one of {', '.join(GROUPS)}, got {by!r}{did_you_mean(by, GROUPS)}"
        )
    points = read_points(path)
    choose = profile_of if profile is None else _always(profile)
    with progress_of("predicting", quiet=quiet) as advance:
        outcome = compare(points, choose, advance)
    content = points_json(outcome, by, command_line())
    write_html(html, content)
    print_text(indented(content) if as_json else render_points(outcome, by))


def _always(name: str) -> Callable[[Case], Profile]:
    """Return what chooses the profile `name` for every case."""
    from planner.catalog.profile import load_profile  # noqa: PLC0415 - start-up

    found = load_profile(name)
    return lambda case: found  # noqa: ARG005 - whatever the case
