"""`planner calibrate`: measure this machine, fit the step model, show a profile.

Commands return what is to be printed; :mod:`planner.cli` prints it.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.endpoint_cli import endpoint
from planner.errors import InputError
from planner.report.progress import progress

if TYPE_CHECKING:
    import torch

    from calibrate.measure.plan import Plan

#: What is measured by default on a CPU, and with ``--quick``; on a GPU see ``DEFAULT_VARIANTS``.
CPU_VARIANTS = (
    "bf16,fp32,int8,int8-bf16,int4,unstructured:0.5,random:0.5,structured:0.25,structured:0.5,"
    "bf16+compile"
)
QUICK_VARIANTS = "bf16,int8,structured:0.5"
#: Nothing is begun after this time with ``--quick``. [s]
QUICK_S = 120.0


def _named(text: str) -> str:
    """Return the name of a profile, which must not be empty."""
    if not text.strip():
        raise typer.BadParameter("must not be empty")
    return text


#: ``--name``.
ProfileName = Annotated[str, typer.Option(callback=_named, help="What the profile is called.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure real models on this machine, and make a profile of it.",
)


@app.command()
def run(  # noqa: PLR0917 - typer's options
    model: Annotated[
        str, typer.Option(help="smollm2, a model of the catalogue (random weights), or a folder.")
    ] = "smollm2",
    settings: Annotated[
        str | None,
        typer.Option(help="Variants with commas between; the first is the base of speedups."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder; an interrupted run goes on there.")] = Path(
        "calibration"
    ),
    name: ProfileName = "measured",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default cuda if any.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the CPU.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Begin nothing after this time.")
    ] = None,
    windows: Annotated[
        int | None,
        typer.Option(min=0, help="Windows of 512 tokens that quality is measured on; 0 for none."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few points, few variants, no quality: 3 minutes.")
    ] = False,
) -> str:
    """Measure steps, peaks, links and quality; fit; write profile.json."""
    import torch  # noqa: PLC0415 - an extra

    from calibrate.measure.hardware import device_named  # noqa: PLC0415 - needs torch
    from calibrate.measure.session import calibrate  # noqa: PLC0415 - needs torch
    from calibrate.models import default_device  # noqa: PLC0415 - needs torch
    from calibrate.results import JOURNAL, write_results  # noqa: PLC0415 - start-up

    place = default_device() if device is None else device_named(device)
    if threads is not None:
        torch.set_num_threads(threads)
    plan = _plan(model, settings, place, minutes=minutes, windows=windows, quick=quick)
    folder_of(out)
    with progress("calibrating") as advance:
        outcome = calibrate(plan, out / JOURNAL, advance)
    late = f"{outcome.late} points were left for lack of time; the same command goes on with them"
    try:
        text = write_results(outcome.measured, out, name, leave_one_out=not quick)
    except InputError as error:
        if outcome.late:
            raise InputError(f"{error}; {late}") from error
        raise
    return f"{text}\n{late}.\n" if outcome.late else text


def _plan(
    model: str,
    settings: str | None,
    device: torch.device,
    *,
    minutes: float | None,
    windows: int | None,
    quick: bool,
) -> Plan:
    """Return what to measure of `model` on `device`, given the options of the command."""
    from calibrate.compression.variant import DEFAULT_VARIANTS  # noqa: PLC0415 - needs torch
    from calibrate.measure.clock import Repeats  # noqa: PLC0415 - start-up
    from calibrate.measure.plan import Plan, Serving, Sizes  # noqa: PLC0415 - start-up
    from calibrate.measure.points import cpu_points, gpu_points, quick_points  # noqa: PLC0415

    cuda = device.type == "cuda"
    if settings is None:
        usual = ",".join(DEFAULT_VARIANTS) if cuda else CPU_VARIANTS
        settings = QUICK_VARIANTS if quick else usual
    variants = tuple(word.strip() for word in settings.split(",") if word.strip())
    seconds = 60 * minutes if minutes is not None else QUICK_S if quick else None
    if quick:
        return Plan(
            source=model,
            variants=variants,
            points=quick_points,
            device=device,
            repeats=Repeats(least=3, most=10, spread=0.02, seconds=0.5),
            sizes=Sizes.quick(),
            serving=Serving.quick(),
            windows=0 if windows is None else windows,
            seconds=seconds,
        )
    return Plan(
        source=model,
        variants=variants,
        points=gpu_points if cuda else cpu_points,
        device=device,
        sizes=Sizes.full(cuda=cuda),
        serving=Serving.full(cuda=cuda),
        windows=windows,
        seconds=seconds,
    )


@app.command()
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
        list[str] | None,
        typer.Option(help="Points: a device of the catalogue; several share coefficients."),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Points: vllm, trtllm, sglang, ...")] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Points: only of this data set; may be repeated.")
    ] = None,
    kernels: Annotated[
        str | None, typer.Option(help="Points: only models of this kind: dense, moe, mla.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Points: a model not to fit to; may be repeated.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Points: what to leave out in turn: deployment, tp, lengths, model."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Requests: the model, engine and device that served them.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the scenario.")
    ] = None,
    runs: Annotated[
        list[str] | None, typer.Option("--run", help="Requests: only this run; may be repeated.")
    ] = None,
    hold: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Requests: a coefficient that is not fitted."),
    ] = None,
) -> str:
    """Fit the step model to measured steps, or end to end to results of load tests."""
    folder = None if out is None else folder_of(out)
    if scenario is not None:
        from calibrate.serving.commands import fit_profile  # noqa: PLC0415 - start-up
        from planner.scenario.bundled import find_scenario  # noqa: PLC0415 - start-up
        from planner.scenario.reader import load_scenario  # noqa: PLC0415 - start-up

        return fit_profile(
            load_scenario(find_scenario(scenario), overrides or ()),
            [str(each) for each in results],
            folder or results[0].parent,
            name=name,
            only=runs or (),
            hold=dict(map(_held, hold or ())),
        )
    if len(results) > 1 or overrides or runs or hold:
        raise InputError("several files, --set, --run and --hold must come with --scenario")
    (path,) = results
    if path.name.endswith((".csv", ".csv.gz")):
        if not device or engine is None:
            raise InputError(
                "a CSV must come with --device and --engine, if it holds measured points of "
                "several, or with --scenario, if it holds measured requests"
            )
        from calibrate.serving.command import fit_points  # noqa: PLC0415 - start-up

        return fit_points(
            path,
            folder or folder_of(Path()),
            name,
            device,
            engine,
            dataset or (),
            kernels,
            without or (),
            by or ("deployment",),
        )
    from calibrate.measure.journal import read_measurements  # noqa: PLC0415 - start-up
    from calibrate.results import write_results  # noqa: PLC0415 - start-up

    measured = read_measurements(path)
    return write_results(measured, folder or path.parent, name, leave_one_out=True)


def _held(text: str) -> tuple[str, float]:
    """Return name and value of ``overlap=1``."""
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise InputError(f"--hold must be NAME=NUMBER, as overlap=1, got {text!r:.60}") from None


@app.command()
def show(profile: Annotated[str, typer.Argument(help="profile.json, or a packaged name.")]) -> str:
    """Show a profile: what was measured where, coefficients, speedups, quality."""
    from calibrate.show import profile_text  # noqa: PLC0415 - start-up
    from planner.catalog.profile import load_profile  # noqa: PLC0415 - start-up

    today = dt.datetime.now(tz=dt.UTC).date()
    return profile_text(load_profile(profile), today, _this_machine())


@app.command(
    add_help_option=False,
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],
    },
)
def quality(context: typer.Context) -> str:
    """Measure what each setting costs in quality: table, JSON, plot."""
    from calibrate.quality_cli import quality as command  # noqa: PLC0415 - needs torch

    only = typer.Typer(
        add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
    )
    only.command()(command)
    found = only(args=context.args, prog_name="planner calibrate quality", standalone_mode=False)
    if isinstance(found, str):
        return found
    raise typer.Exit(found or 0)  # its help was asked for


app.command()(endpoint)


def folder_of(path: Path) -> Path:
    """Return `path`, a folder that exists now.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out must be a folder, got {str(path)!r}: {error.strerror}") from None
    return path


def _this_machine() -> str | None:
    """Return the fingerprint of this machine, or None where torch is missing."""
    try:
        from calibrate.measure.fingerprint import fingerprint  # noqa: PLC0415 - needs torch
        from calibrate.models import default_device  # noqa: PLC0415 - needs torch
    except ModuleNotFoundError:
        return None
    return fingerprint(default_device()).text
