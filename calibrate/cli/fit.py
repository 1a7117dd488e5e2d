"""`planner calibrate fit`: the step model's coefficients from steps, points or requests."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from calibrate.cli.options import ProfileName, folder_of, told
from planner.cli.options import AsJson, Html, Quiet  # noqa: TC001 - typer reads it
from planner.cli.pages import check_html
from planner.cli.shared import command_line, progress_of
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from calibrate.fitted import Fitted

#: Options of which several words are taken.
Words = list[str] | None


def fit(  # noqa: PLR0917 - typer's options
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...",
            help="measurements.jsonl of a calibration; a CSV of measured points, with --device and "
            "--engine; or measured requests, with --scenario.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder; by default that of the measurements.")
    ] = None,
    name: ProfileName = "measured",
    device: Annotated[
        Words,
        typer.Option(help="Points: a device of the catalogue; several share coefficients."),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Points: vllm, trtllm, sglang, ...")] = None,
    dataset: Annotated[
        Words, typer.Option(help="Points: only of this data set; may be repeated.")
    ] = None,
    kernels: Annotated[
        str | None, typer.Option(help="Points: only models of this kind: dense, moe, mla.")
    ] = None,
    without: Annotated[
        Words, typer.Option(help="Points: a model not to fit to; may be repeated.")
    ] = None,
    by: Annotated[
        Words,
        typer.Option(help="Points: what to leave out in turn: deployment, tp, lengths, model."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Requests: the model, engine and device that served them.")
    ] = None,
    overrides: Annotated[
        Words, typer.Option("--set", metavar="KEY=VALUE", help="Change the scenario.")
    ] = None,
    runs: Annotated[
        Words, typer.Option("--run", help="Requests: only this run; may be repeated.")
    ] = None,
    hold: Annotated[
        Words,
        typer.Option(metavar="NAME=VALUE", help="Requests: a coefficient that is not fitted."),
    ] = None,
    as_json: AsJson = False,
    html: Html = None,
    quiet: Quiet = False,
) -> str:
    """Fit the step model to measured steps, or end to end to results of load tests."""
    points = {"--device": device, "--engine": engine, "--dataset": dataset, "--kernels": kernels,
              "--without": without, "--by": by}  # fmt: skip
    check_html(html)
    run = partial(_run, quiet=quiet, as_json=as_json, html=html)
    requests = {"--set": overrides, "--run": runs, "--hold": hold}
    if scenario is not None:
        _refuse(points, "a CSV of measured points, without --scenario")
        held = dict(map(_held, hold or ()))
        return run(
            partial(_of_requests, results, out, name, scenario, overrides or (), runs or (), held)
        )
    _refuse(requests, "measured requests, with --scenario")
    if len(results) > 1:
        raise InputError("several files must be measured requests, with --scenario")
    (path,) = results
    if not path.name.endswith((".csv", ".csv.gz")):
        _refuse(points, "a CSV of measured points")
        return run(partial(_of_steps, path, out, name))
    if not device or engine is None:
        raise InputError(
            "a CSV must come with --device and --engine, if it holds measured points of "
            "several, or with --scenario, if it holds measured requests"
        )
    if len(device) > 1 and (as_json or html is not None):
        raise InputError("--json and --html must come with one --device, which has one profile")
    from calibrate.serving.points_command import fit_points  # noqa: PLC0415 - start-up

    folder = folder_of(out or Path())
    return run(
        partial(
            fit_points, path, folder, name, device, engine, dataset or (), kernels, without or (),
            by or ("deployment",), command=command_line(),
        )
    )  # fmt: skip


class Fitter(Protocol):
    """Fits, and tells how far it is."""

    def __call__(self, *, progress: Callable[[float], None]) -> Fitted:
        """Return what was fitted; `progress` is called with the share that is done."""


def _run(fitter: Fitter, *, quiet: bool, as_json: bool, html: Path | None) -> str:
    """Fit with progress on standard error, and return what is to be printed."""
    with progress_of("fitting", quiet=quiet) as advance:
        fitted = fitter(progress=advance)
    return told(fitted, as_json=as_json, html=html)


def _refuse(given: Mapping[str, Sequence[str] | str | None], place: str) -> None:
    """Refuse options that would have no effect here."""
    names = [name for name, value in given.items() if value]
    if names:
        raise InputError(f"{', '.join(names)}: must be left out here; for {place}")


def _of_requests(  # noqa: PLR0917 - the command's options
    results: Sequence[Path],
    out: Path | None,
    name: str,
    scenario: str,
    overrides: Sequence[str],
    runs: Sequence[str],
    hold: dict[str, float],
    *,
    progress: Callable[[float], None],
) -> Fitted:
    """Fit to measured requests, replayed at the scenario's engine."""
    from calibrate.serving.requests_command import fit_profile  # noqa: PLC0415 - start-up
    from planner.scenario.bundled import find_scenario  # noqa: PLC0415 - start-up
    from planner.scenario.reader import load_scenario  # noqa: PLC0415 - start-up

    spec = load_scenario(find_scenario(scenario), overrides)
    folder = folder_of(out or results[0].parent)
    files = [str(each) for each in results]
    return fit_profile(
        spec, files, folder, name=name, only=runs, hold=hold, command=command_line(),
        progress=progress,
    )  # fmt: skip


def _of_steps(
    path: Path, out: Path | None, name: str, *, progress: Callable[[float], None]
) -> Fitted:
    """Fit to the steps of a calibration."""
    from calibrate.fit.results import write_results  # noqa: PLC0415 - start-up
    from calibrate.measure.journal import read_measurements  # noqa: PLC0415 - start-up

    measured = read_measurements(path)
    folder = folder_of(out or path.parent)
    return write_results(
        measured, folder, name, leave_one_out=True, command=command_line(), progress=progress
    )


def _held(text: str) -> tuple[str, float]:
    """Return name and value of ``overlap=1``."""
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(
            f"--hold must be NAME=NUMBER, a finite one, as overlap=1, got {text!r:.60}"
        )
    return name.strip(), number
