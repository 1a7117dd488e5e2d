"""The report of predictions beside runs of a real engine under the same requests."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import agreement as charts
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
from planner.report.numbers import NOTHING, count, duration, percent, rate, signed_percent
from planner.report.pages.sources import command_section

if TYPE_CHECKING:
    from collections.abc import Iterable

    from planner.report.document import Block, State
    from planner.report.inputs.validated import Compared, ComparedRow, Comparison

#: Most numbers that one chart shows below each other.
MOST_PAIRS = 40


def comparison_document(found: Compared) -> Document:
    """Return the report of predictions beside measured runs."""
    sections = [Section("errors", "Predicted and measured", tuple(_blocks(found)))]
    if found.facts:
        facts = Facts(tuple(found.facts.items()))
        sections.append(Section("sources", "What was run", (facts,)))
    sections.append(command_section(found.command, found.tool_version))
    return Document(
        title=f"{found.facts.get('scenario', 'scenario')}: predicted and measured",
        subtitle=count(len(found.comparisons), "load"),
        answer=answer(found),
        sections=tuple(sections),
        tool_version=found.tool_version,
    )


def answer(found: Compared) -> Answer:
    """Return how many numbers are within the tolerance, or how far off they are."""
    rows = [(each, row) for each in found.comparisons for row in each.rows]
    errors = [abs(row.error) for _, row in rows if row.error is not None]
    if not errors:
        return Answer("Nothing could be compared", "bad")
    middle = percent(statistics.median(errors), 1)
    sentences = [f"Half of the {len(errors)} numbers are off by at most {middle}."]
    known = [(abs(row.error), each, row) for each, row in rows if row.error is not None]
    _, worst, row = max(known, key=lambda each: each[0])
    sentences.append(f"Farthest off: {_name(row)} of {worst.label}, {signed_percent(row.error)}.")
    if found.tolerance is None:
        by = {metric: [abs(r.error) for _, r in rows if r.metric == metric and r.error is not None]
              for metric in dict.fromkeys(row.metric for _, row in rows)}  # fmt: skip
        said = ", ".join(f"{m} {percent(statistics.fmean(e), 1)}" for m, e in by.items() if e)
        return Answer(f"Predictions are off, on average, by: {said}", "", tuple(sentences))
    missed = sum(row.met is False for _, row in rows)
    allowed = f"{percent(found.tolerance)}, or twice the spread of the runs"
    if missed:
        said = f"{missed} of {count(len(rows), 'number')} are off by more than {allowed}"
        return Answer(said, "bad", tuple(sentences))
    return Answer(f"Every prediction is within {allowed}", "good", tuple(sentences))


def _blocks(found: Compared) -> Iterable[Block]:
    """Yield a chart for each metric, then the table."""
    metrics: dict[str, list[tuple[Comparison, ComparedRow]]] = {}
    for each in found.comparisons:
        for row in each.rows:
            metrics.setdefault(row.metric, []).append((each, row))
    for number, (metric, rows) in enumerate(metrics.items()):
        chart = _chart(metric, rows, number)
        if chart is not None:
            yield chart
    yield comparison_table(found)


def _chart(metric: str, rows: list[tuple[Comparison, ComparedRow]], number: int) -> Chart | None:
    pairs = [
        charts.Pair(
            f"{each.label} {row.statistic or ''}".strip(),
            row.predicted,
            tuple(run for run in row.runs if run is not None),
        )
        for each, row in rows
    ]
    pairs = [pair for pair in pairs if pair.runs and max(pair.runs) > 0][:MOST_PAIRS]
    if not pairs:
        return None
    errors = [row.error for _, row in rows if row.error is not None]
    mean = signed_percent(statistics.fmean(errors)) if errors else "not known"
    left = f" The first {len(pairs)} of {len(rows)} are drawn." if len(pairs) < len(rows) else ""
    unit = rows[0][1].unit
    what = "milliseconds" if unit == "s" else "per second"
    return Chart(
        name=f"compared_{number}",
        title=f"{metric}: predicted and measured, {what}",
        description=(
            f"Each load and statistic: runs that were measured, and the prediction. "
            f"Mean error {mean}.{left}"
        ),
        draw=partial(charts.pairs, found=pairs, unit=unit),
        height=0.32 + 0.055 * len(pairs),
    )


def comparison_table(found: Compared) -> Table:
    """Return one row a number."""
    judged = found.tolerance is not None
    both = any(row.by_profile is not None for each in found.comparisons for row in each.rows)
    columns = [
        Column("load", "load", numeric=False),
        Column("req/s", "requests_per_s"),
        Column("metric", "metric", numeric=False),
        *([Column("by profile", "by_profile")] if both else []),
        Column("predicted", "predicted"),
        Column("measured", "measured"),
        Column("spread", "spread"),
        Column("error", "error"),
    ]
    if judged:
        columns.append(Column("within", "met", numeric=False))
    rows = []
    for each in found.comparisons:
        for row in each.rows:
            cells = [
                Cell(each.label),
                Cell(rate(each.requests_per_s), each.requests_per_s),
                Cell(_name(row)),
                *([Cell(_value(row, row.by_profile), row.by_profile)] if both else []),
                Cell(_value(row, row.predicted), row.predicted),
                Cell(_value(row, row.measured), row.measured),
                Cell(percent(row.spread, 1), row.spread),
                Cell(signed_percent(row.error), row.error),
            ]
            if judged:
                cells.append(_verdict(row))
            rows.append(tuple(cells))
    note = "Spread: standard deviation of the runs over their mean; - for a single run."
    return Table("compared", "Every number", tuple(columns), tuple(rows), note)


def _verdict(row: ComparedRow) -> Cell:
    if row.met is None:
        return Cell(NOTHING)
    state: State = "good" if row.met else "bad"
    return Cell("yes" if row.met else "no", row.met, state)


def _name(row: ComparedRow) -> str:
    if row.unit == "s":
        return f"{row.metric} {row.statistic or ''}".strip()
    return f"{row.metric}/s"


def _value(row: ComparedRow, value: float | None) -> str:
    if value is None:
        return NOTHING
    if row.unit != "s":
        return rate(value)
    return duration(value)
