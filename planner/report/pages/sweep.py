"""The report of a sweep: sliders over its cells, load curves, the Pareto front, the table."""

from __future__ import annotations

import itertools
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from planner.report import document as nouns
from planner.report.charts import tradeoff as charts
from planner.report.document import Answer, Cell, Chart, Column, Document, Listing, Section, Table
from planner.report.numbers import NOTHING, UNBOUNDED, count, milliseconds, percent, rate
from planner.report.pages.objectives import bounds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from planner.report.document import Block, State
    from planner.report.inputs.swept import Axis, Swept
    from planner.report.inputs.swept import Cell as Point

#: Metrics that are drawn, and their statistics.
METRICS, STATISTICS = ("ttft", "tpot", "e2e"), ("p95", "p99")
#: Most curves in one chart.
MOST_CURVES = 4
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
    varied = [f"{axis.key}: {', '.join(map(shown, axis.values))}" for axis in found.vary]
    repeat = [Listing("Command", found.command)] if found.command else []
    repeat.append(Listing("Varied", "\n".join(varied)))
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
        (cell.usd_per_hour, -(cell.offered_requests_per_s or 0.0), k)
        for k, cell in enumerate(good)
        if cell.usd_per_hour is not None
    ]
    if priced:
        cost, _, k = min(priced)
        sentences.append(f"The cheapest: {_values(found, good[k])}, ${cost:,.2f} per hour.")
    failed = sum(cell.error is not None for cell in found.cells)
    if failed:
        sentences.append(f"{count(failed, 'cell')} could not be simulated.")
    said = f"{len(good)} of {count(len(judged), 'cell')} meet every objective"
    return Answer(said, "good" if len(good) == len(judged) else "unsure", tuple(sentences))


def shown(value: object) -> str:
    """Return a varied value as a reader sees it."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def axis_labels(axes: Sequence[Axis]) -> list[str]:
    """Return a name for each axis: the end of its key where that tells it apart, and its unit."""
    ends = [axis.key.rpartition(".")[2] for axis in axes]
    names = [end if ends.count(end) == 1 else a.key for end, a in zip(ends, axes, strict=True)]
    return [f"{name}, {a.unit}" if a.unit else name for name, a in zip(names, axes, strict=True)]


def _values(found: Swept, cell: Point) -> str:
    labels = axis_labels(found.vary)
    pairs = zip(labels, (cell.values.get(axis.key) for axis in found.vary), strict=True)
    return ", ".join(f"{label} {shown(value)}" for label, value in pairs)


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
        *(Cell(unknown if v is None else milliseconds(v), v) for v in latencies),
        Cell(rate(cell.offered_requests_per_s), cell.offered_requests_per_s),
        Cell(percent(cell.load), cell.load),
        Cell(percent(kv), kv),
        Cell(rate(tokens), tokens),
        Cell(NOTHING if cost is None else f"{cost:,.2f}", cost),
    )


def verdict(cell: Point) -> Cell:
    """Return whether a cell meets its objectives."""
    if cell.steady is False:
        return Cell("no steady state", "no steady state", "bad")
    if not cell.objectives:
        return Cell("none set", "none set")
    missed = sum(not each.met for each in cell.objectives)
    if missed:
        return Cell(f"{missed} of {len(cell.objectives)} missed", f"{missed} missed", "bad")
    state: State = "good" if all(each.sure for each in cell.objectives) else "unsure"
    return Cell("met" if state == "good" else "met, not sure", "met", state)


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
    axes = [
        nouns.Axis(label, tuple(map(shown, axis.values)), _start(found, k))
        for k, (label, axis) in enumerate(zip(labels, found.vary, strict=True))
    ]
    grid = list(itertools.product(*(range(len(axis.values)) for axis in found.vary)))
    results = {at: results_of(cell) for at, cell in zip(grid, found.cells, strict=True)}
    return nouns.Explorer(
        name="explorer",
        title="Move a slider: each position was simulated",
        axes=tuple(axes),
        columns=COLUMNS,
        results=results,
        line=_line(found, grid),
    )


def _start(found: Swept, k: int) -> int:
    """Return the value of an axis as it is today, or the first that can meet the objectives."""
    today = found.vary[k].today
    if today is not None and today < len(found.vary[k].values):
        return today
    for at, value in enumerate(found.vary[k].values):
        cells = [cell for cell in found.cells if cell.values.get(found.vary[k].key) == value]
        if any(cell.objectives_met for cell in cells):
            return at
    return 0


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
    """Return milliseconds with four digits: enough to draw."""
    return None if seconds is None else float(f"{1000 * seconds:.4g}")


def load_charts(found: Swept) -> Iterator[Chart]:
    """Yield latencies against the rate of requests, one curve for each setting of the rest."""
    rates = {cell.offered_requests_per_s for cell in found.cells} - {None}
    if len(rates) < 3:
        return
    outcomes = [each for cell in found.cells for each in cell.objectives or () if not each.class_]
    now = today(found)
    for metric in METRICS[:2]:
        curves = _curves(found, metric)
        if not curves:
            continue
        knees = [(curve.label, charts.knee(curve.points)) for curve in curves]
        turns = "; ".join(f"{label} turns up at {at:.3g}" for label, at in knees if at is not None)
        yield Chart(
            name=f"load_{metric}",
            title=f"{metric} p95 against load",
            description=f"Latency by requests per second. {turns or 'No knee in these rates'}.",
            draw=partial(charts.load, curves=curves, bounds=bounds_of(outcomes, metric), today=now),
        )


def today(found: Swept) -> float | None:
    """Return the rate of requests of the scenario as it is; None where no cell has it [1/s]."""
    for cell in found.cells:
        values = [
            axis.values[axis.today] if axis.today is not None and axis.today < len(axis.values)
            else None
            for axis in found.vary
        ]  # fmt: skip
        kept = [
            cell.values.get(axis.key) == value
            for k, (axis, value) in enumerate(zip(found.vary, values, strict=True))
            if value is not None or _changes_rate(found, k)
        ]
        if all(kept):
            return cell.offered_requests_per_s
    return None


def _curves(found: Swept, metric: str) -> list[charts.LoadCurve]:
    """Return p95 by rate for the settings that have three rates or more, the first few."""
    by_rest: dict[str, dict[float, float]] = {}
    for cell in found.cells:
        x, y = cell.offered_requests_per_s, cell.value(metric, "p95")
        if x is None or y is None or y <= 0:
            continue
        for k in range(len(found.vary)):
            if _changes_rate(found, k):
                rest = [axis for j, axis in enumerate(found.vary) if j != k]
                words = [f"{axis.key.rpartition('.')[2]} {shown(cell.values.get(axis.key))}"
                         for axis in rest]  # fmt: skip
                by_rest.setdefault(", ".join(words) or metric, {})[x] = y
    long = {label: points for label, points in by_rest.items() if len(points) >= 3}
    return [
        charts.LoadCurve(label, sorted(points.items()))
        for label, points in list(long.items())[:MOST_CURVES]
    ]


def _changes_rate(found: Swept, k: int) -> bool:
    """Return whether an axis changes how many requests come: the first cells along it differ."""
    step = 1
    for axis in found.vary[k + 1 :]:
        step *= len(axis.values)
    along = found.cells[: step * len(found.vary[k].values) : step]
    rates = [cell.offered_requests_per_s for cell in along if cell.offered_requests_per_s]
    return len(rates) > 1 and max(rates) > 1.05 * min(rates)


def choice_charts(found: Swept) -> Iterator[Chart]:
    """Yield cost against latency, of the cells with the highest rate that any of them meets."""
    good = [cell.offered_requests_per_s or 0.0 for cell in found.cells if cell.objectives_met]
    top = max(good, default=None)
    cells = [
        cell
        for cell in found.cells
        if top is None or abs((cell.offered_requests_per_s or 0.0) - top) <= 1e-3 * top
    ]
    known = [(cell, cell.usd_per_hour, cell.value("ttft", "p95")) for cell in cells]
    points = [(cell, cost, y) for cell, cost, y in known if cost is not None and y]
    if len({cost for _, cost, _ in points}) < 2:
        return
    front = charts.front_of([(cost, y) for _, cost, y in points])
    drawn = [
        charts.Choice(cost, y, bool(cell.objectives_met), on)
        for (cell, cost, y), on in zip(points, front, strict=True)
    ]
    names = [_values(found, cell) for (cell, _, _), on in zip(points, front, strict=True) if on]
    at = f" at {top:.3g} req/s" if top else ""
    yield Chart(
        name="cost_latency",
        title=f"Cost and ttft p95{at}",
        description=f"Each cell by cost per hour and latency. On the front: {'; '.join(names)}.",
        draw=partial(charts.choices, points=drawn, latency="ttft p95"),
    )
