"""The report of a calibration: coefficients and how sure they are, residuals, settings, quality."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

from planner.catalog.coefficients import COEFFICIENTS
from planner.report.charts import calibration as charts
from planner.report.document import (
    Answer,
    Cell,
    Chart,
    Column,
    Document,
    Facts,
    Section,
    Table,
)
from planner.report.inputs.simulated import Number
from planner.report.numbers import NOTHING, count, percent, signed_percent
from planner.report.pages.compressed import quality_section, settings_section
from planner.report.pages.correlated import correlation_blocks
from planner.report.pages.sources import command_section, engine_version, numbers_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from planner.catalog.coefficients import Coefficient
    from planner.catalog.profile import Errors, Profile
    from planner.report.document import Block, State
    from planner.report.inputs.calibrated import Calibrated, Residuals

#: What one of a group of rows is called where the name of the groups would not do.
_GROUPS = {"lengths": "pair of lengths", "kernels": "kind of model"}
#: How a number is known that is no measurement.
_UNSURE = frozenset({"assumed", "memory"})


def calibration_document(found: Calibrated) -> Document:
    """Return the report of a calibration or of a profile alone."""
    profile = found.profile
    sections = [Section("coefficients", "Coefficients", tuple(_coefficients(profile)))]
    if found.residuals is not None and found.residuals.variant:
        blocks = tuple(_residuals(found.residuals))
        sections.append(Section("residuals", "How far off the fit is", blocks))
    if profile.evidence is not None:
        evidence = (Facts((("fitted to", profile.evidence.rows),)), _evidence(profile))
        sections.append(Section("evidence", "How far off predictions are", evidence))
    sections += [each for each in (settings_section(profile), quality_section(profile)) if each]
    known: tuple[Block, ...] = (Facts(_facts(profile)), numbers_table(_numbers(profile)))
    sections.append(Section("sources", "What was measured, and where", known))
    if found.command or found.tool_version:  # not of a profile alone
        sections.append(command_section(found.command, found.tool_version))
    return Document(
        title=f"{profile.name}: calibration",
        subtitle=f"{profile.engine}, {engine_version(profile.engine_version)}, "
        f"on {profile.device}, {profile.created}",
        answer=answer(found),
        sections=tuple(sections),
        tool_version=found.tool_version,
    )


def answer(found: Calibrated) -> Answer:
    """Return how far off the fit is, and what it leaves open."""
    profile = found.profile
    numbers = profile.coefficients.values()
    assumed = sum(each.provenance in _UNSURE for each in numbers)
    if numbers and assumed == len(numbers):
        return Answer("Assumed, not measured: no interval includes its error", "unsure")
    sentences = []
    weak = [name for name, each in profile.coefficients.items() if _share(each) > 0.5]
    if weak:
        sentences.append(f"Known to half of its value at best: {', '.join(weak)}.")
    if assumed:
        sentences.append(f"{count(assumed, 'coefficient')} assumed, not measured.")
    state: State = "unsure" if weak or assumed else "good"
    if found.residuals is not None and found.residuals.error:
        errors = [abs(each) for each in found.residuals.error]
        what = "steps left out of it" if found.residuals.left_out else "steps it was fitted to"
        middle, most = statistics.median(errors), charts.quantile(errors, 0.95)
        sentences.insert(0, f"95 % of them are off by at most {percent(most, 1)}.")
        said = f"The fit predicts half of the {what} to within {percent(middle, 1)}"
        return Answer(said, state, tuple(sentences))
    if profile.evidence is not None and profile.evidence.in_sample:
        judged = _judged(profile)
        said = ", ".join(f"{name} {percent(each.median_ape, 1)}" for name, each in judged.items())
        return Answer(f"Half of the predictions are off by at most: {said}", state,
                      tuple(sentences))  # fmt: skip
    return Answer(f"{count(len(numbers), 'coefficient')}", state, tuple(sentences))


def _judged(profile: Profile) -> Mapping[str, Errors]:
    """Return the errors of groups that were left out, or those of the fit where none was."""
    evidence = profile.evidence
    assert evidence is not None  # noqa: S101 - the caller has asked
    return next(iter(evidence.cross_validated.values()), evidence.in_sample)


def _share(each: Coefficient) -> float:
    """Return the standard error over the value; 0 where there is none."""
    return each.stderr / abs(each.value) if each.stderr and each.value else 0.0


def _legible(value: float, unit: str) -> tuple[float, str]:
    """Return what to multiply a number with, and its unit then: nobody reads 3e-05 s."""
    if unit != "s" or not 0 < abs(value) < 1:
        return 1.0, unit
    return (1e3, "ms") if abs(value) >= 1e-3 else (1e6, "µs")


def _coefficients(profile: Profile) -> Iterator[Block]:
    """Yield the coefficients, those of single devices, and how they are correlated."""
    groups = {"": profile.coefficients, **profile.devices}
    rows = []
    for device, coefficients in groups.items():
        for name, each in coefficients.items():
            meaning, unit, _ = COEFFICIENTS[name]
            state: State = "unsure" if each.provenance in _UNSURE else ""
            factor, short = _legible(each.value, unit)
            error = NOTHING if each.stderr is None else f"{factor * each.stderr:.2g}"
            rows.append((
                *((Cell(device or "all"),) if profile.devices else ()),
                Cell(f"{name}\n{meaning}", name), Cell(f"{factor * each.value:.4g}", each.value),
                Cell(error, each.stderr), Cell(percent(_share(each) or None), _share(each) or None),
                Cell(short, unit), Cell(each.provenance, each.provenance, state),
            ))  # fmt: skip
    columns = (
        *((Column("device", "device", numeric=False),) if profile.devices else ()),
        Column("coefficient", "coefficient", numeric=False),
        Column("value", "value"),
        Column("standard error", "stderr"),
        Column("of the value", "relative_stderr"),
        Column("unit", "unit", numeric=False),
        Column("how it is known", "provenance", numeric=False),
    )
    yield Table("coefficients", "Coefficients of the step time", columns, tuple(rows))
    yield from correlation_blocks(profile)


def _residuals(found: Residuals) -> Iterator[Block]:
    """Yield errors over what was in a step, by setting, and the table of both."""
    what = "each left out of the fit" if found.left_out else "of the fit itself"
    axes = (
        ("seconds", 1000.0, "step time", "measured step, milliseconds"),
        ("tokens", 1.0, "tokens in the step", "tokens in the step"),
        ("context", 1.0, "context", "tokens of context"),
    )
    inside = sum(abs(each) <= charts.BAND for each in found.error) / len(found.error)
    for name, factor, title, label in axes:
        by_kind: dict[str, list[tuple[float, float]]] = {}
        columns = zip(found.kind, getattr(found, name), found.error, strict=True)
        for kind, x, error in columns:
            by_kind.setdefault(kind, []).append((factor * x, error))
        yield Chart(
            name=f"residuals_{name}",
            title=f"Residuals over {title}",
            description=(
                f"Relative errors {what}, over {label}; {percent(inside)} of "
                f"{count(len(found.error), 'step')} are within {percent(charts.BAND)}."
            ),
            draw=partial(charts.residuals, by_kind=by_kind, label=label),
        )
    by_variant: dict[str, list[float]] = {}
    for variant, error in zip(found.variant, found.error, strict=True):
        by_variant.setdefault(variant, []).append(error)
    medians = [f"{name} {signed_percent(statistics.median(e))}" for name, e in by_variant.items()]
    yield Chart(
        name="residuals_settings",
        title="Residuals by setting",
        description=f"Where half and 90 % of the errors lie. Medians: {', '.join(medians)}.",
        draw=partial(charts.spreads, rows=by_variant),
        height=0.34 + 0.055 * len(by_variant),
    )
    yield _by_kind(found)


def _by_kind(found: Residuals) -> Table:
    groups: dict[tuple[str, str], list[float]] = {}
    for variant, kind, error in zip(found.variant, found.kind, found.error, strict=True):
        groups.setdefault((variant, kind), []).append(error)
    rows = []
    for (variant, kind), errors in groups.items():
        absolute = [abs(each) for each in errors]
        middle, most = statistics.median(absolute), max(absolute)
        mean = statistics.fmean(errors)
        rows.append((
            Cell(variant), Cell(kind), Cell(f"{len(errors):,}", len(errors)),
            Cell(percent(middle, 1), middle), Cell(signed_percent(mean), mean),
            Cell(percent(most, 1), most),
        ))  # fmt: skip
    columns = (
        Column("setting", "setting", numeric=False),
        Column("steps", "kind", numeric=False),
        Column("n", "n"),
        Column("median error", "median_ape"),
        Column("bias", "bias"),
        Column("largest", "largest"),
    )
    return Table("residuals", "Errors by setting and kind of step", columns, tuple(rows))


def _evidence(profile: Profile) -> Table:
    """Return errors of predictions, in sample and with each group left out."""
    evidence = profile.evidence
    assert evidence is not None  # noqa: S101 - the caller has asked
    groups = {"in sample": evidence.in_sample}
    groups |= {
        f"each {_GROUPS.get(kind, kind)} left out": by
        for kind, by in evidence.cross_validated.items()
    }
    rows = tuple(
        (
            Cell(group), Cell(metric), Cell(f"{each.n:,}", each.n),
            Cell(percent(each.mape, 1), each.mape), Cell(percent(each.median_ape, 1),
            each.median_ape), Cell(signed_percent(each.bias), each.bias),
        )
        for group, by in groups.items()
        for metric, each in by.items()
    )  # fmt: skip
    columns = (
        Column("predictions", "predictions", numeric=False),
        Column("metric", "metric", numeric=False),
        Column("n", "n"),
        Column("mean", "mape"),
        Column("median", "median_ape"),
        Column("bias", "bias"),
    )
    return Table("evidence", "Errors", columns, rows)


def _facts(profile: Profile) -> tuple[tuple[str, str], ...]:
    """Return machine, device at its best, data sets, remarks."""
    rows = []
    if profile.fingerprint is not None:
        rows.append(("fingerprint", profile.fingerprint))
    device = profile.hardware
    if device is not None:
        rows.append(("device", device.name))
        if device.memory:
            rows.append(("memory", f"{device.memory / 1e9:.1f} GB"))
        rows.append(("memory bandwidth", f"{device.bandwidth / 1e9:.1f} GB/s"))
        rows += [
            (f"peak {dtype}", f"{rate / 1e12:.4g} TFLOP/s") for dtype, rate in device.peaks.items()
        ]
        if device.link is not None:
            link = f"{device.link.bandwidth / 1e9:.2f} GB/s one way"
            rows.append((f"link {device.link.name}", link))
    if profile.evidence is not None:
        rows.append(("data sets", ", ".join(profile.evidence.datasets) or NOTHING))
        rows.append(("kinds of models", ", ".join(profile.evidence.kernels) or NOTHING))
    rows += [("remark", each) for each in profile.about]
    rows.append(("created", str(profile.created)))
    return tuple(rows)


def _numbers(profile: Profile) -> list[Number]:
    """Return every number of a profile with its source: coefficients, settings, quality."""
    found = [
        Number(
            name=f"{name} on {device}" if device else name,
            value=each.value,
            unit=COEFFICIENTS[name][1],
            provenance=each.provenance,
            source=each.source,
        )
        for device, by in {"": profile.coefficients, **profile.devices}.items()
        for name, each in by.items()
    ]
    for groups in (profile.settings, profile.quality):
        found += [
            Number(
                name=f"{name} {part}",
                value=each.value,
                provenance=each.provenance,
                source=each.source,
            )
            for name, by in groups.items()
            for part, each in by.items()
        ]
    return found
