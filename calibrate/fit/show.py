"""Profiles and measurements as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibrate.fit.speedups import LARGE, speedups
from calibrate.measure.hardware_records import BytesRecord, ParallelRecord
from calibrate.measure.header import same_machine
from calibrate.measure.records import MemoryRecord, StepRecord, VariantRecord
from calibrate.measure.stretches import ServedRecord, pulses_of
from calibrate.pulse import DISTURBED, slowness, undisturbed
from planner.catalog.coefficients import COEFFICIENTS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from calibrate.fit.profile import Calibration
    from calibrate.measure.journal import Measurements
    from planner.catalog.coefficients import Coefficient
    from planner.catalog.profile import Profile

_NOTHING = "-"
#: The reference step may vary by this before the measurements are doubtful. [-]
STEADY = 0.1


def profile_text(profile: Profile, today: dt.date, machine: str | None = None) -> str:
    """Return what is in `profile`.

    Parameters
    ----------
    profile : Profile
        What to show.
    today : date
        To tell its age.
    machine : str, optional
        Fingerprint of this machine, to flag a profile of another.
    """
    return "\n".join(_profile_lines(profile, today, machine)) + "\n"


def _profile_lines(profile: Profile, today: dt.date, machine: str | None) -> Iterator[str]:
    days = profile.age(today).days
    yield f"profile {profile.name!r} of {profile.device}, {profile.created} ({days} days old)"
    yield f"engine {profile.engine} {profile.engine_version}"
    if profile.fingerprint is not None:
        yield f"measured on {profile.fingerprint}"
        if machine is not None and not same_machine(machine, profile.fingerprint, threads=False):
            yield f"NOT this machine or its software: {machine}"
    yield from profile.about
    if profile.hardware is not None:
        yield ""
        yield from hardware_lines(profile)
    yield ""
    rows = [
        (name, _number(each), COEFFICIENTS[name][1], each.provenance, COEFFICIENTS[name][0])
        for name, each in profile.coefficients.items()
    ]
    yield from table(("coefficient", "value", "unit", "from", "meaning"), rows)
    if profile.settings:
        yield ""
        yield "Speedups beyond what follows from FLOPs, bytes and peaks"
        yield from table(
            ("setting", "part", "a"),
            [
                (key, part, f"{each.value:.3f}" + _error(each.stderr, ".3f"))
                for key, parts in profile.settings.items()
                for part, each in parts.items()
            ],
        )
    if profile.quality:
        yield ""
        yield from table(
            ("variant", "metric", "value"),
            [
                (variant, metric, _number(each))
                for variant, metrics in profile.quality.items()
                for metric, each in metrics.items()
            ],
        )


def hardware_lines(profile: Profile) -> Iterator[str]:
    """Yield what the profile's device can do at best."""
    device = profile.hardware
    if device is None:
        return
    rows = [("memory", f"{device.memory / 1e9:.1f} GB")] if device.memory else []
    rows.append(("memory bandwidth", f"{device.bandwidth / 1e9:.1f} GB/s"))
    rows += [
        (f"peak {dtype}", f"{rate / 1e12:.4g} TFLOP/s") for dtype, rate in device.peaks.items()
    ]
    if device.link is not None:
        rows.append((f"link {device.link.name}", f"{device.link.bandwidth / 1e9:.2f} GB/s one way"))
    yield from table(("device", device.name), rows)


def measured_text(measured: Measurements, calibration: Calibration | None) -> str:
    """Return what was measured: device, speedups, memory, links, what was left out.

    Parameters
    ----------
    measured : Measurements
        What to show.
    calibration : Calibration, optional
        What was made of it; None for an encoder, whose step times are listed instead.
    """
    return "\n".join(_measured_lines(measured, calibration)) + "\n"


def _measured_lines(measured: Measurements, calibration: Calibration | None) -> Iterator[str]:
    header = measured.header
    steps, base = measured.of(StepRecord), header.base
    yield f"{header.about}, on {header.fingerprint.text}"
    yield f"{len(steps)} steps measured, begun {header.created}"
    yield from _drift_lines(steps, measured.of(ServedRecord))
    yield ""
    if calibration is None:
        yield from _step_lines(steps)
    else:
        yield from hardware_lines(calibration.profile)
    found = speedups(measured, calibration)
    if found:
        yield ""
        yield (
            f"Speedup over {base}: prefill of {LARGE} tokens or more, decode; a_c, a_s by the fit"
        )
        yield from table(
            ("variant", "prefill", "decode", "a_c", "a_s"),
            [
                (
                    each.variant,
                    *(
                        str(part or _NOTHING)
                        for part in (each.large, each.decode, each.compute, each.storage)
                    ),
                )
                for each in found
            ],
        )
    yield from _memory_lines(measured)
    yield from _link_lines(measured)
    notes = [
        f"{each.variant} was not measured: {each.unsupported}"
        for each in measured.of(VariantRecord)
        if each.unsupported
    ]
    notes += [f"{each.what} was left out: {each.reason}" for each in measured.left_out()]
    if notes:
        yield ""
        yield from notes


def _drift_lines(steps: Sequence[StepRecord], served: Sequence[ServedRecord]) -> Iterator[str]:
    """Yield how much the machine's own speed varied, and a warning if that was much."""
    pulses = [each.pulse for each in steps if each.pulse is not None] + pulses_of(served)
    references = [each.reference for each in steps if each.reference is not None]
    if not references:
        return
    low, middle, high = np.quantile(references, (0.05, 0.5, 0.95))
    varied = max(high / middle, middle / low) - 1
    fitted = "as long as they would have been beside the usual one"
    if pulses:
        quiet = undisturbed(pulses)
        slow = np.mean([slowness(each, quiet) > DISTURBED for each in pulses])
        fitted = f"without what slowed the core, by more than 20 % in {100 * slow:.0f} % of them"
    yield (
        f"reference step: {middle * 1e3:.2f} ms, within {100 * varied:.0f} % for 9 points of 10; "
        f"steps are fitted {fitted}"
    )
    if varied > STEADY:
        yield (
            "WARNING: something else ran on this machine, or its clock changed; measure again "
            "while it is quiet"
        )


def _step_lines(steps: Sequence[StepRecord]) -> Iterator[str]:
    """Yield the time of every step of an encoder, which a service of stages is made of."""
    yield "Service times: a scenario has them as service: {kind: stages, stages: [...]}"
    variants = list(dict.fromkeys(each.variant for each in steps))
    rows: dict[tuple[int, int], dict[str, str]] = {}
    for each in steps:
        row = rows.setdefault((each.point.longest, each.point.sequences), {})
        row[each.variant] = f"{each.seconds * 1e3:.2f}"
    yield from table(
        ("tokens x texts [ms]", *variants),
        [
            (f"{length} x {count}", *(row.get(variant, _NOTHING) for variant in variants))
            for (length, count), row in sorted(rows.items())
        ],
    )


def _memory_lines(measured: Measurements) -> Iterator[str]:
    rows = [
        (
            each.variant,
            f"{each.weights / 1e6:,.1f}",
            f"{each.kv_cache / 1e6:,.1f}",
            _NOTHING if each.peak is None else f"{each.peak / 1e6:,.1f}",
        )
        for each in measured.of(MemoryRecord)
    ]
    if rows:
        yield ""
        yield from table(("memory [MB]", "weights", "KV cache", "peak"), rows)


def _link_lines(measured: Measurements) -> Iterator[str]:
    moved = [
        (
            each.what.replace("_", " "),
            f"{each.size:,}",
            str(each.processes),
            f"{each.seconds * 1e6:,.0f}",
            f"{each.rate / 1e9:.3f}",
        )
        for each in measured.of(BytesRecord)
    ]
    if moved:
        yield ""
        yield from table(("moved", "bytes", "processes", "us", "GB/s"), moved)
    split = [
        (
            f"{each.batch} x {each.tokens}",
            str(each.processes),
            f"{each.seconds * 1e3:.1f}",
            f"{each.forward * 1e3:.1f}",
        )
        for each in measured.of(ParallelRecord)
    ]
    if split:
        yield ""
        yield from table(("split, run, merged", "processes", "ms", "of which forward"), split)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table: columns as wide as they need be, the first to the left."""
    everything = [head, *rows]
    widths = [max(len(row[i]) for row in everything) for i in range(len(head))]
    for row in everything:
        cells = [
            cell.ljust(width) if i == 0 or not _is_number(rows, i) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _is_number(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(row[column][:1].isdigit() or row[column] == _NOTHING for row in rows)


def _number(each: Coefficient) -> str:
    return f"{each.value:.4g}" + _error(each.stderr, ".2g")


def _error(stderr: float | None, style: str) -> str:
    return "" if stderr is None else f" +/- {stderr:{style}}"
