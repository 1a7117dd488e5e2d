"""What settings do in a calibration: speedups with their errors, and what they cost in quality."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from planner.catalog.formats import formats
from planner.report.charts import calibration as charts
from planner.report.document import Cell, Chart, Column, Section, Table
from planner.report.numbers import NOTHING

if TYPE_CHECKING:
    from planner.catalog.profile import Profile
    from planner.report.document import Block

#: Names of prunings in variants, and the catalogue's.
_PATTERNS = {"random": "unstructured", "random_structured": "structured"}


def settings_section(profile: Profile) -> Section | None:
    """Return the a of each setting and part; None where none was fitted."""
    found = [
        (setting, part, each) for setting, by in profile.settings.items()
        for part, each in by.items()
    ]  # fmt: skip
    if not found:
        return None
    known = [charts.Known(f"{name} {part}", each.value, each.stderr) for name, part, each in found]
    said = ", ".join(f"{each.label} {each.value:.2f}" for each in known)
    rows = tuple(
        (
            Cell(setting), Cell(part), Cell(f"{each.value:.3f}", each.value),
            Cell(NOTHING if each.stderr is None else f"{each.stderr:.3f}", each.stderr),
            Cell(each.provenance),
        )
        for setting, part, each in found
    )  # fmt: skip
    columns = (
        Column("setting", "setting", numeric=False),
        Column("part", "part", numeric=False),
        Column("a", "a"),
        Column("standard error", "stderr"),
        Column("how it is known", "provenance", numeric=False),
    )
    note = "Beyond what fewer FLOPs and bytes, and the device's peaks, say; above 1 is faster."
    blocks: tuple[Block, ...] = (
        Chart(
            name="speedups",
            title="Speedups of settings (a), two standard errors either way",
            description=f"Above 1 is faster than FLOPs and bytes say. {said}.",
            draw=partial(charts.known_numbers, found=known, label="a", line=1.0),
            height=0.28 + 0.055 * len(known),
        ),
        Table("settings", "Speedups", columns, rows, note),
    )
    return Section("settings", "What settings do", blocks)


def quality_section(profile: Profile) -> Section | None:
    """Return what each variant costs in quality; None where none was measured."""
    if not profile.quality:
        return None
    metrics = list(dict.fromkeys(name for by in profile.quality.values() for name in by))
    blocks: list[Block] = []
    for number, metric in enumerate(metrics):
        points = []
        for variant, by in profile.quality.items():
            bits = kept_bits(variant)
            if metric in by and bits is not None:
                points.append((variant, bits, by[metric].value))
        if len(points) > 1:
            said = ", ".join(f"{name} {value:.3g}" for name, _, value in points)
            blocks.append(Chart(
                name=f"quality_{number}",
                title=f"{metric} against compression",
                description=f"Quality over the bits kept per weight. {said}.",
                draw=partial(charts.quality, points=points, label=metric),
            ))  # fmt: skip
    rows = tuple(
        (
            Cell(variant), Cell(metric), Cell(f"{each.value:.4g}", each.value),
            Cell(NOTHING if each.stderr is None else f"{each.stderr:.2g}", each.stderr),
        )
        for variant, by in profile.quality.items()
        for metric, each in by.items()
    )  # fmt: skip
    columns = (
        Column("variant", "variant", numeric=False),
        Column("metric", "metric", numeric=False),
        Column("value", "value"),
        Column("standard error", "stderr"),
    )
    blocks.append(Table("quality", "Quality", columns, rows))
    return Section("quality", "What settings cost in quality", tuple(blocks))


def kept_bits(variant: str) -> float | None:
    """Return the bits that a variant keeps of each weight of the layers; None if unknown.

    Examples
    --------
    >>> kept_bits("bf16"), kept_bits("structured:0.5"), kept_bits("strange")
    (16.0, 8.0, None)
    """
    known, bits, pruned, extra = formats(), 16.0, 1.0, 0.0
    for word in variant.split("+"):
        name, _, rate = word.partition(":")
        pattern = _PATTERNS.get(name, name)
        if word in known.pruning:
            name, rate, pattern = word, "0.5", word
        if name.partition("-")[0] in known.weights:
            bits = 8 * known.weights[name.partition("-")[0]].bytes
        elif pattern in known.pruning and rate:
            each = known.pruning[pattern]
            try:
                pruned, extra = 1 - each.bytes_removed * float(rate), each.metadata_bits
            except ValueError:
                return None
        elif word not in {"compile", "cuda_graphs"}:
            return None
    return bits * pruned + extra
