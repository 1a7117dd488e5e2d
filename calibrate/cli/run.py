"""`planner calibrate run`: measure this machine and make a profile of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.cli.options import ProfileName, folder_of, told
from planner.cli.options import AsJson, Html, Quiet  # noqa: TC001 - typer reads it
from planner.cli.pages import check_html
from planner.cli.shared import command_line, progress_of
from planner.errors import InputError

if TYPE_CHECKING:
    import torch

    from calibrate.measure.plan import Plan

#: What is measured by default on a CPU, and with ``--quick``, where a plain data type comes first,
#: the base; on a GPU see ``DEFAULT_VARIANTS``.
CPU_VARIANTS = (
    "{plain},{other},int8,int8-bf16,int4,{plain}+unstructured:0.5,{plain}+random:0.5,"
    "{plain}+structured:0.25,{plain}+structured:0.5,{plain}+compile"
)
QUICK_VARIANTS = "{plain},int8,{plain}+structured:0.5"
#: Runs on a GPU that do not count: kernels are compiled in the first, graphs recorded in the next.
WARMUP_CUDA = 3
#: Nothing is begun after this time with ``--quick``. [s]
QUICK_S = 120.0


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
    as_json: AsJson = False,
    html: Html = None,
    quiet: Quiet = False,
) -> str:
    """Measure steps, peaks, links and quality; fit; write profile.json."""
    if windows == 1:
        raise InputError("--windows: must be 0 or at least 2, got 1; of one there is no interval")
    from calibrate.fit.results import JOURNAL, write_results  # noqa: PLC0415 - start-up
    from calibrate.measure.hardware import device_named, use_threads  # noqa: PLC0415 - needs torch
    from calibrate.measure.session import calibrate  # noqa: PLC0415 - needs torch
    from calibrate.models.load import default_device  # noqa: PLC0415 - needs torch

    check_html(html)
    place = default_device() if device is None else device_named(device)
    if threads is not None:
        use_threads(threads)
    plan = _plan(model, settings, place, minutes=minutes, windows=windows, quick=quick)
    folder_of(out)
    with progress_of("calibrating", quiet=quiet) as advance:
        outcome = calibrate(plan, out / JOURNAL, advance)
    late = f"{outcome.late} points were left for lack of time; the same command goes on with them"
    try:
        with progress_of("fitting", quiet=quiet) as advance:
            fitted = write_results(
                outcome.measured,
                out,
                name,
                leave_one_out=not quick,
                command=command_line(),
                progress=advance,
            )
    except InputError as error:
        if outcome.late:
            raise InputError(f"{late}; until then: {error}") from error
        raise
    if outcome.late:
        fitted = fitted._replace(text=f"{fitted.text}\n{late}.\n")
    return told(fitted, as_json=as_json, html=html)


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
    from calibrate.measure.clock import Repeats  # noqa: PLC0415 - start-up
    from calibrate.measure.plan import Plan, Serving, Sizes  # noqa: PLC0415 - start-up
    from calibrate.measure.points import cpu_points, gpu_points, quick_points  # noqa: PLC0415

    cuda = device.type == "cuda"
    if settings is None:
        settings = _usual_variants(device, quick=quick)
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
        repeats=Repeats(warmup=WARMUP_CUDA) if cuda else Repeats(),
        sizes=Sizes.full(cuda=cuda),
        serving=Serving.full(cuda=cuda),
        windows=windows,
        seconds=seconds,
    )


def _usual_variants(device: torch.device, *, quick: bool) -> str:
    """Return what is measured on `device` where nothing is asked for."""
    from calibrate.compression.emulated import quickest_plain  # noqa: PLC0415 - needs torch
    from calibrate.compression.variant import DEFAULT_VARIANTS  # noqa: PLC0415 - needs torch

    if device.type == "cuda" and not quick:
        return ",".join(DEFAULT_VARIANTS)
    plain = quickest_plain(device)
    other = "bf16" if plain == "fp32" else "fp32"
    return (QUICK_VARIANTS if quick else CPU_VARIANTS).format(plain=plain, other=other)
