"""The report of a sweep: sliders over its cells, load curves, the Pareto front, the table."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from planner.report import document as nouns
from planner.report.document import Answer, Cell, Column, Document, Listing, Section, Table
from planner.report.numbers import NOTHING, UNBOUNDED, count, only_milliseconds, percent, rate
from planner.report.pages.curves import METRICS, STATISTICS
from planner.report.pages.loads import (
    axis_labels,
    choice_charts,
    load_charts,
    shown,
    values_of,
)
from planner.report.pages.objectives import bounds_of
from planner.report.pages.sources import base_section, scenario_listing
from planner.report.pages.verdicts import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.report.document import Block
    from planner.report.inputs.swept import Cell as Point
    from planner.report.inputs.swept import Swept

#: What a table says of a cell after the varied values.
COLUMNS = (
    Column("objectives", "objectives", numeric=False),
    Column("ttft p95, ms", "ttft_p95_s"),
    Column("tpot p95, ms", "tpot_p95_s"),
    Column("e2e p95, ms", "e2e_p95_s"),
    Column("req/s", "offered_requests_per_s"),
    Column("load", "load"),
    Column("KV in use", "utilisation_kv_cache"),
    Column("output tokens/s", "output_tokens_per_s"),
    Column("$/h", "usd_per_hour"),
)


def sweep_document(found: Swept) -> Document:
    """Return the report of a sweep."""
    blocks: list[Block] = [explorer(found)]
    blocks += [*load_charts(found), *choice_charts(found)]
    sections = [Section("sweep", "Try values", tuple(blocks))]
    sections.append(Section("cells", "Every cell", (cells_table(found),)))
    sources = base_section(found.provenance)
    sections += [sources] if sources is not None else []
    varied = [f"{axis.key}: {', '.join(map(shown, axis.values))}" for axis in found.vary]
    repeat = [Listing("Command", found.command)] if found.command else []
    repeat.append(Listing("Varied", "\n".join(varied)))
    if found.base:
        repeat.append(scenario_listing(found.base, "Scenario as it is, resolved"))
    sections.append(Section("repeat", "Repeat it", tuple(repeat)))
    labels = axis_labels(found.vary)
    return Document(
        title=f"{found.scenario}: sweep",
        subtitle=f"{count(len(found.cells), 'cell')}: {' x '.join(labels)}",
        answer=answer(found),
        sections=tuple(sections),
        tool_version=found.tool_version,
    )


def answer(found: Swept) -> Answer:
    """Return how many cells meet every objective, and which of them is cheapest."""
    judged = [cell for cell in found.cells if cell.objectives_met is not None]
    if not judged:
        return Answer("No objective was set", "", (f"{count(len(found.cells), 'cell')}.",))
    good = [cell for cell in judged if cell.objectives_met]
    if not good:
        return Answer("No cell meets every objective", "bad")
    sentences = []
    priced = [
        (round(cell.usd_per_hour, 2), -(cell.offered_requests_per_s or 0.0), k)
        for k, cell in enumerate(good)
        if cell.usd_per_hour is not None
    ]
    if priced:
        cost, _, k = min(priced)
        sentences.append(f"The cheapest: {values_of(found, good[k])}, ${cost:,.2f} per hour.")
    failed = sum(cell.error is not None for cell in found.cells)
    if failed:
        sentences.append(f"{count(failed, 'cell')} could not be simulated.")
    said = f"{len(good)} of {count(len(judged), 'cell')} meet every objective"
    return Answer(said, "good" if len(good) == len(judged) else "unsure", tuple(sentences))


def results_of(cell: Point) -> tuple[Cell, ...]:
    """Return what a table says of a cell, as :data:`COLUMNS` has it."""
    if cell.error is not None:
        reason = Cell("cannot run", cell.error, "bad")
        return (reason, *(Cell(NOTHING) for _ in COLUMNS[1:]))
    unknown = NOTHING if cell.steady else UNBOUNDED
    latencies = [cell.value(metric, "p95") for metric in METRICS]
    kv = (cell.utilisation or {}).get("kv_cache")
    tokens = (cell.throughput or {}).get("output_tokens_per_s")
    cost = cell.usd_per_hour
    return (
        verdict(cell),
        *(Cell(unknown if v is None else only_milliseconds(v), v) for v in latencies),
        Cell(rate(cell.offered_requests_per_s), cell.offered_requests_per_s),
        Cell(percent(cell.load), cell.load),
        Cell(percent(kv), kv),
        Cell(rate(tokens), tokens),
        Cell(NOTHING if cost is None else f"{cost:,.2f}", cost),
    )


def cells_table(found: Swept) -> Table:
    """Return one row a cell."""
    labels = axis_labels(found.vary)
    varied = [
        Column(label, axis.key, numeric=all(map(_is_number, axis.values)))
        for label, axis in zip(labels, found.vary, strict=True)
    ]
    rows = []
    for cell in found.cells:
        values = [cell.values.get(axis.key) for axis in found.vary]
        head = [Cell(shown(v), v if _is_number(v) else shown(v)) for v in values]  # type: ignore[arg-type]
        rows.append((*head, *results_of(cell)))
    reasons = list(dict.fromkeys(cell.error for cell in found.cells if cell.error))
    note = " ".join(["*: no steady state.", *(f"Cannot run: {each}." for each in reasons[:5])])
    return Table("cells", "Cells", (*varied, *COLUMNS), tuple(rows), note)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def explorer(found: Swept) -> nouns.Explorer:
    """Return sliders over the cells, with latencies along the axis of most values."""
    labels = axis_labels(found.vary)
    grid = list(itertools.product(*(range(len(axis.values)) for axis in found.vary)))
    axes = [
        nouns.Axis(label, tuple(map(shown, axis.values)), start)
        for label, axis, start in zip(labels, found.vary, _start(found, grid), strict=True)
    ]
    results = {at: results_of(cell) for at, cell in zip(grid, found.cells, strict=True)}
    return nouns.Explorer(
        name="explorer",
        title="Move a slider: each position was simulated",
        axes=tuple(axes),
        columns=COLUMNS,
        results=results,
        line=_line(found, grid),
    )


def _start(found: Swept, grid: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the point that is seen first: as it is today, else the first that meets everything.

    Where today has a value on some axes only, the first there that meets every objective, or the
    first anywhere; where none does, the first that could be simulated.
    """
    today = [
        axis.today if axis.today is not None and axis.today < len(axis.values) else None
        for axis in found.vary
    ]

    def as_today(at: tuple[int, ...]) -> bool:
        return all(own is None or own == k for own, k in zip(today, at, strict=True))

    points = list(zip(grid, found.cells, strict=True))
    if None not in today:
        return next(at for at, _ in points if as_today(at))
    for wanted in (lambda cell: cell.objectives_met, lambda cell: cell.error is None):
        good = [at for at, cell in points if wanted(cell)]
        if good:
            return next((at for at in good if as_today(at)), good[0])
    return grid[0]


def _line(found: Swept, grid: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """Return what a page draws beside the sliders: latencies along one axis; empty without one."""
    numeric = [k for k, axis in enumerate(found.vary) if all(map(_is_number, axis.values))]
    if not numeric:
        return {}
    along = max(numeric, key=lambda k: (len(found.vary[k].values), -k))
    outcomes = [each for cell in found.cells for each in cell.objectives or () if not each.class_]
    return {
        "axis": along,
        "x": found.vary[along].values,
        "label": axis_labels(found.vary)[along],
        "statistics": list(STATISTICS),
        "metrics": [
            {
                "name": metric,
                "bounds": bounds_of(outcomes, metric),
                "values": {
                    ",".join(map(str, at)): [_digits(cell.value(metric, s)) for s in STATISTICS]
                    for at, cell in zip(grid, found.cells, strict=True)
                },
            }
            for metric in METRICS
        ],
    }


def _digits(seconds: float | None) -> float | None:
    """Return only_milliseconds with four digits: enough to draw."""
    return None if seconds is None else float(f"{1000 * seconds:.4g}")
